"""The watcher's hands: the bucket it reads, and its timer on this machine."""

import os
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import NamedTemporaryFile

from pgprovision import report
from pgprovision.clients.object_store import Bucket
from pgprovision.engine.model import Impact, Tier
from pgprovision.inventory.watch_file import WatchedStore, WatchFile
from pgprovision.quote import sh
from pgprovision.run.approval import impact_approval

SYSTEMD_RUNNING = Path("/run/systemd/system")  # sd_booted(3)
WATCH_FOLDER = "/etc/pgprovision/watch"


@contextmanager
def open_bucket(store: WatchedStore) -> Iterator[Bucket]:
    """The bucket, its private authority in a file for as long as this lasts."""
    with NamedTemporaryFile("w", prefix="pgprovision-ca-", suffix=".pem") as ca_file:
        ca_file.write(store.ca or "")
        ca_file.flush()
        yield Bucket(
            endpoint=store.endpoint,
            port=store.port,
            region=store.region,
            name=store.bucket,
            uri_style=store.uri_style,
            key=store.key,
            secret=store.key_secret,
            ca_file=Path(ca_file.name) if store.ca else None,
        )


def install_watch(file: Path, config: WatchFile, calendar: str, *, yes: bool) -> int:
    """The file and a timer on this machine, or how to do it by hand."""
    from pgprovision.tasks.timer import ScheduledCommand

    path = f"{WATCH_FOLDER}/{config.cluster}.json"
    argv = (*_own_command(), "watch", "--file", path)
    timer = ScheduledCommand("watch", config.cluster, file.parent, argv, "root", calendar, "1min")
    if not SYSTEMD_RUNNING.is_dir() or os.geteuid() != 0:
        for unit, text in timer.units().items():
            report.print_verbatim(f"# --- {unit}\n{text}\n")
        report.print_verbatim(f"# or, where cron does it:\n# */15 * * * * {sh(*argv)}\n")
        report.print_note(
            "nothing was installed: that needs root and systemd on this machine; by hand:"
            f" install -D -m 0600 {sh(str(file))} {path}, then the units or the line above"
        )
        return 0
    return _converge(watch_tiers(path, config, timer.tiers()), yes=yes)


def watch_tiers(path: str, config: WatchFile, timer: tuple[Tier, ...]) -> tuple[Tier, ...]:
    from pgprovision.resources.system.file import Directory, File
    from pgprovision.tasks.timer import CONTROLLER

    files = (
        Directory(on=CONTROLLER, path=WATCH_FOLDER, mode="0700"),
        File(on=CONTROLLER, path=path, content=config.text(), mode="0600"),
    )
    return (*(Tier("what to watch", (one,)) for one in files), *timer)


def _converge(tiers: tuple[Tier, ...], *, yes: bool) -> int:
    from pgprovision.engine.loop import converge
    from pgprovision.run.observers import RunObservers
    from pgprovision.tasks.timer import CONTROLLER
    from pgprovision.transport.host import Host
    from pgprovision.transport.local import LocalConnection

    progress = report.Progress(quiet=False)
    approve = impact_approval(Impact.RELOAD, yes=yes, quiet=False)
    try:
        outcome = converge(
            tiers,
            {CONTROLLER: Host(CONTROLLER, LocalConnection)},
            approve,
            RunObservers([progress]),
        )
    finally:
        progress.close()
    report.show_outcome(outcome, None)
    return report.exit_code(outcome)


def _own_command() -> tuple[str, ...]:
    """What started this, by its full path."""
    script = shutil.which("pgprovision", path=str(Path(sys.executable).parent))
    return (script,) if script else (sys.executable, "-m", "pgprovision.cli.app")
