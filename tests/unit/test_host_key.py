"""The host key a server is born with, made and pinned on this very machine."""

import subprocess
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from pgprovision.engine.loop import converge, observe_only
from pgprovision.engine.model import Action, Answer, Probe, Report, Tier
from pgprovision.engine.observe import Target
from pgprovision.errors import Refused
from pgprovision.hetzner_labels import cluster_labels
from pgprovision.resources.hetzner.host_key import HostKey, user_data
from pgprovision.transport.host import Host
from pgprovision.transport.local import LocalConnection
from tests.support.cloud_cluster import (
    CLUSTER,
    ActionRecorder,
    allow_restart,
    make_host_key,
    remaining_keys,
)


@dataclass
class Servers:
    """A project with these servers of ours."""

    names: tuple[str, ...]
    name: str = "hetzner"

    def observe(self, probes: Sequence[Probe]) -> Mapping[Probe, Answer]:
        servers = tuple(
            {"name": name, "labels": cluster_labels(CLUSTER, name)} for name in self.names
        )
        return {probe: Answer(items=servers) for probe in probes}

    def act(self, actions: Sequence[Action], done: Callable[[Action], None]) -> None: ...


def run(resource: HostKey, *servers: str, plan: bool = False) -> Report:
    """Of a server that is still to be made, unless it is among these."""
    targets: dict[str, Target] = {
        "controller": Host("controller", LocalConnection),
        "hetzner": Servers(servers),
    }
    tier = Tier("host keys", (resource,))
    return converge((tier,), targets, observe_only if plan else allow_restart, ActionRecorder())


def known(folder: Path) -> list[str]:
    return (folder / "known_hosts").read_text().splitlines()


def test_host_key_is_made_private_and_pinned_under_the_nodes_name(tmp_path: Path) -> None:
    assert run(make_host_key(tmp_path, "db-1")).remaining == []
    file = tmp_path / "host_keys" / "db-1"
    assert oct(file.stat().st_mode) == "0o100600"
    assert oct(file.parent.stat().st_mode) == "0o40700"
    public = subprocess.run(
        ["ssh-keygen", "-y", "-f", file], check=True, capture_output=True, text=True
    ).stdout
    assert known(tmp_path) == [f"db-1 {public.strip()}"]
    assert run(make_host_key(tmp_path, "db-1")).changed == []


def test_host_key_beside_lines_of_others_keeps_them(tmp_path: Path) -> None:
    (tmp_path / "known_hosts").write_text("db-10 ssh-ed25519 AAAA without a newline at its end")
    run(make_host_key(tmp_path, "db-1"))
    first, second = known(tmp_path)
    assert first == "db-10 ssh-ed25519 AAAA without a newline at its end"
    assert second.startswith("db-1 ecdsa-sha2-nistp256 ")


def test_host_key_open_to_others_is_named_and_closed(tmp_path: Path) -> None:
    run(make_host_key(tmp_path, "db-1"))
    (tmp_path / "host_keys" / "db-1").chmod(0o644)
    assert remaining_keys(run(make_host_key(tmp_path, "db-1"), plan=True)) == {
        "host key db-1": ("mode",)
    }
    assert run(make_host_key(tmp_path, "db-1")).remaining == []


def test_host_key_no_longer_pinned_is_pinned_again(tmp_path: Path) -> None:
    run(make_host_key(tmp_path, "db-1"))
    before = known(tmp_path)
    (tmp_path / "known_hosts").write_text("")
    assert remaining_keys(run(make_host_key(tmp_path, "db-1"), plan=True)) == {
        "host key db-1": ("pinned",)
    }
    run(make_host_key(tmp_path, "db-1"))
    assert known(tmp_path) == before


def test_host_key_of_a_server_that_has_a_key_of_its_own_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "known_hosts").write_text("db-1 ssh-ed25519 AAAArotated\n")
    assert run(make_host_key(tmp_path, "db-1"), "db-1").changed == []
    assert not (tmp_path / "host_keys").exists()


def test_host_key_for_a_server_that_is_deleted_replaces_what_it_was_pinned_to(
    tmp_path: Path,
) -> None:
    (tmp_path / "known_hosts").write_text("db-10 ssh-rsa AAAA\ndb-1 ssh-ed25519 AAAArotated\n")
    assert run(make_host_key(tmp_path, "db-1")).remaining == []
    other, current = known(tmp_path)
    assert other == "db-10 ssh-rsa AAAA"
    assert current.startswith("db-1 ecdsa-sha2-nistp256 ")


def test_host_key_when_the_server_is_there_and_nothing_is_known_of_it_is_refused(
    tmp_path: Path,
) -> None:
    with pytest.raises(Refused, match="its host key is not known here"):
        run(make_host_key(tmp_path, "db-1"), "db-1")


def test_user_data_is_never_shown(tmp_path: Path) -> None:
    key = make_host_key(tmp_path, "db-1")
    run(key)
    answers = Host("controller", LocalConnection).observe([key.probe()])
    assert isinstance(answers, dict)
    pair = key.parse_pair(answers[key.probe()])
    assert "PRIVATE" in user_data(pair).text()
    assert "PRIVATE" not in f"{pair} {user_data(pair)!r}"
