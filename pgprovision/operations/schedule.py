"""A verb on a schedule on this machine: installed, or printed where there is no systemd for it."""

import getpass
import os
import re
import shutil
import sys
from pathlib import Path

from pgprovision import report
from pgprovision.engine.model import Impact
from pgprovision.errors import InventoryError
from pgprovision.inventory.schema.cluster import Inventory
from pgprovision.quote import sh
from pgprovision.run.approval import impact_approval
from pgprovision.run.run import run
from pgprovision.tasks.timer import ScheduledCommand

JSON_VERSION = 1
SYSTEMD_RUNNING = Path("/run/systemd/system")  # sd_booted(3)
CRON_LINES = {"hourly": "17 * * * *", "daily": "0 4 * * *", "weekly": "0 4 * * 0"}
CRON_MONTHLY = "0 4 1 * *"
_CALENDAR = re.compile(r"[A-Za-z0-9*][A-Za-z0-9 *:.,/~+_-]*")


def install_timer(
    inventory: Inventory,
    verb: str,
    options: tuple[str, ...],
    calendar: str,
    *,
    yes: bool,
    json: bool,
    wait: float = 0.0,
) -> int:
    """`verb options` at the moments of `calendar`. Raises InventoryError where that is none."""
    if not _CALENDAR.fullmatch(calendar):
        raise InventoryError(
            f"--calendar: {calendar!r} is no OnCalendar of systemd",
            next="for instance: --calendar monthly, or --calendar 'Sun *-*-01..07 04:00'",
        )
    argv = (*_own_command(), "-i", str(inventory.folder.resolve()), verb, *options)
    timer = ScheduledCommand(
        verb=verb,
        cluster=inventory.cluster,
        folder=inventory.folder,
        argv=argv,
        user=os.environ.get("SUDO_USER") or getpass.getuser(),
        calendar=calendar,
    )
    if SYSTEMD_RUNNING.is_dir() and os.geteuid() == 0:
        approve = impact_approval(Impact.RELOAD, yes=yes, quiet=json)
        code = run(
            f"{verb} install",
            inventory,
            lambda targets: timer.tiers(),
            approve,
            json=json,
            wait=wait,
        )
        if not json:
            report.print_note(
                f"what the inventory takes with !env belongs into {timer.environment}"
            )
        return code
    _print(timer, json=json)
    return 0


def _own_command() -> tuple[str, ...]:
    """What started this, by its full path."""
    script = shutil.which("pgprovision", path=str(Path(sys.executable).parent))
    return (script,) if script else (sys.executable, "-m", "pgprovision.cli.app")


def _print(timer: ScheduledCommand, *, json: bool) -> None:
    cron = f"{CRON_LINES.get(timer.calendar, CRON_MONTHLY)} {sh(*timer.argv)}"
    if json:
        document = {
            "version": JSON_VERSION,
            "command": f"{timer.verb} install",
            "cluster": timer.cluster,
            "installed": False,
            "units": timer.units(),
            "cron": cron,
        }
        report.print_json(document)
        return
    for path, text in timer.units().items():
        report.print_verbatim(f"# --- {path}\n{text}\n")
    report.print_verbatim(f"# or, where cron does it:\n# {cron}\n")
    report.print_note(
        "nothing was installed: that needs root and systemd on this machine; with the files in"
        f" place: systemctl daemon-reload && systemctl enable --now {timer.name}.timer"
    )
