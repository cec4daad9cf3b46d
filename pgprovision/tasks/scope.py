"""The nodes of a plan, in groups."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from pgprovision.engine.model import Resource, Tier
from pgprovision.inventory.schema.cluster import Inventory, Node
from pgprovision.inventory.topology import Topology
from pgprovision.tasks.context import PlanContext
from pgprovision.tasks.intent import Intent, Restore

Step = Callable[[PlanContext], Iterable[Resource]]
NodeGroup = Literal["members", "primary", "copies"]


@dataclass(frozen=True, kw_only=True)
class PlanScope:
    """The nodes of a plan. The groups keep the order of `nodes`."""

    inventory: Inventory
    nodes: tuple[Node, ...]
    """The nodes that are brought to their desired state."""
    also_open_access_on: tuple[Node, ...]
    """Other nodes: only their access rules are brought up to date."""
    topology: Topology
    intents: Mapping[str, Intent]
    now: datetime

    def context(self, node: Node) -> PlanContext:
        """The argument of a step for this node."""
        return PlanContext(
            inventory=self.inventory,
            node=node,
            topology=self.topology,
            in_scope=self.nodes,
            intents=self.intents,
            now=self.now,
        )

    def tier(self, title: str, on: Iterable[Node], *steps: Step, phase: str = "") -> Tier:
        """Every step for the first node, then for the next one."""
        contexts = map(self.context, on)
        resources = (found for context in contexts for step in steps for found in step(context))
        return Tier(title, tuple(resources), phase)

    def group(self, name: NodeGroup) -> tuple[Node, ...]:
        """The nodes that a feature's tier is for."""
        return {"members": self.members, "primary": self.primary, "copies": self.copies}[name]

    @property
    def primary(self) -> tuple[Node, ...]:
        """The primary, where it is among `nodes`."""
        return tuple(filter(self.topology.is_primary, self.nodes))

    @property
    def standbys(self) -> tuple[Node, ...]:
        return tuple(filter(self.topology.is_standby, self.nodes))

    @property
    def copies(self) -> tuple[Node, ...]:
        return tuple(node for node in self.nodes if node.is_copy)

    @property
    def members(self) -> tuple[Node, ...]:
        """All but copies."""
        return tuple(node for node in self.nodes if not node.is_copy)

    @property
    def writable(self) -> tuple[Node, ...]:
        """The primary and the copies: they accept writes."""
        return (*self.primary, *self.copies)

    @property
    def restored(self) -> tuple[Node, ...]:
        """Nodes with data from the backups."""
        return tuple(node for node in self.nodes if self.context(node).restores_data)

    @property
    def new_primary(self) -> tuple[Node, ...]:
        """The primary, where its cluster is made by initdb if there is none."""
        return tuple(node for node in self.primary if node not in self.restored)

    @property
    def configuration_directories(self) -> tuple[Node, ...]:
        """Nodes to create a configuration directory for. A restore in place is of finished nodes,
        which have one."""
        if any(isinstance(intent, Restore) for intent in self.intents.values()):
            return ()
        return (*self.standbys, *self.restored)

    @property
    def upstream(self) -> tuple[Node, ...]:
        """The primary that this run creates standbys for and does not converge itself."""
        return (self.topology.primary,) if self.standbys and not self.primary else ()

    @property
    def access_only(self) -> tuple[Node, ...]:
        """Nodes on which only access is brought up to date."""
        return (*self.upstream, *self.also_open_access_on)

    @property
    def split_brain_check_on(self) -> tuple[Node, ...]:
        """The primary; nobody, where all nodes are copies, which need none."""
        return (self.topology.primary,) if self.members or not self.copies else ()
