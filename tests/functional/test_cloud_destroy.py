"""destroy: only what is ours, only after the typed name, whatever interrupts it."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import pytest

from pgprovision.engine.loop import converge
from pgprovision.engine.model import Action, Answer, Probe, Report
from pgprovision.engine.observe import Target
from pgprovision.errors import Refused
from pgprovision.operations.destroy import plan_destroy
from pgprovision.run.approval import NameConfirmation
from pgprovision.run.options import Options
from pgprovision.tasks.cloud import server_tiers
from pgprovision.transport.host import Host
from pgprovision.transport.local import LocalConnection
from tests.support.cloud_cluster import (
    ActionRecorder,
    call_and_wait,
    cloud_inventory,
    hetzner_project,
    list_objects,
    only_object,
    run_loop,
)
from tests.support.hetzner_simulator import SSH_KEY, HetznerSimulator

KINDS = ("servers", "firewalls", "placement_groups", "networks", "ssh_keys")


class Killed(BaseException):
    """The controller dies."""


def up(folder: Path, sim: HetznerSimulator) -> None:
    inventory = cloud_inventory(folder, sim)
    assert run_loop(sim, server_tiers(inventory, inventory.nodes)).remaining == []


def remove(
    folder: Path, sim: HetznerSimulator, answer: str = "lab", watcher: ActionRecorder | None = None
) -> Report:
    cloud = hetzner_project(sim)
    targets: dict[str, Target] = {
        "controller": Host("controller", LocalConnection),
        "hetzner": cloud,
    }
    plan = plan_destroy(cloud, cloud_inventory(folder, sim))
    approve = NameConfirmation("lab", "", answer).approval(Options(inventory=folder))
    return converge(plan.tiers, targets, approve, watcher or ActionRecorder())


@pytest.mark.covers("row:A6")
def test_destroy_removes_all_that_is_ours_and_forgets_the_host_keys(
    sim: HetznerSimulator, tmp_path: Path
) -> None:
    up(tmp_path, sim)
    remove(tmp_path, sim)
    assert [list_objects(sim, kind) for kind in KINDS] == [[], [], [], [], []]
    assert not any((tmp_path / "secrets" / "host_keys").iterdir())
    assert (tmp_path / "secrets" / "known_hosts").read_text() == ""
    up(tmp_path, sim)
    assert len(list_objects(sim, "servers")) == 2


@pytest.mark.covers("F50")
def test_destroy_with_a_wrong_confirmation_touches_nothing(
    sim: HetznerSimulator, tmp_path: Path
) -> None:
    up(tmp_path, sim)
    sim.control("DELETE", "/requests")
    with pytest.raises(Refused, match="the confirmation does not match the cluster's name"):
        remove(tmp_path, sim, answer="lob")
    assert sim.control("GET", "/requests")["writes"] == 0


class Behind:
    """What answers behind a server's label."""

    def __init__(self, name: str, marker: str) -> None:
        self.name, self._marker = name, marker

    def observe(self, probes: Sequence[Probe]) -> Mapping[Probe, Answer]:
        return {probe: Answer(out=self._marker.encode()) for probe in probes}

    def act(self, actions: Sequence[Action], done: Callable[[Action], None]) -> None:
        raise AssertionError("nothing is done on it")


@pytest.mark.covers("F23", "F50")
@pytest.mark.parametrize(
    ("marker", "refused"),
    [
        ('marker {"cluster": "lab", "node": "db-1", "system_identifier": "1"}\n', False),
        ('claim {"cluster": "lab", "node": "db-1"}\ndata\n', False),
        ("", False),
        ('marker {"cluster": "shop", "node": "db-1", "system_identifier": "1"}\n', True),
        ('marker {"cluster": "lab", "node": "db-2", "system_identifier": "1"}\n', True),
        ("data\n", True),
    ],
    ids=["ours, data gone", "half made", "fresh", "another cluster", "another node", "nobody's"],
)
def test_destroy_when_another_machine_is_behind_a_label_touches_nothing(
    sim: HetznerSimulator, tmp_path: Path, marker: str, refused: bool
) -> None:
    up(tmp_path, sim)
    cloud, inventory = hetzner_project(sim), cloud_inventory(tmp_path, sim)
    targets: dict[str, Target] = {
        "controller": Host("controller", LocalConnection),
        "hetzner": cloud,
    }
    targets["db-1"] = Behind("db-1", marker)
    plan = plan_destroy(cloud, inventory, inventory.nodes[:1])
    approve = NameConfirmation("lab", "", "lab").approval(Options(inventory=tmp_path))
    if refused:
        with pytest.raises(Refused, match=r"this machine is db-|nothing says that it is db-1"):
            converge(plan.tiers, targets, approve, ActionRecorder())
    else:
        converge(plan.tiers, targets, approve, ActionRecorder())
    assert len(list_objects(sim, "servers")) == (2 if refused else 0)


@pytest.mark.covers("F50")
@pytest.mark.parametrize("last", range(8))
def test_destroy_killed_after_any_action_is_finished_by_the_next(
    sim: HetznerSimulator, tmp_path: Path, last: int
) -> None:
    up(tmp_path, sim)
    reasons: list[str] = []

    def stop(action: Action) -> None:
        reasons.append(action.why)
        if len(reasons) > last:
            raise Killed

    with pytest.raises(Killed):
        remove(tmp_path, sim, watcher=ActionRecorder(stop))
    assert remove(tmp_path, sim).remaining == []
    assert [list_objects(sim, kind) for kind in KINDS] == [[], [], [], [], []]


@pytest.mark.covers("F50")
def test_destroy_leaves_foreign_objects_and_what_they_use(
    sim: HetznerSimulator, tmp_path: Path
) -> None:
    up(tmp_path, sim)
    server = {"name": "theirs", "server_type": "ccx13", "image": "debian-12", "location": "ash"}
    network, wall = only_object(sim, "networks")["id"], only_object(sim, "firewalls")["id"]
    call_and_wait(
        sim,
        "POST",
        "/servers",
        {**server, "networks": [network], "firewalls": [{"firewall": wall}]},
    )
    plan = plan_destroy(hetzner_project(sim), cloud_inventory(tmp_path, sim))
    assert plan.retained == ("firewalls/ssh-only (others use it)", "networks/net (others use it)")
    remove(tmp_path, sim)
    assert [len(list_objects(sim, kind)) for kind in KINDS] == [1, 1, 0, 1, 0]
    assert only_object(sim, "servers")["name"] == "theirs"
    assert only_object(sim, "servers")["private_net"][0]["network"] == network


def test_destroy_leaves_a_key_that_somebody_else_registered(
    sim: HetznerSimulator, tmp_path: Path
) -> None:
    call_and_wait(sim, "POST", "/ssh_keys", {"name": "laptop", "public_key": SSH_KEY})
    up(tmp_path, sim)
    remove(tmp_path, sim)
    assert only_object(sim, "ssh_keys")["name"] == "laptop"


def test_destroy_leaves_an_existing_network(sim: HetznerSimulator, tmp_path: Path) -> None:
    subnet = {"type": "cloud", "ip_range": "10.0.1.0/24", "network_zone": "us-east"}
    body = {"name": "office", "ip_range": "10.0.0.0/16", "subnets": [subnet]}
    before = call_and_wait(sim, "POST", "/networks", body)["network"]
    for name in ("office", str(before["id"])):
        inventory = cloud_inventory(tmp_path, sim, network={"name": name, "existing": True})
        assert run_loop(sim, server_tiers(inventory, inventory.nodes)).remaining == []
        assert only_object(sim, "networks")["servers"]
    remove(tmp_path, sim)
    assert only_object(sim, "networks") == before
