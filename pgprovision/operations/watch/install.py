"""The watcher's hands: the bucket it reads, and its timer on this machine."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import NamedTemporaryFile

from pgprovision import report
from pgprovision.clients.object_store import Bucket
from pgprovision.engine.loop import converge
from pgprovision.engine.model import Impact, Tier
from pgprovision.inventory.watch_file import WatchedStore, WatchFile
from pgprovision.operations import schedule
from pgprovision.quote import sh
from pgprovision.resources.system.file import Directory, File
from pgprovision.run.approval import ShowPlan
from pgprovision.run.observers import RunObservers
from pgprovision.run.options import Options
from pgprovision.tasks.timer import CONTROLLER, ScheduledCommand
from pgprovision.transport.host import Host
from pgprovision.transport.local import LocalConnection

WATCH_FOLDER = "/etc/pgprovision/watch"
CRON_WHEN = "*/15 * * * *"


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


def install_watch(file: Path, calendar: str, options: Options) -> int:
    """The file and a timer on this machine, or how to do it by hand. Raises InventoryError where
    it is no such file. It needs no lock and no record: no cluster is here."""
    config = WatchFile.read(file)
    path = f"{WATCH_FOLDER}/{config.cluster}.json"
    argv = (*schedule.own_command(), "watch", "--file", path)
    timer = ScheduledCommand("watch", config.cluster, file.parent, argv, "root", calendar, "1min")
    if schedule.can_install():
        return _converge(watch_tiers(path, config, timer.tiers()), options)
    schedule.show_by_hand(
        timer,
        schedule.cron_line(timer, CRON_WHEN),
        f"by hand: install -D -m 0600 {sh(str(file))} {path}, then the units or the line above",
    )
    return 0


def watch_tiers(path: str, config: WatchFile, timer: tuple[Tier, ...]) -> tuple[Tier, ...]:
    files = (
        Directory(on=CONTROLLER, path=WATCH_FOLDER, mode="0700"),
        File(on=CONTROLLER, path=path, content=config.text(), mode="0600"),
    )
    return (*(Tier("watch file", (one,)) for one in files), *timer)


def _converge(tiers: tuple[Tier, ...], options: Options) -> int:
    targets = {CONTROLLER: Host(CONTROLLER, LocalConnection)}
    progress = report.Progress(quiet=False)
    try:
        outcome = converge(
            tiers,
            targets,
            ShowPlan(Impact.RELOAD).approval(options),
            RunObservers([progress]),
        )
    finally:
        progress.close()
    report.show_outcome(outcome, None)
    return report.exit_code(outcome)
