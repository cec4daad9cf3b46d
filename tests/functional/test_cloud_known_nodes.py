"""What was finished is remembered: a lost primary is never created again empty, a replica is."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from pgprovision.engine.loop import observe_only
from pgprovision.engine.model import Action, Answer, Impact, Probe, Report
from pgprovision.errors import Refused
from pgprovision.operations.destroy import plan_destroy
from pgprovision.tasks.cloud import node_registry, server_tiers
from tests.support.cloud_cluster import (
    call_and_wait,
    cloud_inventory,
    hetzner_project,
    list_objects,
    only_object,
    remaining_keys,
    run_loop,
)
from tests.support.hetzner_simulator import OTHER_PROJECT_TOKEN, TOKEN, HetznerSimulator

IDENTIFIER = "7301234567890123456"
MARKER = f'{{"cluster": "lab", "node": "db", "system_identifier": "{IDENTIFIER}"}}'


@dataclass
class Finished:
    """A machine with a marker, as long as its server is there."""

    sim: HetznerSimulator
    name: str

    def observe(self, probes: Sequence[Probe]) -> Mapping[Probe, Answer] | None:
        there = self.name in [server["name"] for server in list_objects(self.sim, "servers")]
        return {probe: Answer(out=MARKER.encode()) for probe in probes} if there else None

    def act(self, actions: Sequence[Action], done: Callable[[Action], None]) -> None: ...


def up(sim: HetznerSimulator, folder: Path, *, plan: bool = False, token: str = TOKEN) -> Report:
    """db-1, the primary, and db-2."""
    inventory = cloud_inventory(folder, sim)
    tiers = (*server_tiers(inventory, inventory.nodes), node_registry(inventory, inventory.nodes))
    machines = {name: Finished(sim, name) for name in ("db-1", "db-2")}
    if plan:
        return run_loop(sim, tiers, observe_only, token=token, machines=machines)
    return run_loop(sim, tiers, token=token, machines=machines)


def own_keys(folder: Path) -> None:
    """As if the servers had taken host keys of their own."""
    secrets = folder / "secrets"
    pins = [f"{name} ssh-ed25519 AAAA{name}\n" for name in ("db-1", "db-2")]
    (secrets / "known_hosts").write_text("".join(pins))
    for name in ("db-1", "db-2"):
        (secrets / "host_keys" / name).unlink()


def delete(sim: HetznerSimulator, name: str) -> None:
    """By somebody's hand."""
    (server,) = (server for server in list_objects(sim, "servers") if server["name"] == name)
    path = f"/servers/{server['id']}"
    call_and_wait(
        sim, "POST", f"{path}/actions/change_protection", {"delete": False, "rebuild": False}
    )
    call_and_wait(sim, "DELETE", path)


def test_finished_nodes_are_remembered_on_the_placement_group(
    sim: HetznerSimulator, tmp_path: Path
) -> None:
    assert up(sim, tmp_path).remaining == []
    assert only_object(sim, "placement_groups")["labels"] == {
        "managed-by": "pgprovision",
        "cluster": "lab",
        "node.pgprovision/db-1": IDENTIFIER,
        "node.pgprovision/db-2": IDENTIFIER,
    }
    assert up(sim, tmp_path).changed == []


def test_label_taken_off_by_hand_is_named_and_put_back(
    sim: HetznerSimulator, tmp_path: Path
) -> None:
    up(sim, tmp_path)
    group = only_object(sim, "placement_groups")
    labels = {k: v for k, v in group["labels"].items() if not k.endswith("db-2")} | {"team": "data"}
    call_and_wait(sim, "PUT", f"/placement_groups/{group['id']}", {"labels": labels})
    assert remaining_keys(up(sim, tmp_path, plan=True)) == {"node registry lab": ("db-2",)}
    up(sim, tmp_path)
    assert only_object(sim, "placement_groups")["labels"] == {**group["labels"], "team": "data"}


@pytest.mark.covers("F46")
@pytest.mark.parametrize("forgotten", ["nothing", "known_hosts", "labels"])
def test_primary_when_its_server_is_deleted_is_not_created_again(
    sim: HetznerSimulator, tmp_path: Path, forgotten: str
) -> None:
    up(sim, tmp_path)
    own_keys(tmp_path)
    delete(sim, "db-1")
    if forgotten == "known_hosts":
        (tmp_path / "secrets" / "known_hosts").unlink()
    if forgotten == "labels":
        ours = {"managed-by": "pgprovision", "cluster": "lab"}
        call_and_wait(
            sim,
            "PUT",
            f"/placement_groups/{only_object(sim, 'placement_groups')['id']}",
            {"labels": ours},
        )
    sim.control("DELETE", "/requests")
    pattern = (
        "its host key is not known here"
        if forgotten == "known_hosts"
        else "the primary db-1 does not exist"
    )
    with pytest.raises(Refused, match=pattern) as caught:
        up(sim, tmp_path)
    if forgotten == "nothing":
        assert IDENTIFIER in caught.value.what
        assert "promote a replica; if all servers were deleted" in caught.value.next
        assert "pgprovision rebuild" in caught.value.next
    assert sim.control("GET", "/requests")["writes"] == 0


@pytest.mark.covers("F46")
def test_replica_when_its_server_is_deleted_is_created_again_with_a_new_host_key(
    sim: HetznerSimulator, tmp_path: Path
) -> None:
    up(sim, tmp_path)
    own_keys(tmp_path)
    delete(sim, "db-2")
    plan = remaining_keys(up(sim, tmp_path, plan=True))
    assert {"host key db-2", "server db-2"} == set(plan)
    assert up(sim, tmp_path).remaining == []
    first, second = (tmp_path / "secrets" / "known_hosts").read_text().splitlines()
    assert first == "db-1 ssh-ed25519 AAAAdb-1"
    assert second.startswith("db-2 ecdsa-sha2-nistp256 ")
    made = max(sim.machines.specs)
    assert f"ecdsa_public: {' '.join(second.split()[1:3])}" in sim.machines.specs[made].user_data


@pytest.mark.covers("F42")
def test_token_of_another_project_builds_no_twins(sim: HetznerSimulator, tmp_path: Path) -> None:
    up(sim, tmp_path)
    own_keys(tmp_path)
    sim.control("DELETE", "/requests")
    with pytest.raises(Refused, match=r"0 of 2 known servers exist in this project \(db-1, db-2\)"):
        up(sim, tmp_path, token=OTHER_PROJECT_TOKEN)
    assert sim.control("GET", "/requests")["writes"] == 0
    assert up(sim, tmp_path).changed == []


@pytest.mark.covers("F42")
def test_cluster_that_was_never_finished_may_begin_in_another_project(
    sim: HetznerSimulator, tmp_path: Path
) -> None:
    inventory = cloud_inventory(tmp_path, sim)
    host_keys, _ = server_tiers(inventory, inventory.nodes)
    run_loop(sim, (host_keys,))
    assert len(up(sim, tmp_path, plan=True, token=OTHER_PROJECT_TOKEN).remaining) > 1


def test_destroy_forgets_what_was_known(sim: HetznerSimulator, tmp_path: Path) -> None:
    up(sim, tmp_path)
    own_keys(tmp_path)
    inventory = cloud_inventory(tmp_path, sim)
    run_loop(
        sim, plan_destroy(hetzner_project(sim), inventory).tiers, lambda changes: Impact.DESTROY
    )
    assert (tmp_path / "secrets" / "known_hosts").read_text() == ""
    assert up(sim, tmp_path).remaining == []
