"""unlock: break a host's lock."""

from dataclasses import dataclass
from typing import ClassVar

from pgprovision.engine.model import Impact, Tier
from pgprovision.inventory.schema.cluster import Inventory
from pgprovision.resources.system.run_lock import RemovedHostLock
from pgprovision.run.approval import ShowPlan
from pgprovision.run.operation import Operation, Prepared
from pgprovision.run.targets import Targets


@dataclass(frozen=True)
class Unlock(Operation):
    """`unlock NODE RUN-ID`: it cannot wait for the lock that it removes."""

    command: ClassVar[str] = "unlock"
    locks_hosts: ClassVar[bool] = False
    scope: str
    """The nodes meant, nearly always one."""
    run_id: str
    """The id of the run that owns the locks."""

    def check(self, inventory: Inventory) -> None:
        inventory.select(self.scope)

    def prepare(self, inventory: Inventory, targets: Targets) -> Prepared:
        tiers = [
            Tier("host lock", (RemovedHostLock(on=node.name, confirmed_token=self.run_id),))
            for node in inventory.select(self.scope)
        ]
        return Prepared(tiers=tiers, confirmation=ShowPlan(Impact.NONE))
