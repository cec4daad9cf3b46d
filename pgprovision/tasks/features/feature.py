"""A capability of a cluster, and all that it brings: packages, ports, logins, settings, timers."""

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
    """Where in the order of `tasks.tiers` a feature's own tiers stand."""

    BEFORE_CONFIGURATION = "before postgresql.conf and pg_hba.conf"
    AFTER_DATABASES = "after roles, databases and what is inside them"
    SCHEDULES = "after the replicas, before the marker"


@dataclass(frozen=True)
class FeatureTier:
    """A tier of a feature's own. Tiers of one title at one position are one tier."""

    position: Position
    title: str
    on: NodeGroup
    steps: tuple[Step, ...]


@dataclass(frozen=True)
class Feature(ABC):
    """One capability. Each method's default brings nothing; a feature overrides what it brings.

    Pure: it reads the inventory alone and sees no machine. `tasks.features.features` lists the
    enabled ones; the tasks ask every one of them and know none by name.
    """

    inventory: Inventory

    @property
    @abstractmethod
    def enabled(self) -> bool:
        """Whether the inventory asks for it. The other methods are called where it does."""

    def packages(self) -> tuple[str, ...]:
        """Debian packages for PostgreSQL's version and `apt.source`. They are installed on every
        node and held: no unattended upgrade takes them."""
        return ()

    def openings(self, context: PlanContext) -> tuple[FirewallOpening, ...]:
        """Ports that the host firewall opens, to whom and on which address."""
        return ()

    def hba(self, context: PlanContext) -> tuple[HbaSection, ...]:
        """Lines of pg_hba.conf. They stand after the superuser's and before all others."""
        return ()

    def roles(self) -> tuple[RoleSpec, ...]:
        """Roles beside the inventory's, each after the roles it is a member of."""
        return ()

    def settings(self, context: PlanContext) -> tuple[ConfSection, ...]:
        """Settings of postgresql.conf, over the computed ones and under `postgres.settings`. A
        setting that no section has stands at the end of the section of its title."""
        return ()

    def preload_libraries(self, context: PlanContext) -> tuple[str, ...]:
        """Entries of shared_preload_libraries, behind the ones that are there."""
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
