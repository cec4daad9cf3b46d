"""A verb on a schedule on this machine: who installs it, or how it is done by hand."""

import os
import re
import shutil
import sys
from pathlib import Path

from pgprovision import report
from pgprovision.errors import InventoryError
from pgprovision.quote import sh
from pgprovision.tasks.timer import ScheduledCommand

SYSTEMD_RUNNING = Path("/run/systemd/system")  # sd_booted(3)
CRON_LINES = {"hourly": "17 * * * *", "daily": "0 4 * * *", "weekly": "0 4 * * 0"}
CRON_MONTHLY = "0 4 1 * *"
_CALENDAR = re.compile(r"[A-Za-z0-9*][A-Za-z0-9 *:.,/~+_-]*")


def can_install() -> bool:
    """Whether this machine has systemd and we are its root."""
    return SYSTEMD_RUNNING.is_dir() and os.geteuid() == 0


def check_calendar(calendar: str) -> None:
    """Raises InventoryError where it is no OnCalendar."""
    if not _CALENDAR.fullmatch(calendar):
        raise InventoryError(
            f"--calendar: {calendar!r} is no OnCalendar of systemd",
            next="for instance: --calendar monthly, or --calendar 'Sun *-*-01..07 04:00'",
        )


def own_command() -> tuple[str, ...]:
    """What started this, by its full path."""
    script = shutil.which("pgprovision", path=str(Path(sys.executable).parent))
    return (script,) if script else (sys.executable, "-m", "pgprovision.cli.app")


def cron_line(timer: ScheduledCommand, when: str = "") -> str:
    """The same for cron; `when` in cron's words, where the calendar's is not meant."""
    return f"{when or CRON_LINES.get(timer.calendar, CRON_MONTHLY)} {sh(*timer.argv)}"


def show_by_hand(timer: ScheduledCommand, cron: str, by_hand: str) -> None:
    """The units and a line for cron, as files to paste; `by_hand`: what to do with them."""
    for path, text in timer.units().items():
        report.print_verbatim(f"# --- {path}\n{text}\n")
    report.print_verbatim(f"# or, where cron does it:\n# {cron}\n")
    report.print_note(
        f"nothing was installed: that needs root and systemd on this machine; {by_hand}"
    )
