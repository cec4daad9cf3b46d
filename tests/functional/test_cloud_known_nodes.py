"""What was finished is remembered: a lost primary is never made anew and empty, a replica is."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from pgprovision.engine.loop import look_only
from pgprovision.engine.model import Answer, Ask, Do, Impact, Report
from pgprovision.errors import Refused
from pgprovision.operations.destroy import doomed
from pgprovision.tasks.cloud import cloud_tiers, known
from tests.support.cloud_cluster import do, inventory, keys, listed, one, project, run
from tests.support.hetzner_simulator import OTHER, TOKEN, Simulator

IDENTIFIER = "7301234567890123456"
MARKER = f'{{"cluster": "lab", "node": "db", "system_identifier": "{IDENTIFIER}"}}'


@dataclass
class Finished:
    """A machine with a marker, as long as its server is there."""

    sim: Simulator
    name: str

    def look(self, asks: Sequence[Ask]) -> Mapping[Ask, Answer] | None:
        there = self.name in [server["name"] for server in listed(self.sim, "servers")]
        return {ask: Answer(out=MARKER.encode()) for ask in asks} if there else None

    def act(self, actions: Sequence[Do], done: Callable[[Do], None]) -> None: ...


def up(sim: Simulator, folder: Path, *, plan: bool = False, token: str = TOKEN) -> Report:
    """db-1, the primary, and db-2."""
    wishes = inventory(folder, sim)
    tiers = (*cloud_tiers(wishes, wishes.nodes), known(wishes, wishes.nodes))
    machines = {name: Finished(sim, name) for name in ("db-1", "db-2")}
    if plan:
        return run(sim, tiers, look_only, token=token, machines=machines)
    return run(sim, tiers, token=token, machines=machines)


def own_keys(folder: Path) -> None:
    """As if the servers had taken host keys of their own."""
    secrets = folder / "secrets"
    pins = [f"{name} ssh-ed25519 AAAA{name}\n" for name in ("db-1", "db-2")]
    (secrets / "known_hosts").write_text("".join(pins))
    for name in ("db-1", "db-2"):
        (secrets / "host_keys" / name).unlink()


def delete(sim: Simulator, name: str) -> None:
    """By somebody's hand."""
    (server,) = (server for server in listed(sim, "servers") if server["name"] == name)
    path = f"/servers/{server['id']}"
    do(sim, "POST", f"{path}/actions/change_protection", {"delete": False, "rebuild": False})
    do(sim, "DELETE", path)


def test_finished_nodes_are_remembered_on_the_placement_group(
    sim: Simulator, tmp_path: Path
) -> None:
    assert up(sim, tmp_path).left == []
    assert one(sim, "placement_groups")["labels"] == {
        "managed-by": "pgprovision",
        "cluster": "lab",
        "node.pgprovision/db-1": IDENTIFIER,
        "node.pgprovision/db-2": IDENTIFIER,
    }
    assert up(sim, tmp_path).changed == []


def test_label_taken_off_by_hand_is_named_and_put_back(sim: Simulator, tmp_path: Path) -> None:
    up(sim, tmp_path)
    group = one(sim, "placement_groups")
    kept = {k: v for k, v in group["labels"].items() if not k.endswith("db-2")} | {"team": "data"}
    do(sim, "PUT", f"/placement_groups/{group['id']}", {"labels": kept})
    assert keys(up(sim, tmp_path, plan=True)) == {"known nodes lab": ("db-2",)}
    up(sim, tmp_path)
    assert one(sim, "placement_groups")["labels"] == {**group["labels"], "team": "data"}


@pytest.mark.covers("F46")
@pytest.mark.parametrize("forgotten", ["nothing", "known_hosts", "labels"])
def test_primary_whose_server_is_gone_is_not_made_anew(
    sim: Simulator, tmp_path: Path, forgotten: str
) -> None:
    up(sim, tmp_path)
    own_keys(tmp_path)
    delete(sim, "db-1")
    if forgotten == "known_hosts":
        (tmp_path / "secrets" / "known_hosts").unlink()
    if forgotten == "labels":
        ours = {"managed-by": "pgprovision", "cluster": "lab"}
        do(sim, "PUT", f"/placement_groups/{one(sim, 'placement_groups')['id']}", {"labels": ours})
    sim.lab("DELETE", "/requests")
    pattern = "nobody here knows" if forgotten == "known_hosts" else "the primary db-1 is gone"
    with pytest.raises(Refused, match=pattern) as caught:
        up(sim, tmp_path)
    if forgotten == "nothing":
        assert IDENTIFIER in caught.value.what
        assert "promote a replica; where all servers are gone" in caught.value.next
        assert "pgprovision rebuild" in caught.value.next
    assert sim.lab("GET", "/requests")["writes"] == 0


@pytest.mark.covers("F46")
def test_replica_whose_server_is_gone_is_made_anew_with_a_new_host_key(
    sim: Simulator, tmp_path: Path
) -> None:
    up(sim, tmp_path)
    own_keys(tmp_path)
    delete(sim, "db-2")
    planned = keys(up(sim, tmp_path, plan=True))
    assert {"host key db-2", "server db-2"} == set(planned)
    assert up(sim, tmp_path).left == []
    first, second = (tmp_path / "secrets" / "known_hosts").read_text().splitlines()
    assert first == "db-1 ssh-ed25519 AAAAdb-1"
    assert second.startswith("db-2 ecdsa-sha2-nistp256 ")
    made = max(sim.machines.specs)
    assert f"ecdsa_public: {' '.join(second.split()[1:3])}" in sim.machines.specs[made].user_data


@pytest.mark.covers("F42")
def test_token_of_another_project_builds_no_twins(sim: Simulator, tmp_path: Path) -> None:
    up(sim, tmp_path)
    own_keys(tmp_path)
    sim.lab("DELETE", "/requests")
    with pytest.raises(Refused, match=r"0 of 2 known servers exist in this project \(db-1, db-2\)"):
        up(sim, tmp_path, token=OTHER)
    assert sim.lab("GET", "/requests")["writes"] == 0
    assert up(sim, tmp_path).changed == []


@pytest.mark.covers("F42")
def test_cluster_that_was_never_finished_may_begin_in_another_project(
    sim: Simulator, tmp_path: Path
) -> None:
    wishes = inventory(tmp_path, sim)
    host_keys, _ = cloud_tiers(wishes, wishes.nodes)
    run(sim, (host_keys,))
    assert len(up(sim, tmp_path, plan=True, token=OTHER).left) > 1


def test_destroy_forgets_what_was_known(sim: Simulator, tmp_path: Path) -> None:
    up(sim, tmp_path)
    own_keys(tmp_path)
    wishes = inventory(tmp_path, sim)
    run(sim, doomed(project(sim), wishes).tiers, lambda changes: Impact.DESTROY)
    assert (tmp_path / "secrets" / "known_hosts").read_text() == ""
    assert up(sim, tmp_path).left == []
