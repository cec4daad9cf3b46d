"""drill: a restore practised on a machine that is thrown away; list, show, install."""

from typing import Annotated

import typer

from pgprovision.cli.options import Json, Yes, run, run_query

app = typer.Typer(invoke_without_command=True)


@app.callback()
def drill(
    context: typer.Context,
    on: Annotated[
        str,
        typer.Option(help="An existing host that holds nothing, by address.", metavar="HOST"),
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
    from pgprovision.operations.drill.command import Drill, RemoveDrill

    verb = RemoveDrill(on, repository) if clean else Drill(on, time, repository)
    return run(verb, context, yes=yes, json=json)


@app.command("list")
def list_(context: typer.Context, json: Json = False) -> int:
    """List the drills of this controller: when, what was restored, lost, how long. Newest last."""
    from pgprovision.operations.drill.records import ListDrills

    return run_query(ListDrills(), context, json=json)


@app.command("show")
def show(
    context: typer.Context,
    drill: Annotated[
        str, typer.Argument(help="Its ID or the beginning of it, or latest.", metavar="ID")
    ] = "latest",
    json: Json = False,
) -> int:
    """Print one drill: what was checked and found, how long each phase took, what it proved."""
    from pgprovision.operations.drill.records import ShowDrill

    return run_query(ShowDrill(drill), context, json=json)


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
    from pgprovision.operations.drill.install import InstallDrill

    return run(InstallDrill(calendar), context, yes=yes, json=json)
