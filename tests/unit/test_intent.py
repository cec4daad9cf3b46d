"""What a run wants of a node is an input of the plan: each intent, and what is built for it."""

from pathlib import Path
from typing import TypeVar

import pytest

from pgprovision.engine.model import Resource
from pgprovision.errors import InventoryError
from pgprovision.inventory.edit.add_node import NewNode, add_node
from pgprovision.inventory.loader.loader import load
from pgprovision.inventory.schema.cluster import Inventory
from pgprovision.inventory.topology import Topology
from pgprovision.operations.restore import rebuild
from pgprovision.recovery_target import END_OF_WAL, recovery_target
from pgprovision.resources.data_directory.initdb import PostgresCluster
from pgprovision.resources.data_directory.restore import RestoredDataDirectory
from pgprovision.resources.data_directory.standby import Standby
from pgprovision.resources.hetzner.node_registry import NodeRegistry
from pgprovision.resources.node.identity import NodeIdentity
from pgprovision.resources.pgbackrest.configuration import PgbackrestConf
from pgprovision.resources.postgres.replication.slot import Slot
from pgprovision.tasks import tiers
from pgprovision.tasks.cloud import declared_server
from pgprovision.tasks.context import PlanContext
from pgprovision.tasks.intent import KEEP, Intent, Rebuild, Reclone, Resize, Restore
from tests.support.inventory_folders import lab_inventory
from tests.unit.test_plans import NOW

PRIMARY, REPLICA, OTHER, COPY = (f"server-postgres-{n}" for n in ("1", "2", "3", "copy"))
TARGET = recovery_target({"time": "2026-11-29 03:00+01:00"})
SomeResource = TypeVar("SomeResource", bound=Resource)


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Inventory:
    with pytest.MonkeyPatch.context() as patch:
        folder = lab_inventory(tmp_path_factory.mktemp("intent") / "lab", patch.setenv)
        for name in (REPLICA, OTHER):
            add_node(folder, NewNode(name=name))
        add_node(folder, NewNode(name=COPY, role="copy", restore={"xid": "745"}))
        return load(folder)


class Plan:
    """Of some nodes, with intents."""

    def __init__(self, inventory: Inventory, *names: str, **intents: Intent) -> None:
        by_name = {name.replace("_", "-"): intent for name, intent in intents.items()}
        nodes = tuple(map(inventory.node, names))
        self.tiers = tiers(inventory, nodes, NOW, intents=by_name)

    def all(self, kind: type[SomeResource]) -> list[SomeResource]:
        return [r for tier in self.tiers for r in tier.resources if isinstance(r, kind)]


class TestKeep:
    def test_plan_when_nothing_is_intended_then_keeps_data_slots_and_servers(
        self, cluster: Inventory
    ) -> None:
        plan = Plan(cluster, PRIMARY, REPLICA, OTHER)
        assert {s.former_inode for s in plan.all(Standby)} == {""}
        assert {s.recreate for s in plan.all(Slot)} == {False}
        assert {i.recreating for i in plan.all(NodeIdentity)} == {False}
        assert [r.rebuilding for r in plan.all(NodeRegistry)] == [False]
        assert plan.all(RestoredDataDirectory) == []

    def test_copy_when_nothing_is_intended_then_its_data_are_of_its_declared_target(
        self, cluster: Inventory
    ) -> None:
        (data,) = Plan(cluster, COPY).all(RestoredDataDirectory)
        assert (str(data.target), data.former_inode, data.archiving) == ("xid 745", "", False)


class TestReclone:
    def test_standby_when_cloned_again_then_data_identity_and_slot_of_it_alone_are_new(
        self, cluster: Inventory
    ) -> None:
        plan = Plan(cluster, REPLICA, OTHER, server_postgres_2=Reclone("7"))
        assert {s.on: s.former_inode for s in plan.all(Standby)} == {REPLICA: "7", OTHER: ""}
        assert [s.slot for s in plan.all(Slot) if s.recreate] == ["pgprovision_server_postgres_2"]
        assert [i.on for i in plan.all(NodeIdentity) if i.recreating] == [REPLICA]

    def test_standby_when_it_has_no_data_then_no_inode_counts_as_absent(
        self, cluster: Inventory
    ) -> None:
        plan = Plan(cluster, REPLICA, server_postgres_2=Reclone(""))
        assert [s.former_inode for s in plan.all(Standby)] == [""]
        assert [s.slot for s in plan.all(Slot) if s.recreate] == ["pgprovision_server_postgres_2"]


class TestRestore:
    def test_primary_when_restored_then_its_data_are_the_next_history_and_are_archived(
        self, cluster: Inventory
    ) -> None:
        plan = Plan(cluster, PRIMARY, server_postgres_1=Restore(TARGET, "11"))
        (data,) = plan.all(RestoredDataDirectory)
        assert (data.target, data.former_inode, data.archiving) == (TARGET, "11", True)
        assert [i.on for i in plan.all(NodeIdentity) if i.recreating] == [PRIMARY]
        assert plan.all(PostgresCluster) == []

    def test_copy_when_restored_again_then_the_intended_target_beats_the_declared_one(
        self, cluster: Inventory
    ) -> None:
        (data,) = Plan(cluster, COPY, server_postgres_copy=Restore(TARGET, "14")).all(
            RestoredDataDirectory
        )
        assert (data.target, data.former_inode, data.archiving) == (TARGET, "14", False)

    def test_finished_node_when_restored_then_its_configuration_directory_is_left(
        self, cluster: Inventory
    ) -> None:
        titles = [t.title for t in Plan(cluster, COPY).tiers]
        again = [
            t.title for t in Plan(cluster, COPY, server_postgres_copy=Restore(TARGET, "1")).tiers
        ]
        assert [title for title in titles if title not in again] == ["configuration directory"]


class TestRebuild:
    def test_primary_when_rebuilt_then_comes_from_the_backups_and_its_server_may_be_new(
        self, cluster: Inventory
    ) -> None:
        plan = Plan(cluster, PRIMARY, server_postgres_1=Rebuild())
        (data,) = plan.all(RestoredDataDirectory)
        assert (data.target, data.former_inode, data.archiving) == (END_OF_WAL, "", True)
        assert [r.rebuilding for r in plan.all(NodeRegistry)] == [True]
        assert {i.recreating for i in plan.all(NodeIdentity)} == {False}

    def test_phases_when_rebuilt_then_every_tier_counts_to_one_that_is_reported(
        self, cluster: Inventory
    ) -> None:
        phases = [tier.phase for tier in rebuild.tiers(cluster, NOW)]
        assert set(phases) == {"", *rebuild.PHASES}
        titles = {tier.title: tier.phase for tier in rebuild.tiers(cluster, NOW) if tier.phase}
        assert titles == {
            "host keys": "machine",
            "cloud": "machine",
            "first boot": "machine",
            "claim file": "machine",
            "host key rotation": "machine",
            "unattended upgrades": "packages",
            "packages": "packages",
            "restored data directory": "data",
        }


class TestResize:
    @pytest.mark.parametrize(("intent", "allowed"), [(Resize(), True), (KEEP, False)])
    def test_server_when_planned_then_only_a_resize_changes_its_type(
        self, cluster: Inventory, intent: Intent, allowed: bool
    ) -> None:
        node, topology = cluster.node(REPLICA), Topology.declared(cluster)
        intents = {REPLICA: intent}
        context = PlanContext(inventory=cluster, node=node, topology=topology, intents=intents)
        (server,) = declared_server(context)
        assert vars(server)["allow_resize"] is allowed

    def test_server_when_another_node_is_resized_then_keeps_its_type(
        self, cluster: Inventory
    ) -> None:
        node, topology = cluster.node(OTHER), Topology.declared(cluster)
        intents: dict[str, Intent] = {REPLICA: Resize()}
        context = PlanContext(inventory=cluster, node=node, topology=topology, intents=intents)
        (server,) = declared_server(context)
        assert vars(server)["allow_resize"] is False


class TestCopysConfiguration:
    def test_conf_of_a_copy_when_rendered_then_names_no_instance(self, cluster: Inventory) -> None:
        confs = Plan(cluster, PRIMARY, COPY).all(PgbackrestConf)
        instances = {conf.on: "pg1-path=" in conf.text for conf in confs}
        assert instances == {PRIMARY: True, COPY: False}

    def test_template_of_the_inventory_when_it_always_names_the_instance_then_is_refused(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        folder = lab_inventory(tmp_path / "lab", monkeypatch.setenv)
        add_node(folder, NewNode(name=COPY, role="copy"))
        template = folder / "templates" / "pgbackrest.conf.j2"
        template.parent.mkdir()
        template.write_text("[global]\n[{{ stanza }}]\npg1-path={{ instance.data_directory }}\n")
        inventory = load(folder)
        (conf,) = Plan(inventory, PRIMARY).all(PgbackrestConf)
        assert "pg1-path=/var/lib/postgresql/15/main" in conf.text
        with pytest.raises(InventoryError, match="data_directory") as refused:
            Plan(inventory, COPY)
        assert str(refused.value.where).endswith("pgbackrest.conf.j2:3")
