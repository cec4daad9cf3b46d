"""drill: a restore practised on a machine that is thrown away; list, show, install."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from pgprovision import record, report
from pgprovision.cli.options import Json, Options, Yes
from pgprovision.cli.runs import select_run
from pgprovision.engine.model import Impact
from pgprovision.errors import InventoryError, PgprovisionError
from pgprovision.inventory.loader.cluster_name import cluster_name
from pgprovision.inventory.loader.loader import load
from pgprovision.inventory.schema.cluster import Inventory, Node
from pgprovision.run.approval import impact_approval

JSON_VERSION = 1
app = typer.Typer(invoke_without_command=True)


@app.callback()
def drill(
    context: typer.Context,
    on: Annotated[
        str,
        typer.Option(help="An existing host that holds nothing, by address.", metavar="SPARE-HOST"),
    ] = "",
    time: Annotated[
        str, typer.Option(help="Restore to this time, with its zone; the end of the WAL if not.")
    ] = "",
    repository: Annotated[
        int, typer.Option(help="From which repository, where there are two: 1 or 2.", metavar="N")
    ] = 1,
    clean: Annotated[
        bool, typer.Option("--clean", help="Only remove what a killed drill left behind.")
    ] = False,
    yes: Yes = False,
    json: Json = False,
) -> int:
    """Practise a restore: a machine for an hour, the newest backup, checks, a record, all removed.

    Production is only read. Exit 1 where the restore is not proven.
    """
    if context.invoked_subcommand:
        return 0
    from pgprovision.operations.drill import drill as operation
    from pgprovision.tasks import drill as tasks

    options: Options = context.obj
    inventory = load(options.inventory)
    spare = on or (inventory.backup.drill.host if inventory.backup else None)
    operation.check_possible(inventory, spare, repository)
    if on:
        operation.check_host(inventory, on)
    node = tasks.drill_node(inventory, spare)
    if clean:
        return _clean(inventory, node, yes=yes, json=json, wait=options.wait)
    return _run_drill(inventory, node, time, repository, yes=yes, json=json, wait=options.wait)


def _run_drill(
    inventory: Inventory,
    node: Node,
    time: str,
    repository: int,
    *,
    yes: bool,
    json: bool,
    wait: float,
) -> int:
    from pgprovision.operations.drill.run import run_drill
    from pgprovision.recovery_target import END_OF_WAL, RecoveryTarget, parse_time

    try:
        target = RecoveryTarget("time", parse_time(time)) if time else END_OF_WAL
    except ValueError as error:
        raise InventoryError(f"--time: {error}") from None
    if not json:
        report.print_note(f"drill: the newest backup to {target}, on {node.name}; then it is gone")
    approve = impact_approval(Impact.DESTROY, yes=yes, quiet=json)
    proof, path, failure = run_drill(
        inventory, node, target, approve, json=json, wait=wait, repository=repository
    )
    document = {
        "version": JSON_VERSION,
        "command": "drill",
        "cluster": inventory.cluster,
        **proof.as_json(),
        "record": path,
        "error": _error(failure),
        "sent": {},
    }
    if failure is not None and path is not None:
        document["sent"] = send_alarm(inventory, document)
    if json:
        report.print_json(document)
    elif path is not None:
        report.show_drill(document)
    if failure is not None:
        raise failure
    return 0


def send_alarm(inventory: Inventory, document: Mapping[str, Any]) -> dict[str, bool]:
    """A restore that is not proven is an alarm: to whom backup.watch says."""
    from pgprovision.inventory import watch_file
    from pgprovision.operations.drill.drill import drill_mail
    from pgprovision.run.notify import alarm_senders, send_all

    if inventory.backup is None or inventory.backup.watch is None:
        return {}
    channels = alarm_senders(
        watch_file.watch_file_of(inventory), document, lambda: drill_mail(document)
    )
    sent, failed = send_all(channels)
    for error in failed:
        report.print_note(f"not told: {error}")
    return sent


def _clean(inventory: Inventory, node: Node, *, yes: bool, json: bool, wait: float) -> int:
    """The removal alone, whoever's drill it was."""
    from pgprovision.operations.drill.run import LOCK_NAME
    from pgprovision.run.run import run
    from pgprovision.tasks import drill as tasks

    extended = tasks.drill_inventory(inventory, node)
    approve = impact_approval(Impact.DESTROY, yes=yes, quiet=json)
    return run(
        "drill --clean",
        extended,
        lambda targets: tasks.removal_tiers(
            extended, node, node.address is None and targets.is_reachable(node)
        ),
        approve,
        json=json,
        wait=wait,
        lock_name=LOCK_NAME,
    )


def _error(failure: PgprovisionError | None) -> dict[str, str] | None:
    if failure is None:
        return None
    return {"error": type(failure).__name__, "message": str(failure)}


@app.command("list")
def list_(context: typer.Context, json: Json = False) -> int:
    """List the drills of this controller: when, what was restored, lost, how long. Newest last."""
    cluster, folder = _folder(context)
    found = [one.summary for one in record.drill_records(record.read_runs(folder))]
    document: dict[str, Any] = {
        "version": JSON_VERSION,
        "cluster": cluster,
        "folder": str(folder),
        "drills": found,
    }
    if json:
        report.print_json(document)
    else:
        report.show_drills(document)
    return 0


@app.command("show")
def show(
    context: typer.Context,
    run: Annotated[
        str, typer.Argument(help="Its ID or the beginning of it, or latest.", metavar="ID")
    ] = "latest",
    json: Json = False,
) -> int:
    """Print one drill: what was checked and found, how long each phase took, what it proved."""
    cluster, folder = _folder(context)
    drills = list(record.drill_records(record.read_runs(folder)))
    found = select_run([drill.run for drill in drills], run, folder, "drill")
    chosen = next(drill for drill in drills if drill.run is found)
    if json:
        report.print_json({"version": JSON_VERSION, "cluster": cluster, **chosen.as_json()})
    else:
        report.print_verbatim(chosen.text)
    return 0


@app.command("install")
def install(
    context: typer.Context,
    calendar: Annotated[
        str, typer.Option(help="When, as OnCalendar of systemd: monthly, Sun *-*-01..07 04:00.")
    ] = "monthly",
    yes: Yes = False,
    json: Json = False,
) -> int:
    """Have this machine practise a restore on a schedule: a systemd timer, `drill --yes`.

    Without systemd, or without root, it prints the units and a line for cron.
    """
    from pgprovision.operations.drill import drill as operation
    from pgprovision.operations.schedule import install_timer as installed

    options: Options = context.find_root().obj
    inventory = load(options.inventory)
    operation.check_possible(inventory, inventory.backup.drill.host if inventory.backup else None)
    return installed(
        inventory, "drill", ("--yes",), calendar, yes=yes, json=json, wait=options.wait
    )


def _folder(context: typer.Context) -> tuple[str, Path]:
    options: Options = context.find_root().obj
    cluster = cluster_name(options.inventory)
    return cluster, record.records_folder(cluster)
