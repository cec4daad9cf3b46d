"""A capability of a cluster with its packages, ports, roles, settings and timers."""

from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum

from pgprovision.engine.model import Resource
from pgprovision.inventory.schema.cluster import DatabaseSpec, Inventory, RoleSpec
from pgprovision.resources.postgres.configuration.pg_hba_rules import HbaSection
from pgprovision.resources.postgres.configuration.settings_sizing import ConfSection
from pgprovision.resources.system.host_firewall import FirewallOpening
from pgprovision.tasks.context import PlanContext
from pgprovision.tasks.scope import NodeGroup, Step


class Position(Enum):
    """The position of a feature's tiers in the order of `tasks.tiers`."""

    BEFORE_CONFIGURATION = "before postgresql.conf and pg_hba.conf"
    AFTER_DATABASES = "after roles, databases and what is inside them"
    SCHEDULES = "after the replicas, before the marker"


@dataclass(frozen=True)
class FeatureTier:
    """A tier that a feature adds. Tiers with one title at one position are one tier."""

    position: Position
    title: str
    on: NodeGroup
    steps: tuple[Step, ...]


@dataclass(frozen=True)
class Feature(ABC):
    """One capability. By default a method adds nothing; a feature overrides what it adds.

    It reads the inventory and the plan's context, and no host. `tasks.features.features` lists the
    enabled ones; the tasks use all of them and name none.
    """

    inventory: Inventory

    @property
    @abstractmethod
    def enabled(self) -> bool:
        """Whether the inventory declares it. The other methods are only called if it does."""

    def packages(self) -> tuple[str, ...]:
        """Debian packages for PostgreSQL's version and `apt.source`, installed on every node. No
        unattended upgrade upgrades them."""
        return ()

    def openings(self, context: PlanContext) -> tuple[FirewallOpening, ...]:
        """Ports that the host firewall opens, with their sources and addresses."""
        return ()

    def hba(self, context: PlanContext) -> tuple[HbaSection, ...]:
        """Rules of pg_hba.conf, after the superuser's and before all others."""
        return ()

    def roles(self) -> tuple[RoleSpec, ...]:
        """Roles in addition to the inventory's, each after the roles it is a member of."""
        return ()

    def settings(self, context: PlanContext) -> tuple[ConfSection, ...]:
        """Settings of postgresql.conf; they win over the computed ones, `postgres.settings` wins
        over them. A setting that no section has is added to the section with its title."""
        return ()

    def preload_libraries(self, context: PlanContext) -> tuple[str, ...]:
        """Entries to append to shared_preload_libraries."""
        return ()

    def database_contents(self, database: DatabaseSpec, context: PlanContext) -> Iterator[Resource]:
        """Objects in a declared database, after its schemas and before its grants."""
        yield from ()

    def timers(self) -> tuple[str, ...]:
        """systemd timers of its tiers; `remove-replica` stops them."""
        return ()

    def tiers(self) -> tuple[FeatureTier, ...]:
        """Everything else it does on the nodes, in order."""
        return ()
