"""Who is primary: as declared, and as the servers' own answers have it."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from pgprovision import tasks
from pgprovision.engine.model import Tier
from pgprovision.errors import Refused
from pgprovision.inventory.edit.add_node import NewNode, add_node
from pgprovision.inventory.loader.loader import load
from pgprovision.inventory.schema.cluster import Inventory
from pgprovision.inventory.topology import LiveRole, NoPrimary, SplitBrain, Topology
from pgprovision.operations.slots import slot_statuses
from pgprovision.operations.status import live_topology
from pgprovision.resources.data_directory.initdb import PostgresCluster
from pgprovision.resources.data_directory.standby import Standby
from pgprovision.resources.hetzner.node_registry import NodeRegistry
from pgprovision.resources.postgres.replication.slot import AbandonedSlots, Slot
from pgprovision.resources.postgres.server.snapshot import ServerSnapshot
from pgprovision.resources.postgres.server.split_brain import SplitBrainCheck, check_single_writer
from pgprovision.tasks import tiers
from pgprovision.tasks.context import live_role
from pgprovision.tasks.paths import replica_slot
from tests.support.inventory_folders import lab_inventory
from tests.unit.test_plans import NOW

FIRST, SECOND, THIRD, COPY = (f"server-postgres-{n}" for n in ("1", "2", "3", "copy"))


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Inventory:
    """The lab's primary, two replicas and a copy."""
    with pytest.MonkeyPatch.context() as patch:
        folder = lab_inventory(tmp_path_factory.mktemp("topology") / "lab", patch.setenv)
        for name in (SECOND, THIRD):
            add_node(folder, NewNode(name=name))
        add_node(folder, NewNode(name=COPY, role="copy"))
        return load(folder)


def live(in_recovery: bool, timeline: int = 1, identifier: str = "71") -> LiveRole:
    return LiveRole(in_recovery, timeline, identifier)


def server(**given: Any) -> ServerSnapshot:
    """A running server of the cluster, on timeline 3."""
    known: dict[str, Any] = {"version": 15, "minor": "15.4", "system_identifier": "71"}
    known |= {"timeline": 3, "loaded": 0.0, "in_recovery": False, "receiver": None}
    mappings = ("contexts", "settings", "pending_restart", "roles", "databases", "slots")
    known |= {name: {} for name in (*mappings, "archiver")}
    known |= dict.fromkeys(("auto_conf", "file_errors", "hba_errors", "overrides"), ())
    known |= {"lsn": {"current": None}, "replication": ()}
    return ServerSnapshot(**known | given)


def names(topology: Topology) -> tuple[str, list[str], list[str]]:
    standbys, copies = ([n.name for n in group] for group in (topology.standbys, topology.copies))
    return topology.primary.name, standbys, copies


class TestDeclared:
    def test_roles_when_declared_then_are_those_of_the_node_files(self, cluster: Inventory) -> None:
        topology = Topology.declared(cluster)
        assert names(topology) == (FIRST, [SECOND, THIRD], [COPY])
        assert topology.timeline is None

    def test_node_when_its_role_is_read_then_has_one_at_most(self, cluster: Inventory) -> None:
        topology = Topology.declared(cluster)
        roles = [(topology.is_primary(n), topology.is_standby(n)) for n in cluster.nodes]
        assert roles == [(True, False), (False, True), (False, True), (False, False)]


class TestObserved:
    @pytest.mark.parametrize(
        ("answers", "primary", "standbys"),
        [
            (
                {FIRST: live(False, 4), SECOND: live(True), THIRD: live(True)},
                FIRST,
                [SECOND, THIRD],
            ),
            (
                {FIRST: live(True), SECOND: live(False, 4), THIRD: live(True)},
                SECOND,
                [FIRST, THIRD],
            ),
            ({SECOND: live(False, 4)}, SECOND, [FIRST, THIRD]),
        ],
        ids=["as declared", "switched over", "the old primary is silent"],
    )
    def test_primary_when_one_member_accepts_writes_then_is_that_one(
        self,
        cluster: Inventory,
        answers: Mapping[str, LiveRole],
        primary: str,
        standbys: list[str],
    ) -> None:
        topology = Topology.observed(cluster, answers)
        assert isinstance(topology, Topology)
        assert names(topology) == (primary, standbys, [COPY])
        assert topology.timeline == 4

    def test_primary_when_two_members_accept_writes_then_is_a_split_brain(
        self, cluster: Inventory
    ) -> None:
        answers = {FIRST: live(False, 1), SECOND: live(False, 2), THIRD: live(True, 2)}
        assert Topology.observed(cluster, answers) == SplitBrain({FIRST: 1, SECOND: 2})

    def test_primary_when_nobody_accepts_writes_then_is_unknown_and_the_silent_are_named(
        self, cluster: Inventory
    ) -> None:
        assert Topology.observed(cluster, {SECOND: live(True)}) == NoPrimary((FIRST, THIRD))
        assert Topology.observed(cluster, {}) == NoPrimary((FIRST, SECOND, THIRD))

    def test_primary_when_a_copy_accepts_writes_then_is_not_the_copy(
        self, cluster: Inventory
    ) -> None:
        answers = {FIRST: live(False), COPY: live(False, 7)}
        topology = Topology.observed(cluster, answers)
        assert isinstance(topology, Topology)
        assert topology.primary.name == FIRST

    def test_primary_when_another_clusters_server_accepts_writes_then_it_does_not_count(
        self, cluster: Inventory
    ) -> None:
        answers = {FIRST: live(False), SECOND: live(False, 9, identifier="72")}
        topology = Topology.observed(cluster, answers)
        assert isinstance(topology, Topology)
        assert topology.primary.name == FIRST

    def test_live_role_when_read_from_a_snapshot_then_has_upstream_and_timeline(self) -> None:
        row = {"sender_host": "10.0.1.2"}
        standby = server(in_recovery=True, receiver=row)
        assert live_role(standby) == LiveRole(True, 3, "71", "10.0.1.2")
        assert live_role(server()) == LiveRole(False, 3, "71", "")


class TestStatus:
    def test_slot_of_the_former_primary_when_roles_were_switched_is_not_abandoned(
        self, cluster: Inventory
    ) -> None:
        row: dict[str, Any] = {"active": True, "wal_status": "reserved", "restart_lsn": None}
        slots = {replica_slot(cluster.node(name)): row for name in (FIRST, THIRD)}
        now = server(in_recovery=False, slots=slots)
        topology = live_topology(cluster, {FIRST: None, SECOND: now, THIRD: None})
        found = slot_statuses({SECOND: now}, set(map(replica_slot, topology.standbys)))
        assert [slot.abandoned for slot in found] == [False, False]

    def test_roles_when_two_members_accept_writes_then_are_the_declared_ones(
        self, cluster: Inventory
    ) -> None:
        writable = server(in_recovery=False)
        topology = live_topology(cluster, {FIRST: writable, SECOND: writable})
        assert topology == Topology.declared(cluster)


class TestPlan:
    """A plan of observed roles: SECOND was promoted, FIRST is declared primary."""

    @pytest.fixture
    def plan(self, cluster: Inventory) -> tuple[Tier, ...]:
        topology = Topology.observed(cluster, {FIRST: live(True), SECOND: live(False)})
        assert isinstance(topology, Topology)
        return tiers(cluster, cluster.members, NOW, topology=topology)

    def test_resources_when_roles_were_switched_then_are_of_the_live_roles(
        self, plan: tuple[Tier, ...]
    ) -> None:
        resources = [resource for tier in plan for resource in tier.resources]
        made = [r.on for r in resources if isinstance(r, PostgresCluster)]
        standbys = [(r.on, r.primary) for r in resources if isinstance(r, Standby)]
        slots = [(r.on, r.slot) for r in resources if isinstance(r, Slot)]
        (abandoned,) = (r for r in resources if isinstance(r, AbandonedSlots))
        (registry,) = (r for r in resources if isinstance(r, NodeRegistry))
        assert made == [SECOND]
        assert standbys == [(FIRST, SECOND), (THIRD, SECOND)]
        expected = ["pgprovision_server_postgres_1", "pgprovision_server_postgres_3"]
        assert slots == [(SECOND, slot) for slot in expected]
        assert list(abandoned.declared) == expected
        assert registry.primary == SECOND

    def test_plan_when_roles_were_switched_then_still_checks_the_declared_primary(
        self, cluster: Inventory, plan: tuple[Tier, ...]
    ) -> None:
        (check,) = (r for t in plan for r in t.resources if isinstance(r, SplitBrainCheck))
        assert (check.primary, check.replicas) == (FIRST, (SECOND, THIRD))
        with pytest.raises(Refused, match="the live role wins"):
            check_single_writer(check.primary, {SECOND: server(in_recovery=False)}, "unit")


def test_tasks_when_they_need_a_role_then_read_the_topology() -> None:
    """The declared role is what a node begins as; only `Topology.declared` reads it."""
    declared_role = re.compile(r"inventory\.(primary|replicas)\b|\bnode\.(is_primary|role)\b")
    rooms = Path(tasks.__file__).parent.rglob("*.py")
    assert [str(path) for path in rooms if declared_role.search(path.read_text())] == []
