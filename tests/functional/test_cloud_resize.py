"""resize: checked before anything stops, then shut down, changed and started."""

from pathlib import Path

import pytest

from pgprovision.clients.hetzner.project import HetznerProject
from pgprovision.engine.loop import converge, observe_only
from pgprovision.engine.model import Action
from pgprovision.engine.observe import Target
from pgprovision.errors import CloudError, Refused
from pgprovision.inventory.schema.cluster import Inventory
from pgprovision.operations.resize import ResizePlan, plan_resize
from pgprovision.secret import Secret
from pgprovision.tasks.cloud import server_tiers
from pgprovision.transport.host import Host
from pgprovision.transport.local import LocalConnection
from tests.support.cloud_cluster import (
    ActionRecorder,
    allow_restart,
    cloud_inventory,
    hetzner_project,
    list_objects,
    run_loop,
)
from tests.support.hetzner_simulator import TOKEN, HetznerSimulator, serve_simulator


class Killed(BaseException):
    """The controller dies."""


def inventory_with(
    folder: Path, sim: HetznerSimulator, server_type: str, node: int = 0
) -> Inventory:
    """Two nodes, one of them of this type."""
    inventory = cloud_inventory(folder, sim)
    nodes = list(inventory.nodes)
    nodes[node] = nodes[node].model_copy(update={"server_type": server_type})
    return inventory.model_copy(update={"nodes": tuple(nodes)})


def made(folder: Path, sim: HetznerSimulator) -> None:
    inventory = cloud_inventory(folder, sim)
    run_loop(sim, server_tiers(inventory, inventory.nodes))


def resize_plan(folder: Path, sim: HetznerSimulator, server_type: str, node: int = 0) -> ResizePlan:
    inventory = inventory_with(folder, sim, server_type, node)
    return plan_resize(hetzner_project(sim), inventory, inventory.nodes[node])


def sizes(sim: HetznerSimulator) -> list[tuple[str, int, str]]:
    return [
        (s["server_type"]["name"], s["primary_disk_size"], s["status"])
        for s in list_objects(sim, "servers")
    ]


def test_resize_to_more_keeps_the_disk_and_starts_again(
    sim: HetznerSimulator, tmp_path: Path
) -> None:
    made(tmp_path, sim)
    sim.machines.log.clear()
    notebook = ActionRecorder()
    (_, cloud, _) = resize_plan(tmp_path, sim, "ccx23").tiers
    run_loop(sim, (cloud,), watcher=notebook)
    assert sizes(sim) == [("ccx23", 80, "running"), ("ccx13", 80, "running")]
    assert notebook.actions == [
        "shut down server db-1",
        "make server db-1 a ccx23",
        "start server db-1",
    ]
    inventory = inventory_with(tmp_path, sim, "ccx23")
    assert run_loop(sim, server_tiers(inventory, inventory.nodes), observe_only).remaining == []


def test_server_to_be_resized_is_disconnected_before_it_stops(
    sim: HetznerSimulator, tmp_path: Path
) -> None:
    made(tmp_path, sim)
    power: list[tuple[str, bool]] = []

    def let_go(server: str) -> None:
        power.append((server, list_objects(sim, "servers")[0]["status"] == "running"))

    (_, change, _) = resize_plan(tmp_path, sim, "ccx23").tiers
    cloud = HetznerProject(
        "hetzner", Secret(TOKEN, "test"), sim.endpoint, "lab", before_shutdown=let_go
    )
    targets: dict[str, Target] = {
        "controller": Host("controller", LocalConnection),
        "hetzner": cloud,
    }
    converge((change,), targets, allow_restart, ActionRecorder())
    assert power == [("db-1", True)]


def test_resize_says_what_it_costs_and_that_replicas_come_first(
    sim: HetznerSimulator, tmp_path: Path
) -> None:
    made(tmp_path, sim)
    assert resize_plan(tmp_path, sim, "ccx23").notes == (
        "db-1: ccx13 (2 vCPU, 8 GB, 43.00 EUR a month without VAT) -> "
        "ccx23 (4 vCPU, 16 GB, 86.00 EUR a month without VAT)",
        "the primary is not there while it is resized: choose a quiet moment",
        "replicas first, so that none is smaller: db-2",
    )
    assert len(resize_plan(tmp_path, sim, "ccx23", node=1).notes) == 1


@pytest.mark.parametrize("last", range(3))
def test_resize_killed_after_any_action_is_finished_by_the_next(
    sim: HetznerSimulator, tmp_path: Path, last: int
) -> None:
    made(tmp_path, sim)
    reasons: list[str] = []

    def stop(action: Action) -> None:
        reasons.append(action.why)
        if len(reasons) > last:
            raise Killed

    cloud = resize_plan(tmp_path, sim, "ccx23").tiers[:2]
    with pytest.raises(Killed):
        run_loop(sim, cloud, watcher=ActionRecorder(stop))
    assert run_loop(sim, cloud).remaining == []
    assert sizes(sim)[0] == ("ccx23", 80, "running")


def test_resize_below_the_disk_is_refused_and_says_what_fits(
    sim: HetznerSimulator, tmp_path: Path
) -> None:
    made(tmp_path, sim)
    with pytest.raises(Refused, match="80 GB, a cx23 only 40 GB: a disk never shrinks") as caught:
        resize_plan(tmp_path, sim, "cx23")
    assert "choose one of ccx13, ccx23, ccx33" in caught.value.next


def test_resize_to_what_is_sold_out_ends_before_anything_stops(tmp_path: Path) -> None:
    with serve_simulator(tmp_path / "cloud", sold_out=frozenset({("ccx23", "ash")})) as sim:
        made(tmp_path, sim)
        with pytest.raises(CloudError, match="ccx23 cannot be had in ash now; available now in"):
            resize_plan(tmp_path, sim, "ccx23")
        assert [status for *_, status in sizes(sim)] == ["running", "running"]


def test_resize_of_a_server_that_is_not_there_is_refused(
    sim: HetznerSimulator, tmp_path: Path
) -> None:
    with pytest.raises(Refused, match="db-1 has no server of ours"):
        resize_plan(tmp_path, sim, "ccx23")


def test_plan_when_another_type_is_declared_names_the_verb(
    sim: HetznerSimulator, tmp_path: Path
) -> None:
    made(tmp_path, sim)
    inventory = inventory_with(tmp_path, sim, "ccx23")
    report = run_loop(sim, server_tiers(inventory, inventory.nodes))
    assert [change.keys for change in report.remaining] == [
        ("server_type (pgprovision resize carries it out)",)
    ]
    assert [text for _, text in report.notes] == [
        "server db-1 is a ccx13, the inventory says ccx23: pgprovision resize db-1 carries it "
        "out, with a restart"
    ]
    assert [status for *_, status in sizes(sim)] == ["running", "running"]
