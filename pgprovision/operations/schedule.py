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
from pgprovision.run.approval import approval
from pgprovision.run.run import run
from pgprovision.tasks.timer import Timer

VERSION = 1
SYSTEMD = Path("/run/systemd/system")  # sd_booted(3)
CRON = {"hourly": "17 * * * *", "daily": "0 4 * * *", "weekly": "0 4 * * 0"}
MONTHLY = "0 4 1 * *"
_CALENDAR = re.compile(r"[A-Za-z0-9*][A-Za-z0-9 *:.,/~+_-]*")


def install(
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
    words = (*_program(), "-i", str(inventory.folder.resolve()), verb, *options)
    timer = Timer(
        verb=verb,
        cluster=inventory.cluster,
        folder=inventory.folder,
        words=words,
        user=os.environ.get("SUDO_USER") or getpass.getuser(),
        calendar=calendar,
    )
    if SYSTEMD.is_dir() and os.geteuid() == 0:
        ask = approval(Impact.RELOAD, yes=yes, quiet=json)
        code = run(
            f"{verb} install", inventory, lambda targets: timer.tiers(), ask, json=json, wait=wait
        )
        if not json:
            report.say_aside(f"what the inventory takes with !env belongs into {timer.environment}")
        return code
    _print(timer, json=json)
    return 0


def _program() -> tuple[str, ...]:
    """What started this, by its full path."""
    script = shutil.which("pgprovision", path=str(Path(sys.executable).parent))
    return (script,) if script else (sys.executable, "-m", "pgprovision.cli.app")


def _print(timer: Timer, *, json: bool) -> None:
    cron = f"{CRON.get(timer.calendar, MONTHLY)} {sh(*timer.words)}"
    if json:
        document = {
            "version": VERSION,
            "command": f"{timer.verb} install",
            "cluster": timer.cluster,
            "installed": False,
            "units": timer.units(),
            "cron": cron,
        }
        report.emit(document)
        return
    for path, text in timer.units().items():
        report.verbatim(f"# --- {path}\n{text}\n")
    report.verbatim(f"# or, where cron does it:\n# {cron}\n")
    report.say_aside(
        "nothing was installed: that needs root and systemd on this machine; with the files in"
        f" place: systemctl daemon-reload && systemctl enable --now {timer.name}.timer"
    )
