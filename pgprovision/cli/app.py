"""`pgprovision`: parses the global options, mounts the verbs, turns errors into exit codes."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from pgprovision.cli import (
    adopt,
    backup,
    ca,
    converge,
    destroy,
    drill,
    explain,
    init,
    lab,
    rebuild,
    replica,
    resize,
    restore,
    rotate,
    runs,
    schema,
    secrets,
    status,
    unlock,
    watch,
)
from pgprovision.cli.options import Options

INTERRUPTED = 130

app = typer.Typer(
    name="pgprovision",
    help="Provision PostgreSQL on your own servers, and rerun to repair drift.\n\n"
    "Exit codes: 0 done or nothing differs, 1 something differs, 2 bad input, 3 refused for "
    "safety, 4 locked by another run, 5 a host failed, 6 the cloud or the backups' store failed, "
    "7 outcome unknown, 130 interrupted (129 or 143 by the signal).",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


@app.callback()
def options(
    context: typer.Context,
    inventory: Annotated[
        Path,
        typer.Option("-i", "--inventory", help="The folder that describes the cluster."),
    ] = Path(),
    wait: Annotated[
        float, typer.Option(help="How many seconds to wait for another run to end.", min=0)
    ] = 0,
) -> None:
    context.obj = Options(inventory=inventory, wait=wait)


init.register(app)
converge.register(app)
explain.register(app)
replica.register(app)
adopt.register(app)
status.register(app)
rebuild.register(app)
rotate.register(app)
resize.register(app)
destroy.register(app)
unlock.register(app)
schema.register(app)
app.add_typer(
    backup.app, name="backup", help="Backups: one now, what there is, whether it is sound."
)
app.add_typer(restore.app, name="restore")
app.add_typer(ca.app, name="ca", help="The cluster's certificate authority: shown, renewed.")
app.add_typer(drill.app, name="drill", help="Restores practised on a machine of their own.")
app.add_typer(runs.app, name="runs", help="What was done, by whom, and how to undo it.")
app.add_typer(watch.app, name="watch", help="The backups, judged from outside, by the bucket.")
app.add_typer(secrets.app, name="secrets", help="The secrets an inventory names.")
app.add_typer(lab.app, name="lab", help="A world to try things in: real machines on this one.")


def main() -> None:
    """The console script. No traceback reaches a person."""
    sys.exit(run())


def run() -> int:
    """Runs the command line; the exit code."""
    from pgprovision import report
    from pgprovision.errors import PgprovisionError

    try:
        code = app(standalone_mode=False)
        return code if isinstance(code, int) else 0
    except PgprovisionError as error:
        report.print_error(str(error))
        return error.exit_code
    except (typer.Abort, KeyboardInterrupt):
        report.print_error("interrupted; nothing was changed")
        return INTERRUPTED
    except typer.Exit as end:
        return end.exit_code
    except BrokenPipeError:
        return 0
    except Exception as error:
        return _unexpected(error)


def _unexpected(error: Exception) -> int:
    from pgprovision import report

    show = getattr(error, "show", None)  # a usage error: typer keeps its click to itself
    if show is not None:
        show()
        return 2
    from tempfile import NamedTemporaryFile
    from traceback import format_exception

    with NamedTemporaryFile("w", prefix="pgprovision-crash-", suffix=".txt", delete=False) as crash:
        crash.writelines(format_exception(error))
    report.print_error(
        f"internal error: {type(error).__name__}\n"
        f"  details: {crash.name}\n"
        f"  next: run the same command again; it probes first and does nothing twice"
    )
    return 5


if __name__ == "__main__":
    main()
