"""drill: a restore practised on a machine that is thrown away; list, show, install."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from pgprovision import record, report
from pgprovision.cli.options import Json, Options, Yes
from pgprovision.cli.runs import one
from pgprovision.engine.model import Impact
from pgprovision.errors import InventoryError, PgprovisionError
from pgprovision.inventory.loader.cluster_name import cluster_name
from pgprovision.inventory.loader.loader import load
from pgprovision.inventory.schema.cluster import Inventory, Node
from pgprovision.run.approval import approval

VERSION = 1
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
    node = tasks.machine(inventory, spare)
    if clean:
        return _clean(inventory, node, yes=yes, json=json, wait=options.wait)
    return _practise(inventory, node, time, repository, yes=yes, json=json, wait=options.wait)


def _practise(
    inventory: Inventory,
    node: Node,
    time: str,
    repository: int,
    *,
    yes: bool,
    json: bool,
    wait: float,
) -> int:
    from pgprovision.operations.drill.run import drilled
    from pgprovision.recovery_target import END, Target, at_time

    try:
        target = Target("time", at_time(time)) if time else END
    except ValueError as error:
        raise InventoryError(f"--time: {error}") from None
    if not json:
        report.say_aside(f"drill: the newest backup to {target}, on {node.name}; then it is gone")
    ask = approval(Impact.DESTROY, yes=yes, quiet=json)
    proof, path, failure = drilled(
        inventory, node, target, ask, json=json, wait=wait, repository=repository
    )
    document = {
        "version": VERSION,
        "command": "drill",
        "cluster": inventory.cluster,
        **proof.as_json(),
        "record": path,
        "error": _error(failure),
        "sent": {},
    }
    if failure is not None and path is not None:
        document["sent"] = told(inventory, document)
    if json:
        report.emit(document)
    elif path is not None:
        report.show_drill(document)
    if failure is not None:
        raise failure
    return 0


def told(inventory: Inventory, document: Mapping[str, Any]) -> dict[str, bool]:
    """A restore that is not proven is an alarm: to whom backup.watch says."""
    from pgprovision.inventory import watch_file
    from pgprovision.operations.drill.drill import letter
    from pgprovision.run.notify import alarm, tell

    if inventory.backup is None or inventory.backup.watch is None:
        return {}
    ways = alarm(watch_file.of(inventory), document, lambda: letter(document))
    sent, failed = tell(ways)
    for error in failed:
        report.say_aside(f"not told: {error}")
    return sent


def _clean(inventory: Inventory, node: Node, *, yes: bool, json: bool, wait: float) -> int:
    """The removal alone, whoever's drill it was."""
    from pgprovision.operations.drill.run import TURN
    from pgprovision.run.run import run
    from pgprovision.tasks import drill as tasks

    whole = tasks.with_machine(inventory, node)
    ask = approval(Impact.DESTROY, yes=yes, quiet=json)
    return run(
        "drill --clean",
        whole,
        lambda targets: tasks.removed(whole, node, node.address is None and targets.answers(node)),
        ask,
        json=json,
        wait=wait,
        turn=TURN,
    )


def _error(failure: PgprovisionError | None) -> dict[str, str] | None:
    if failure is None:
        return None
    return {"error": type(failure).__name__, "message": str(failure)}


@app.command("list")
def list_(context: typer.Context, json: Json = False) -> int:
    """List the drills of this controller: when, what was restored, lost, how long. Newest last."""
    cluster, folder = _folder(context)
    found = [one.summary for one in record.drills(record.read(folder))]
    document: dict[str, Any] = {
        "version": VERSION,
        "cluster": cluster,
        "folder": str(folder),
        "drills": found,
    }
    if json:
        report.emit(document)
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
    drills = list(record.drills(record.read(folder)))
    found = one([drill.run for drill in drills], run, folder, "drill")
    told = next(drill for drill in drills if drill.run is found)
    if json:
        report.emit({"version": VERSION, "cluster": cluster, **told.as_json()})
    else:
        report.verbatim(told.text)
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
    from pgprovision.operations.schedule import install as installed

    options: Options = context.find_root().obj
    inventory = load(options.inventory)
    operation.check_possible(inventory, inventory.backup.drill.host if inventory.backup else None)
    return installed(
        inventory, "drill", ("--yes",), calendar, yes=yes, json=json, wait=options.wait
    )


def _folder(context: typer.Context) -> tuple[str, Path]:
    options: Options = context.find_root().obj
    cluster = cluster_name(options.inventory)
    return cluster, record.folder(cluster)
