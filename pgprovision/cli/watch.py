"""watch: the backups judged from outside, by what is in the bucket; export, install."""

from pathlib import Path
from typing import Annotated

import typer

from pgprovision import report
from pgprovision.cli.options import Json, Yes, options_of, run_query

app = typer.Typer(invoke_without_command=True)


@app.callback()
def watch(
    context: typer.Context,
    file: Annotated[
        Path | None,
        typer.Option(
            "--file", help="What `watch export` wrote, where there is no inventory.", metavar="FILE"
        ),
    ] = None,
    json: Json = False,
) -> int:
    """Judge the backups by the objects in the bucket: age, WAL gaps, manifests, clocks.

    Needs neither hosts nor cloud nor passphrase. Exit 1 with every alarm named, 6 where the bucket
    cannot be read, which is an alarm, too. Requests heartbeat_url only after a success.
    """
    if context.invoked_subcommand:
        return 0
    from pgprovision.operations.watch.watch import Watch

    return run_query(Watch(file), context, json=json)


@app.command("export")
def export(context: typer.Context) -> None:
    """Print what another machine needs to watch: the pair that reads, limits, whom to tell.

    It holds no passphrase, no key that writes and no way to a host.
    """
    from pgprovision.operations.watch.watch import exported_file

    report.print_verbatim(exported_file(options_of(context)))


@app.command("install")
def install(
    context: typer.Context,
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

    return install_watch(file, calendar, options_of(context, yes=yes))
