"""Who is primary, who follows, who is a restored copy: as declared, or as observed.

The declared role is what a node begins as. A promotion changes the live role and rewrites nobody's
YAML, so what acts on the primary asks a `Topology`, never `node.role`.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self

from pgprovision.inventory.schema.cluster import Inventory, Node


@dataclass(frozen=True)
class LiveRole:
    """What a node's running server says of itself."""

    in_recovery: bool
    """pg_is_in_recovery(): a standby; false where it accepts writes."""
    timeline: int
    system_identifier: str
    upstream: str = ""
    """The host it streams from, as pg_stat_wal_receiver has it; empty where it streams from
    none."""


@dataclass(frozen=True)
class NoPrimary:
    """No member that answered accepts writes."""

    silent: tuple[str, ...]
    """Members without an answer: one of them may be the primary."""


@dataclass(frozen=True)
class SplitBrain:
    """Several members of one cluster accept writes: they hold different histories."""

    timelines: Mapping[str, int]
    """The timeline of each member that accepts writes."""


@dataclass(frozen=True)
class Topology:
    """One primary, its standbys, and the restored copies beside them."""

    primary: Node
    standbys: tuple[Node, ...]
    copies: tuple[Node, ...]
    timeline: int | None = None
    """The primary's; None where nobody was asked."""

    @classmethod
    def declared(cls, inventory: Inventory) -> Self:
        """The roles of nodes/*.yml."""
        return cls._of(inventory, inventory.primary)

    @classmethod
    def observed(
        cls, inventory: Inventory, live: Mapping[str, LiveRole]
    ) -> "Topology | NoPrimary | SplitBrain":
        """The roles that the servers have now; `live` has the nodes that answered, by name.

        Membership is declared: a copy accepts writes and is never the primary, and a member that
        did not answer counts as a standby. A server of another cluster (its system identifier is
        not the declared primary's) is nobody's primary here.
        """
        members = {node.name: live[node.name] for node in inventory.members if node.name in live}
        known = members.get(inventory.primary.name)
        writers = {
            name: role
            for name, role in members.items()
            if not role.in_recovery
            and (known is None or role.system_identifier == known.system_identifier)
        }
        if not writers:
            return NoPrimary(tuple(n.name for n in inventory.members if n.name not in live))
        if len(writers) > 1:
            return SplitBrain({name: role.timeline for name, role in writers.items()})
        ((name, role),) = writers.items()
        return cls._of(inventory, inventory.node(name), role.timeline)

    @classmethod
    def _of(cls, inventory: Inventory, primary: Node, timeline: int | None = None) -> Self:
        standbys = tuple(node for node in inventory.members if node.name != primary.name)
        copies = tuple(node for node in inventory.nodes if node.is_copy)
        return cls(primary, standbys, copies, timeline)

    def is_primary(self, node: Node) -> bool:
        return node.name == self.primary.name

    def is_standby(self, node: Node) -> bool:
        return any(node.name == standby.name for standby in self.standbys)
