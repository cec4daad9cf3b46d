"""The host key a server is born with, made and pinned on this very machine."""

import subprocess
from pathlib import Path

import pytest

from pgprovision.backends.host import Host
from pgprovision.backends.local import LocalWire
from pgprovision.engine import converge, look_only
from pgprovision.errors import Refused
from pgprovision.model import Diff, Report, Tier
from pgprovision.resources.host_key import HostKey, user_data
from tests.cloud import Notebook, allowed, host_key, keys, server


def run(wish: HostKey, *, plan: bool = False) -> Report:
    targets = {"here": Host("here", LocalWire)}
    tier = Tier("host keys", (wish,))
    return converge((tier,), targets, look_only if plan else allowed, Notebook())


def known(folder: Path) -> list[str]:
    return (folder / "known_hosts").read_text().splitlines()


def test_host_key_is_made_private_and_pinned_under_the_nodes_name(tmp_path: Path) -> None:
    assert run(host_key(tmp_path, "db-1")).left == []
    file = tmp_path / "host_keys" / "db-1"
    assert oct(file.stat().st_mode) == "0o100600"
    assert oct(file.parent.stat().st_mode) == "0o40700"
    public = subprocess.run(
        ["ssh-keygen", "-y", "-f", file], check=True, capture_output=True, text=True
    ).stdout
    assert known(tmp_path) == [f"db-1 {public.strip()}"]
    assert run(host_key(tmp_path, "db-1")).changed == []


def test_host_key_beside_lines_of_others_keeps_them(tmp_path: Path) -> None:
    (tmp_path / "known_hosts").write_text("db-10 ssh-ed25519 AAAA without a newline at its end")
    run(host_key(tmp_path, "db-1"))
    first, second = known(tmp_path)
    assert first == "db-10 ssh-ed25519 AAAA without a newline at its end"
    assert second.startswith("db-1 ssh-ed25519 ")


def test_host_key_open_to_others_is_named_and_shut(tmp_path: Path) -> None:
    run(host_key(tmp_path, "db-1"))
    (tmp_path / "host_keys" / "db-1").chmod(0o644)
    assert keys(run(host_key(tmp_path, "db-1"), plan=True)) == {"host key db-1": ("mode",)}
    assert run(host_key(tmp_path, "db-1")).left == []


def test_host_key_no_longer_pinned_is_pinned_again(tmp_path: Path) -> None:
    run(host_key(tmp_path, "db-1"))
    before = known(tmp_path)
    (tmp_path / "known_hosts").write_text("")
    assert keys(run(host_key(tmp_path, "db-1"), plan=True)) == {"host key db-1": ("pinned",)}
    run(host_key(tmp_path, "db-1"))
    assert known(tmp_path) == before


def test_host_key_of_a_server_that_has_changed_its_own_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "known_hosts").write_text("db-1 ssh-ed25519 AAAArotated\n")
    assert run(host_key(tmp_path, "db-1")).changed == []
    assert not (tmp_path / "host_keys").exists()


def test_server_to_be_made_with_a_key_nobody_has_is_refused(tmp_path: Path) -> None:
    (tmp_path / "known_hosts").write_text("db-1 ssh-ed25519 AAAArotated\n")
    key = host_key(tmp_path, "db-1")
    answers = Host("here", LocalWire).look([key.probe()])
    assert isinstance(answers, dict)
    wanted = server("db-1", "10.0.1.11", host_key=key, pair=key.pair(answers[key.probe()]))
    with pytest.raises(Refused, match="pins it to a key whose private half is not here") as caught:
        tuple(wanted.change(Diff(None, wanted.desired())))
    assert caught.value.next.endswith(f"ssh-keygen -R db-1 -f {tmp_path}/known_hosts")


def test_user_data_is_never_shown(tmp_path: Path) -> None:
    key = host_key(tmp_path, "db-1")
    run(key)
    answers = Host("here", LocalWire).look([key.probe()])
    assert isinstance(answers, dict)
    pair = key.pair(answers[key.probe()])
    assert "PRIVATE" in user_data(pair).text()
    assert "PRIVATE" not in f"{pair} {user_data(pair)!r}"
