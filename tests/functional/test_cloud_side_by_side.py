"""Servers are made side by side: a few at once, each in its own order, and what happens when one
of them fails."""

import threading
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from pgprovision.clients.hetzner.project import MAX_PARALLEL_SERVERS, stages
from pgprovision.engine.model import Action
from pgprovision.errors import CloudError
from pgprovision.lab.hypervisor import MachineSpec
from tests.support.cloud_cluster import ActionRecorder, hetzner_tiers, list_objects, run_loop
from tests.support.hetzner_simulator import FakeHypervisor, HetznerSimulator, serve_simulator


@dataclass
class Meeting(FakeHypervisor):
    """Machines that are made when `expected` of them are being made at once."""

    expected: int = MAX_PARALLEL_SERVERS
    most: int = 0
    making: set[int] = field(default_factory=set)
    met: threading.Condition = field(default_factory=threading.Condition)

    def create(self, spec: MachineSpec) -> None:
        with self.met:
            self.making.add(spec.id)
            self.most = max(self.most, len(self.making))
            self.met.notify_all()
            self.met.wait_for(lambda: self.most >= self.expected, timeout=30)
        super().create(spec)
        with self.met:
            self.making.discard(spec.id)


def test_servers_when_several_are_missing_then_three_are_made_at_once(tmp_path: Path) -> None:
    machines = Meeting()
    with serve_simulator(tmp_path / "cloud", machines) as sim:
        notebook = ActionRecorder()
        assert run_loop(sim, hetzner_tiers(tmp_path, nodes=5), watcher=notebook).remaining == []
        assert machines.most == MAX_PARALLEL_SERVERS
        assert [server["status"] for server in list_objects(sim, "servers")] == ["running"] * 5
    for node in range(1, 6):
        actions = [why.split()[0] for why in notebook.actions if f"server db-{node}" in why]
        assert actions == ["create", "attach", "start", "protect"]


@pytest.mark.covers("F36")
def test_capacity_exhausted_at_the_second_of_three_leaves_what_is_made_and_a_rerun_goes_on(
    sim: HetznerSimulator, tmp_path: Path
) -> None:
    sim.fault(
        method="POST", path="/servers", nth=2, count=1, code="resource_unavailable", status=412
    )
    with pytest.raises(CloudError, match="no capacity") as caught:
        run_loop(sim, hetzner_tiers(tmp_path, nodes=3))
    assert "it continues from what exists" in caught.value.next
    made = {server["id"] for server in list_objects(sim, "servers")}
    assert 1 <= len(made) <= 2
    assert run_loop(sim, hetzner_tiers(tmp_path, nodes=3)).remaining == []
    assert made < {server["id"] for server in list_objects(sim, "servers")}
    assert len(list_objects(sim, "servers")) == 3


@pytest.mark.covers("F41")
def test_network_that_is_changed_by_several_at_once_is_not_fought_over(
    sim: HetznerSimulator, tmp_path: Path
) -> None:
    run_loop(sim, hetzner_tiers(tmp_path, nodes=3))
    codes = [r["status"] for r in sim.control("GET", "/requests")["requests"]]
    assert 409 not in codes
    assert 423 not in codes


def test_stages_when_servers_need_what_comes_before_then_it_is_a_stage_of_its_own() -> None:
    network = Action("net", "POST /networks", body={"name": "net"})
    first, second = (Action(n, "POST /servers", body={"name": n}) for n in ("db-1", "db-2"))
    start = Action("start", "POST /servers/{servers:db-1}/actions/poweron")
    wall = Action("wall", "POST /firewalls/{firewalls:w}/actions/apply_to_resources")
    assert stages([network, first, start, second, wall, start]) == [
        [[network]],
        [[first, start], [second]],
        [[wall]],
        [[start]],
    ]
