"""A streaming replica more: its file, its server, its data; the others learn of it."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import ClassVar

from pgprovision import tasks
from pgprovision.engine.model import Impact
from pgprovision.inventory.edit.add_node import NewNode
from pgprovision.inventory.schema.cluster import Inventory, Node
from pgprovision.operations.new_node import load_with_node
from pgprovision.operations.reachable_replicas import reachable_replicas
from pgprovision.run.approval import ShowPlan
from pgprovision.run.operation import Operation, Prepared
from pgprovision.run.options import Options
from pgprovision.run.targets import Targets
from pgprovision.server_offers import Quote
from pgprovision.tasks.cloud import server_quote


@dataclass(frozen=True, kw_only=True)
class AddReplica(Operation):
    """`add-replica NAME`. What is empty is left to the inventory."""

    command: ClassVar[str] = "add-replica"
    name: str
    private_ip: str = ""
    """Empty: the next free one."""
    address: str = ""
    """Of an existing host; empty: a server is created."""
    server_type: str = ""
    location: str = ""
    clone_from: str = ""
    """Where its first data come from: primary or backup."""
    allow: Impact = Impact.RELOAD

    def load(self, options: Options) -> Inventory:
        node = NewNode(
            name=self.name,
            private_ip=self.private_ip,
            address=self.address,
            server_type=self.server_type,
            location=self.location,
            clone_from=self.clone_from,
        )
        return load_with_node(options, node)

    def server_offers(self, inventory: Inventory, targets: Targets) -> Quote:
        return server_quote(targets.cloud, inventory, self._nodes(inventory))

    def prepare(self, inventory: Inventory, targets: Targets) -> Prepared:
        others = reachable_replicas(inventory, self.name, targets)
        return Prepared(
            tiers=tasks.tiers(inventory, self._nodes(inventory), datetime.now(UTC), others.nodes),
            notes=others.notes,
            confirmation=ShowPlan(self.allow),
        )

    def _nodes(self, inventory: Inventory) -> Sequence[Node]:
        return inventory.primary, inventory.node(self.name)
