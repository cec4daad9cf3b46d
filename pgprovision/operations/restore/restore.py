"""Restores from the repository.

To a new node, which is a copy and no part of the cluster; or onto a node of ours, with its data
set aside. Of the primary that is the cluster's next history: its replicas are cloned again in
the same run, as what they hold is of a future that did not happen.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, ClassVar

from pgprovision import report, tasks
from pgprovision.engine.model import Impact, Tier
from pgprovision.engine.observe import Target as Machine
from pgprovision.errors import InventoryError, Refused, Unreachable
from pgprovision.inventory.edit.add_node import NewNode
from pgprovision.inventory.schema.cluster import Inventory, Node
from pgprovision.inventory.schema.restore import RestoreSpec
from pgprovision.inventory.topology import Topology
from pgprovision.operations import reclone
from pgprovision.operations.new_node import load_with_node
from pgprovision.operations.reclone import ExistingData
from pgprovision.operations.remove_replica import without_node
from pgprovision.operations.restore.restorable import read_repository_view, require_backup
from pgprovision.operations.restore.result import restore_result
from pgprovision.recovery_target import NOTHING_CHANGED, RecoveryTarget
from pgprovision.run.approval import NameConfirmation, ShowPlan
from pgprovision.run.operation import Operation, Prepared, Run
from pgprovision.run.options import Options
from pgprovision.run.targets import Targets
from pgprovision.server_offers import Quote
from pgprovision.tasks import intent
from pgprovision.tasks.cloud import server_quote
from pgprovision.tasks.paths import instance


def check_destination(to: str, in_place: str) -> None:
    """Raises InventoryError unless exactly one of the two is given."""
    if bool(to) == bool(in_place):
        raise InventoryError(
            "expected either --to NAME, a new node, or --in-place NODE, one of ours",
            done=NOTHING_CHANGED,
            next="pgprovision restore plan; pgprovision restore --to copy-1 --time"
            " '2026-11-29 03:00+01:00'",
        )


@dataclass(frozen=True, kw_only=True)
class Restore(Operation):
    """A node with data from the backups, as of a point in history."""

    command: ClassVar[str] = "restore"
    name: str
    """The node's."""
    target: RecoveryTarget

    def details(self, run: Run) -> Mapping[str, Any]:
        node = run.inventory.node(self.name)
        return {"restored": restore_result(run.inventory, node, run.targets)}

    def show(self, run: Run) -> None:
        if run.details:
            report.show_restore_result(self.name, run.details["restored"])
        super().show(run)


@dataclass(frozen=True, kw_only=True)
class RestoreToNewNode(Restore):
    """`restore --to NAME`: a copy. What is empty is left to the inventory."""

    private_ip: str = ""
    """Empty: the next free one."""
    address: str = ""
    """Of an existing host; empty: a server is created."""
    server_type: str = ""
    location: str = ""

    def load(self, options: Options) -> Inventory:
        node = NewNode(
            name=self.name,
            role="copy",
            private_ip=self.private_ip,
            address=self.address,
            server_type=self.server_type,
            location=self.location,
            restore=RestoreSpec.as_yaml(self.target),
        )
        return load_with_node(options, node, self._check_target)

    def server_offers(self, inventory: Inventory, targets: Targets) -> Quote:
        return server_quote(targets.cloud, inventory, (inventory.node(self.name),))

    def prepare(self, inventory: Inventory, targets: Targets) -> Prepared:
        nodes = (inventory.node(self.name),)
        return Prepared(
            tiers=tasks.tiers(inventory, nodes, datetime.now(UTC)),
            confirmation=ShowPlan(Impact.RELOAD),
        )

    def _check_target(self, inventory: Inventory) -> None:
        """Raises InventoryError, Refused where it is not in the repository: before the node's file
        is written, and so never asked of the node itself."""
        require_backup(inventory)
        present = without_node(inventory, self.name)
        with Targets(present) as targets:
            targets.check_cloud()
            try:
                choice = read_repository_view(present, targets).choose(self.target)
                report.print_note(f"{self.target}: from backup {choice.backup.label}")
            except Unreachable as error:
                report.print_note(f"{error.what}\nthe new node will look for itself")


@dataclass(frozen=True, kw_only=True)
class RestoreInPlace(Restore):
    """`restore --in-place NODE`: its data are renamed aside."""

    confirm: str = ""
    """The node's name, to confirm without a prompt."""

    def check(self, inventory: Inventory) -> None:
        require_backup(inventory)
        in_place_node(inventory, self.name)

    def prepare(self, inventory: Inventory, targets: Targets) -> Prepared:
        node = in_place_node(inventory, self.name)
        read_repository_view(inventory, targets).choose(self.target)
        existing = existing_data(inventory, targets, node)
        others = " and clone its replicas again" if node.is_primary and inventory.replicas else ""
        return Prepared(
            tiers=tiers(inventory, node, self.target, existing, datetime.now(UTC)),
            confirmation=NameConfirmation(
                self.name,
                f"Type {self.name} to put data of {self.target} in place of its own{others}",
                given=self.confirm,
                noun="the node's",
            ),
        )


def in_place_node(inventory: Inventory, name: str) -> Node:
    """The node with the data to be replaced. Raises InventoryError, Refused."""
    node = inventory.node(name)
    if node.role == "replica":
        raise Refused(
            f"{name} is a replica: its data are its primary's",
            done=NOTHING_CHANGED,
            next=f"to clone it again: pgprovision re-clone {name}; for an older state beside"
            " the cluster: pgprovision restore --to NEW-NAME",
        )
    return node


def tiers(
    inventory: Inventory,
    node: Node,
    target: RecoveryTarget,
    existing: Mapping[str, ExistingData],
    now: datetime,
) -> tuple[Tier, ...]:
    """The node with the data of `target`, the ones it has now counted as absent; for the primary,
    its replicas cloned again."""
    topology = Topology.declared(inventory)
    nodes = _replaced_nodes(inventory, topology, node)
    intents: dict[str, intent.Intent] = {
        other.name: intent.Reclone(existing[other.name].inode) for other in nodes if other != node
    }
    intents[node.name] = intent.Restore(target, existing[node.name].inode)
    return tasks.tiers(inventory, nodes, now, topology=topology, intents=intents)


def _replaced_nodes(inventory: Inventory, topology: Topology, node: Node) -> tuple[Node, ...]:
    """The nodes with data that a restore onto `node` replaces: the primary's standbys as well."""
    return inventory.members if topology.is_primary(node) else (node,)


def existing_data(
    inventory: Inventory, targets: Mapping[str, Machine], node: Node
) -> dict[str, ExistingData]:
    """The data directories that are to be replaced. Raises Unreachable: all have to answer."""
    probe = reclone.existing_data_probe(instance(inventory))
    found = {}
    for other in _replaced_nodes(inventory, Topology.declared(inventory), node):
        answers = targets[other.name].observe((probe,))
        found[other.name] = (
            reclone.parse_existing_data(answers[probe])
            if isinstance(answers, Mapping)
            else ExistingData()
        )
    return found
