"""drill install: a restore practised on a schedule, on this machine."""

import getpass
import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from pgprovision import report
from pgprovision.engine.model import Impact
from pgprovision.inventory.schema.cluster import Inventory
from pgprovision.operations import schedule
from pgprovision.operations.drill.drill import check_possible
from pgprovision.run.approval import ShowPlan
from pgprovision.run.operation import Operation, Prepared, Run
from pgprovision.run.targets import Targets
from pgprovision.tasks.timer import ScheduledCommand


@dataclass(frozen=True)
class InstallDrill(Operation):
    """`drill install`: a timer of systemd; its text where this machine has none for us."""

    command: ClassVar[str] = "drill install"
    calendar: str
    """When, as OnCalendar of systemd."""

    def check(self, inventory: Inventory) -> None:
        check_possible(inventory, inventory.backup.drill.host if inventory.backup else None)
        schedule.check_calendar(self.calendar)

    def prepare(self, inventory: Inventory, targets: Targets) -> Prepared:
        return Prepared(tiers=self._timer(inventory).tiers(), confirmation=ShowPlan(Impact.RELOAD))

    def carry_out(self, run: Run) -> None:
        if schedule.can_install():
            super().carry_out(run)

    def document(self, run: Run) -> Mapping[str, Any]:
        if schedule.can_install():
            return super().document(run)
        timer = self._timer(run.inventory)
        return {
            **report.envelope(command=self.command, cluster=run.inventory.cluster),
            "installed": False,
            "units": timer.units(),
            "cron": schedule.cron_line(timer),
        }

    def show(self, run: Run) -> None:
        timer = self._timer(run.inventory)
        if schedule.can_install():
            super().show(run)
            report.print_note(
                f"put the variables the inventory reads with !env into {timer.environment}"
            )
        else:
            schedule.show_by_hand(
                timer,
                schedule.cron_line(timer),
                "with the files in place: systemctl daemon-reload &&"
                f" systemctl enable --now {timer.name}.timer",
            )

    def _timer(self, inventory: Inventory) -> ScheduledCommand:
        folder = str(inventory.folder.resolve())
        return ScheduledCommand(
            verb="drill",
            cluster=inventory.cluster,
            folder=inventory.folder,
            argv=(*schedule.own_command(), "-i", folder, "drill", "--yes"),
            user=os.environ.get("SUDO_USER") or getpass.getuser(),
            calendar=self.calendar,
        )
