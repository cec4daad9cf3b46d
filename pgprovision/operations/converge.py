"""plan, drift, up: what the nodes of a scope should be; shown, or carried out."""

from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import ClassVar

from pgprovision import tasks
from pgprovision.engine.model import Impact
from pgprovision.errors import InventoryError
from pgprovision.inventory.schema.cluster import Inventory
from pgprovision.run.approval import Confirmation, ObserveOnly, ShowPlan
from pgprovision.run.operation import Operation, Prepared, Run
from pgprovision.run.saved_plan import AsSaved, SavedPlan, load_plan, save_plan
from pgprovision.run.targets import Targets
from pgprovision.server_offers import Quote
from pgprovision.tasks.cloud import server_quote


@dataclass(frozen=True)
class Converge(Operation):
    """Everything that the nodes of a scope should be."""

    scope: str = "all"

    @property
    def nodes_meant(self) -> str:
        """The scope that counts."""
        return self.scope

    @property
    def confirmation(self) -> Confirmation:
        """What allows it: only to look, unless a verb says otherwise."""
        return ObserveOnly()

    def check(self, inventory: Inventory) -> None:
        inventory.select(self.nodes_meant)

    def server_offers(self, inventory: Inventory, targets: Targets) -> Quote:
        return server_quote(targets.cloud, inventory, inventory.select(self.nodes_meant))

    def prepare(self, inventory: Inventory, targets: Targets) -> Prepared:
        nodes = inventory.select(self.nodes_meant)
        return Prepared(
            tiers=tasks.tiers(inventory, nodes, datetime.now(UTC)), confirmation=self.confirmation
        )


@dataclass(frozen=True)
class Plan(Converge):
    """`plan`: every change that `up` would make."""

    command: ClassVar[str] = "plan"
    out: Path | None = None
    """The file to keep it in."""

    def finished(self, run: Run) -> int:
        if self.out is not None and run.failure is None:
            save_plan(
                self.out,
                run.inventory.folder,
                run.inventory.cluster,
                self.scope,
                run.report.remaining,
            )
        return run.exit_code


@dataclass(frozen=True)
class Drift(Converge):
    """`drift`: what differs from the inventory, for cron."""

    command: ClassVar[str] = "drift"


@dataclass(frozen=True)
class Up(Converge):
    """`up`: the plan is shown and confirmed, or is one that was saved and still holds."""

    command: ClassVar[str] = "up"
    saved_plan: Path | None = None
    """The file of a plan that was read before; nobody is asked again."""
    allow: Impact = Impact.RELOAD

    @cached_property
    def saved(self) -> SavedPlan | None:
        """Raises InventoryError where the file holds no plan."""
        return load_plan(self.saved_plan) if self.saved_plan is not None else None

    @property
    def nodes_meant(self) -> str:
        return self.saved.scope if self.saved else self.scope

    @property
    def confirmation(self) -> Confirmation:
        return AsSaved(self.saved, self.allow) if self.saved else ShowPlan(self.allow)

    def check(self, inventory: Inventory) -> None:
        if self.saved is not None:
            self.saved.check_inventory(inventory.folder, inventory.cluster)
            if self.scope not in ("all", self.saved.scope):
                raise InventoryError(
                    f"the saved plan is for {self.saved.scope}, not for {self.scope}"
                )
        super().check(inventory)
