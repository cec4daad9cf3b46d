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
from pgprovision.inventory.watch_file import Store, WatchFile
from pgprovision.quote import sh
from pgprovision.run.approval import approval

SYSTEMD = Path("/run/systemd/system")  # sd_booted(3)
FOLDER = "/etc/pgprovision/watch"


@contextmanager
def bucket(store: Store) -> Iterator[Bucket]:
    """The bucket, its private authority in a file for as long as this lasts."""
    with NamedTemporaryFile("w", prefix="pgprovision-ca-", suffix=".pem") as authority:
        authority.write(store.ca or "")
        authority.flush()
        yield Bucket(
            endpoint=store.endpoint,
            port=store.port,
            region=store.region,
            name=store.bucket,
            uri_style=store.uri_style,
            key=store.key,
            secret=store.key_secret,
            ca_file=Path(authority.name) if store.ca else None,
        )


def installed(file: Path, wanted: WatchFile, calendar: str, *, yes: bool) -> int:
    """The file and a timer on this machine, or how to do it by hand."""
    from pgprovision.tasks.timer import Timer

    path = f"{FOLDER}/{wanted.cluster}.json"
    words = (*_program(), "watch", "--file", path)
    timer = Timer("watch", wanted.cluster, file.parent, words, "root", calendar, "1min")
    if not SYSTEMD.is_dir() or os.geteuid() != 0:
        for unit, text in timer.units().items():
            report.verbatim(f"# --- {unit}\n{text}\n")
        report.verbatim(f"# or, where cron does it:\n# */15 * * * * {sh(*words)}\n")
        report.say_aside(
            "nothing was installed: that needs root and systemd on this machine; by hand:"
            f" install -D -m 0600 {sh(str(file))} {path}, then the units or the line above"
        )
        return 0
    return _converged(wished(path, wanted, timer.tiers()), yes=yes)


def wished(path: str, wanted: WatchFile, timer: tuple[Tier, ...]) -> tuple[Tier, ...]:
    from pgprovision.resources.system.file import Directory, File
    from pgprovision.tasks.timer import HERE

    held = (
        Directory(on=HERE, path=FOLDER, mode="0700"),
        File(on=HERE, path=path, content=wanted.text(), mode="0600"),
    )
    return (*(Tier("what to watch", (one,)) for one in held), *timer)


def _converged(tiers: tuple[Tier, ...], *, yes: bool) -> int:
    from pgprovision.engine.loop import converge
    from pgprovision.run.observers import Watchers
    from pgprovision.tasks.timer import HERE
    from pgprovision.transport.host import Host
    from pgprovision.transport.local import LocalWire

    progress = report.Progress(quiet=False)
    ask = approval(Impact.RELOAD, yes=yes, quiet=False)
    try:
        outcome = converge(tiers, {HERE: Host(HERE, LocalWire)}, ask, Watchers([progress]))
    finally:
        progress.close()
    report.show_outcome(outcome, None)
    return report.exit_code(outcome)


def _program() -> tuple[str, ...]:
    """What started this, by its full path."""
    script = shutil.which("pgprovision", path=str(Path(sys.executable).parent))
    return (script,) if script else (sys.executable, "-m", "pgprovision.cli.app")
