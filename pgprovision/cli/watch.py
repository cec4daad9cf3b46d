"""watch: the backups judged from outside, by what lies in the bucket; export, install."""

import os
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from pgprovision import report
from pgprovision.cli.options import Json, Options, Yes
from pgprovision.errors import InventoryError, PgprovisionError, StoreError
from pgprovision.inventory import watch_file
from pgprovision.inventory.loader.loader import load
from pgprovision.inventory.watch_file import WatchFile

if TYPE_CHECKING:
    from pgprovision.operations.watch.rules import Verdict

app = typer.Typer(invoke_without_command=True)
NOW = "PGP_TEST_NOW"  # a moment that tests have instead of the clocks

From = Annotated[
    Path | None,
    typer.Option(
        "--file", help="What `watch export` wrote, where there is no inventory.", metavar="FILE"
    ),
]


@app.callback()
def watch(context: typer.Context, file: From = None, json: Json = False) -> int:
    """Judge the backups by what lies in the bucket: age, WAL without holes, manifests, clocks.

    Needs neither hosts nor cloud nor passphrase. Exit 1 with every alarm named, 6 where the bucket
    cannot be read, which is an alarm, too. Asks for heartbeat_url after a success and only then.
    """
    if context.invoked_subcommand:
        return 0
    from pgprovision.operations.watch import report as operation

    options: Options = context.obj
    wanted = _file(options, file)
    verdict = _looked(wanted, known=file is None)
    document = operation.document(wanted, verdict, {})
    sent, failed = _told(wanted, document)
    verdict = operation.with_unsent(verdict, failed)
    document = operation.document(wanted, verdict, sent)
    if json:
        report.emit(document)
    else:
        report.show_watch(document)
    codes = {operation.FINE: 0, operation.ALARM: 1, operation.UNKNOWN: StoreError.exit_code}
    return codes[operation.state(verdict)]


@app.command("export")
def export(context: typer.Context) -> None:
    """Print what another machine needs to watch: the pair that reads, limits, whom to tell.

    It holds no passphrase, no key that writes and no way to a host.
    """
    options: Options = context.find_root().obj
    inventory = load(options.inventory)
    if inventory.backup and not inventory.backup.repository.reads_only:
        raise InventoryError(
            "there is no key pair that can only read, and one that writes is not given away",
            where=str(options.inventory / "cluster.yml"),
            next="give backup.repository.read_key and read_key_secret; see docs/watch.md",
        )
    report.verbatim(watch_file.of(inventory).text().text())


@app.command("install")
def install(
    file: Annotated[Path, typer.Argument(help="What `watch export` wrote.", metavar="FILE")],
    calendar: Annotated[
        str, typer.Option(help="When, as OnCalendar of systemd.")
    ] = "*-*-* *:00/15:00",
    yes: Yes = False,
) -> int:
    """Have this machine watch on a schedule: the file in /etc/pgprovision/watch, a systemd timer.

    Without systemd, or without root, it prints the units and a line for cron.
    """
    from pgprovision.operations.watch.install import installed

    return installed(file, WatchFile.read(file), calendar, yes=yes)


def _file(options: Options, file: Path | None) -> WatchFile:
    return WatchFile.read(file) if file else watch_file.of(load(options.inventory))


def _looked(wanted: WatchFile, *, known: bool) -> "Verdict":
    """The verdict, or that there is none. `known`: whether the records of drills lie here."""
    from pgprovision import record
    from pgprovision.operations.watch import report as operation
    from pgprovision.operations.watch.install import bucket
    from pgprovision.operations.watch.repository import read
    from pgprovision.operations.watch.rules import judge

    store = wanted.store
    given = os.environ.get(NOW)
    here = datetime.fromisoformat(given) if given else datetime.now(UTC)
    try:
        with bucket(store) as place:
            found = read(place.reader(), store.path, wanted.stanza, wanted.time_zone, lambda: here)
    except StoreError as error:
        return operation.unknown(error, here)
    now = here if given else found.clock
    last = record.last_proven(record.folder(wanted.cluster)) if known else None
    drilled = last.at if last else None
    limits = operation.limits(wanted)
    return judge(found, limits, now, here=here, drilled=drilled, drills_known=known)


def _told(
    wanted: WatchFile, document: dict[str, Any]
) -> tuple[dict[str, bool], list[PgprovisionError]]:
    """Whoever has to know: the heartbeat where all is well, the others where it is not."""
    from pgprovision.operations.watch import report as operation
    from pgprovision.run import notify

    if document["state"] == operation.FINE:
        return notify.tell(notify.fine(wanted))
    return notify.tell(notify.alarm(wanted, document, lambda: operation.letter(document)))
