"""What a step is given: the node it is for, and the plan it is part of."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import cached_property
from types import MappingProxyType
from typing import Self

from pgprovision.inventory.schema.cluster import Inventory, Node
from pgprovision.inventory.topology import LiveRole, NoPrimary, SplitBrain, Topology
from pgprovision.recovery_target import END_OF_WAL, RecoveryTarget
from pgprovision.resources.postgres.server.instance import Instance
from pgprovision.resources.postgres.server.snapshot import ServerSnapshot, SnapshotQuery
from pgprovision.tasks import paths
from pgprovision.tasks.intent import KEEP, Intent, Rebuild, Reclone, Restore

NO_INTENTS: Mapping[str, Intent] = MappingProxyType({})


def utc_now() -> datetime:
    return datetime.now(UTC)


@dataclass(frozen=True, kw_only=True)
class PlanContext:
    """One node of a plan. Every step takes it and yields resources for `node`."""

    inventory: Inventory
    node: Node
    topology: Topology
    """Who is primary: no step reads the declared role where the live one is meant."""
    in_scope: tuple[Node, ...] = ()
    """The nodes of this run."""
    intents: Mapping[str, Intent] = field(default_factory=lambda: NO_INTENTS)
    """What this run is to do with a node, by its name; Keep where it has none."""
    now: datetime = field(default_factory=utc_now)
    """The time for which certificates have to be valid."""

    @classmethod
    def declared(cls, inventory: Inventory, node: Node) -> Self:
        """A node by itself, in the roles of the inventory."""
        return cls(inventory=inventory, node=node, topology=Topology.declared(inventory))

    def at(self, node: Node) -> Self:
        """This plan, for another node."""
        return replace(self, node=node)

    @property
    def on(self) -> str:
        """The target's name."""
        return self.node.name

    @property
    def primary(self) -> Node:
        return self.topology.primary

    @cached_property
    def instance(self) -> Instance:
        return paths.instance(self.inventory)

    @cached_property
    def snapshot(self) -> SnapshotQuery:
        return paths.snapshot(self.inventory)

    @property
    def is_primary(self) -> bool:
        return self.topology.is_primary(self.node)

    @property
    def is_standby(self) -> bool:
        return self.topology.is_standby(self.node)

    @property
    def is_copy(self) -> bool:
        return self.node.is_copy

    @property
    def needs_existing_primary(self) -> bool:
        """Whether this run makes standbys of a primary that it leaves as it is."""
        names = {node.name for node in self.in_scope}
        standbys = any(map(self.topology.is_standby, self.in_scope))
        return standbys and self.primary.name not in names

    @property
    def intent(self) -> Intent:
        return self.intent_of(self.node)

    def intent_of(self, node: Node) -> Intent:
        return self.intents.get(node.name, KEEP)

    @property
    def recreates_data(self) -> bool:
        """Whether the data directory that the node has now counts as absent."""
        return isinstance(self.intent, Reclone | Restore)

    @property
    def existing_inode(self) -> str:
        """Of the data directory that counts as absent; empty: none does."""
        match self.intent:
            case Reclone(inode) | Restore(_, inode):
                return inode
            case _:
                return ""

    @property
    def restores_data(self) -> bool:
        """Whether the data come from the backups; a copy's always do."""
        return self.is_copy or isinstance(self.intent, Restore | Rebuild)

    @property
    def recovery_target(self) -> RecoveryTarget:
        """Where the recovery of data from the backups stops."""
        match self.intent:
            case Restore(target) | Rebuild(target):
                return target
            case _:
                declared = self.node.restore
                return declared.recovery_target() if declared else END_OF_WAL


def live_role(server: ServerSnapshot) -> LiveRole:
    """A server's role, as its snapshot shows it."""
    upstream = (server.receiver or {}).get("sender_host") or ""
    return LiveRole(server.in_recovery, server.timeline, server.system_identifier, str(upstream))


def observed_topology(
    inventory: Inventory, servers: Mapping[str, ServerSnapshot | None]
) -> Topology | NoPrimary | SplitBrain:
    """The live roles, of the servers that answered."""
    live = {name: live_role(server) for name, server in servers.items() if server is not None}
    return Topology.observed(inventory, live)
