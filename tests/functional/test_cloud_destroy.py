"""destroy: only what is ours, only after the typed name, whatever interrupts it."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import pytest

from pgprovision.engine.loop import converge
from pgprovision.engine.model import Answer, Ask, Do, Report
from pgprovision.engine.observe import Target
from pgprovision.errors import Refused
from pgprovision.operations.destroy import doomed
from pgprovision.run.approval import confirmed
from pgprovision.tasks.cloud import cloud_tiers
from pgprovision.transport.host import Host
from pgprovision.transport.local import LocalWire
from tests.support.cloud_cluster import Notebook, do, inventory, listed, one, project, run
from tests.support.hetzner_simulator import SSH_KEY, Simulator

KINDS = ("servers", "firewalls", "placement_groups", "networks", "ssh_keys")


class Killed(BaseException):
    """The controller dies."""


def up(folder: Path, sim: Simulator) -> None:
    wishes = inventory(folder, sim)
    assert run(sim, cloud_tiers(wishes, wishes.nodes)).left == []


def remove(
    folder: Path, sim: Simulator, typed: str = "lab", watcher: Notebook | None = None
) -> Report:
    cloud = project(sim)
    targets: dict[str, Target] = {"here": Host("here", LocalWire), "hetzner": cloud}
    plan = doomed(cloud, inventory(folder, sim))
    approve = confirmed("lab", lambda names: typed)
    return converge(plan.tiers, targets, approve, watcher or Notebook())


@pytest.mark.covers("row:A6")
def test_destroy_removes_all_that_is_ours_and_forgets_the_host_keys(
    sim: Simulator, tmp_path: Path
) -> None:
    up(tmp_path, sim)
    remove(tmp_path, sim)
    assert [listed(sim, kind) for kind in KINDS] == [[], [], [], [], []]
    assert not any((tmp_path / "secrets" / "host_keys").iterdir())
    assert (tmp_path / "secrets" / "known_hosts").read_text() == ""
    up(tmp_path, sim)
    assert len(listed(sim, "servers")) == 2


@pytest.mark.covers("F50")
def test_destroy_with_a_wrong_name_typed_touches_nothing(sim: Simulator, tmp_path: Path) -> None:
    up(tmp_path, sim)
    sim.lab("DELETE", "/requests")
    with pytest.raises(Refused, match="the name typed is not the cluster's"):
        remove(tmp_path, sim, typed="lob")
    assert sim.lab("GET", "/requests")["writes"] == 0


class Behind:
    """What answers behind a server's label."""

    def __init__(self, name: str, marker: str) -> None:
        self.name, self._marker = name, marker

    def look(self, asks: Sequence[Ask]) -> Mapping[Ask, Answer]:
        return {ask: Answer(out=self._marker.encode()) for ask in asks}

    def act(self, actions: Sequence[Do], done: Callable[[Do], None]) -> None:
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
    sim: Simulator, tmp_path: Path, marker: str, refused: bool
) -> None:
    up(tmp_path, sim)
    cloud, wishes = project(sim), inventory(tmp_path, sim)
    targets: dict[str, Target] = {"here": Host("here", LocalWire), "hetzner": cloud}
    targets["db-1"] = Behind("db-1", marker)
    plan = doomed(cloud, wishes, wishes.nodes[:1])
    approve = confirmed("lab", lambda names: "lab")
    if refused:
        with pytest.raises(Refused, match=r"this machine is db-|nothing says that it is db-1"):
            converge(plan.tiers, targets, approve, Notebook())
    else:
        converge(plan.tiers, targets, approve, Notebook())
    assert len(listed(sim, "servers")) == (2 if refused else 0)


@pytest.mark.covers("F50")
@pytest.mark.parametrize("last", range(8))
def test_destroy_killed_after_any_action_is_finished_by_the_next(
    sim: Simulator, tmp_path: Path, last: int
) -> None:
    up(tmp_path, sim)
    seen: list[str] = []

    def stop(action: Do) -> None:
        seen.append(action.why)
        if len(seen) > last:
            raise Killed

    with pytest.raises(Killed):
        remove(tmp_path, sim, watcher=Notebook(stop))
    assert remove(tmp_path, sim).left == []
    assert [listed(sim, kind) for kind in KINDS] == [[], [], [], [], []]


@pytest.mark.covers("F50")
def test_destroy_leaves_strangers_and_what_they_use(sim: Simulator, tmp_path: Path) -> None:
    up(tmp_path, sim)
    server = {"name": "theirs", "server_type": "ccx13", "image": "debian-12", "location": "ash"}
    network, wall = one(sim, "networks")["id"], one(sim, "firewalls")["id"]
    do(
        sim,
        "POST",
        "/servers",
        {**server, "networks": [network], "firewalls": [{"firewall": wall}]},
    )
    plan = doomed(project(sim), inventory(tmp_path, sim))
    assert plan.kept == ("firewalls/ssh-only (others use it)", "networks/net (others use it)")
    remove(tmp_path, sim)
    assert [len(listed(sim, kind)) for kind in KINDS] == [1, 1, 0, 1, 0]
    assert one(sim, "servers")["name"] == "theirs"
    assert one(sim, "servers")["private_net"][0]["network"] == network


def test_destroy_leaves_a_key_that_somebody_else_registered(sim: Simulator, tmp_path: Path) -> None:
    do(sim, "POST", "/ssh_keys", {"name": "laptop", "public_key": SSH_KEY})
    up(tmp_path, sim)
    remove(tmp_path, sim)
    assert one(sim, "ssh_keys")["name"] == "laptop"


def test_destroy_leaves_an_existing_network(sim: Simulator, tmp_path: Path) -> None:
    subnet = {"type": "cloud", "ip_range": "10.0.1.0/24", "network_zone": "us-east"}
    body = {"name": "office", "ip_range": "10.0.0.0/16", "subnets": [subnet]}
    before = do(sim, "POST", "/networks", body)["network"]
    for name in ("office", str(before["id"])):
        wishes = inventory(tmp_path, sim, network={"name": name, "existing": True})
        assert run(sim, cloud_tiers(wishes, wishes.nodes)).left == []
        assert one(sim, "networks")["servers"]
    remove(tmp_path, sim)
    assert one(sim, "networks") == before
