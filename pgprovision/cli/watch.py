"""watch: the backups judged from outside, by what lies in the bucket; export, install."""

import os
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from pgprovision import report
from pgprovision.cli.options import Json, Options, Yes
from pgprovision.errors import InventoryError, ObjectStoreError, PgprovisionError
from pgprovision.inventory import watch_file
from pgprovision.inventory.loader.loader import load
from pgprovision.inventory.watch_file import WatchFile

if TYPE_CHECKING:
    from pgprovision.operations.watch.rules import WatchVerdict

app = typer.Typer(invoke_without_command=True)
TEST_NOW_VARIABLE = "PGP_TEST_NOW"  # a moment that tests have instead of the clocks

FileOption = Annotated[
    Path | None,
    typer.Option(
        "--file", help="What `watch export` wrote, where there is no inventory.", metavar="FILE"
    ),
]


@app.callback()
def watch(context: typer.Context, file: FileOption = None, json: Json = False) -> int:
    """Judge the backups by what lies in the bucket: age, WAL without holes, manifests, clocks.

    Needs neither hosts nor cloud nor passphrase. Exit 1 with every alarm named, 6 where the bucket
    cannot be read, which is an alarm, too. Asks for heartbeat_url after a success and only then.
    """
    if context.invoked_subcommand:
        return 0
    from pgprovision.operations.watch import report as operation

    options: Options = context.obj
    config = _load_config(options, file)
    verdict = _judge_bucket(config, drills_known=file is None)
    document = operation.document(config, verdict, {})
    sent, failed = _notify(config, document)
    verdict = operation.with_unsent_alarms(verdict, failed)
    document = operation.document(config, verdict, sent)
    if json:
        report.print_json(document)
    else:
        report.show_watch(document)
    codes = {operation.OK: 0, operation.ALARM: 1, operation.UNKNOWN: ObjectStoreError.exit_code}
    return codes[operation.verdict_state(verdict)]


@app.command("export")
def export(context: typer.Context) -> None:
    """Print what another machine needs to watch: the pair that reads, limits, whom to tell.

    It holds no passphrase, no key that writes and no way to a host.
    """
    options: Options = context.find_root().obj
    inventory = load(options.inventory)
    if inventory.backup and not inventory.backup.repository.has_read_key:
        raise InventoryError(
            "there is no key pair that can only read, and one that writes is not given away",
            where=str(options.inventory / "cluster.yml"),
            next="give backup.repository.read_key and read_key_secret; see docs/watch.md",
        )
    report.print_verbatim(watch_file.watch_file_of(inventory).text().reveal().decode())


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
    from pgprovision.operations.watch.install import install_watch

    return install_watch(file, WatchFile.read(file), calendar, yes=yes)


def _load_config(options: Options, file: Path | None) -> WatchFile:
    return WatchFile.read(file) if file else watch_file.watch_file_of(load(options.inventory))


def _judge_bucket(config: WatchFile, *, drills_known: bool) -> "WatchVerdict":
    """The verdict, or that there is none. `drills_known`: whether the records of drills lie
    here."""
    from pgprovision import record
    from pgprovision.operations.watch import report as operation
    from pgprovision.operations.watch.install import open_bucket
    from pgprovision.operations.watch.repository import read_listing
    from pgprovision.operations.watch.rules import judge

    store = config.store
    given = os.environ.get(TEST_NOW_VARIABLE)
    local_now = datetime.fromisoformat(given) if given else datetime.now(UTC)
    try:
        with open_bucket(store) as place:
            found = read_listing(
                place.reader(), store.path, config.stanza, config.time_zone, lambda: local_now
            )
    except ObjectStoreError as error:
        return operation.unknown_verdict(error, local_now)
    now = local_now if given else found.server_time
    last = record.last_proven_drill(record.records_folder(config.cluster)) if drills_known else None
    drilled = last.started_at if last else None
    limits = operation.limits_of(config)
    return judge(
        found,
        limits,
        now,
        local_now=local_now,
        last_proven_restore=drilled,
        drills_known=drills_known,
    )


def _notify(
    config: WatchFile, document: dict[str, Any]
) -> tuple[dict[str, bool], list[PgprovisionError]]:
    """Whoever has to know: the heartbeat where all is well, the others where it is not."""
    from pgprovision.operations.watch import report as operation
    from pgprovision.run import notify

    if document["state"] == operation.OK:
        return notify.send_all(notify.heartbeat_senders(config))
    return notify.send_all(
        notify.alarm_senders(config, document, lambda: operation.alarm_mail(document))
    )
