"""backup: one now, what there is, whether it is sound, another passphrase."""

from enum import Enum
from typing import Annotated

import typer

from pgprovision.cli.options import Json, Yes, run, run_query

app = typer.Typer(no_args_is_help=True)

RepositoryOption = Annotated[
    int | None,
    typer.Option("--repo", help="One repository by its number; if not given, each.", min=1, max=2),
]


class BackupTypeOption(Enum):
    """pgBackRest's types of backup."""

    full = "full"
    diff = "diff"
    incr = "incr"


@app.callback()
def group() -> None:
    """Backups: one now, what there is, whether it is sound."""


@app.command("now")
def now(
    context: typer.Context,
    type: Annotated[
        BackupTypeOption,
        typer.Option(help="All, what changed since the full one, or since the last one."),
    ] = BackupTypeOption.diff,
    repository: RepositoryOption = None,
    yes: Yes = False,
    json: Json = False,
) -> int:
    """Take a backup of the primary, in the background, and show how far it is.

    It goes on when this command is cut off; the same command then attaches to it. One that a timer
    began is waited for.
    """
    from pgprovision.operations.backups import BackupNow

    return run(BackupNow(type.value, repository), context, yes=yes, json=json)


@app.command("list")
def list_(context: typer.Context, json: Json = False) -> int:
    """Show every backup of every repository, with the WAL that is kept. Changes nothing."""
    from pgprovision.operations.backup_list import ListBackups

    return run_query(ListBackups(), context, json=json)


@app.command("verify")
def verify(context: typer.Context, repository: RepositoryOption = None, json: Json = False) -> int:
    """Look through the repositories: every file's checksum, manifests, gaps in the WAL. Exit 1
    where something is wrong.

    It reads all there is in them, in the background on the primary; the same command attaches.
    """
    from pgprovision.operations.backups import VerifyBackups

    return run(VerifyBackups(repository), context, json=json)


@app.command("rotate-cipher")
def rotate_cipher(context: typer.Context, yes: Yes = False, json: Json = False) -> int:
    """Give the backups another passphrase: a second repository is filled, then takes over.

    Its full backup is looked through before the roles change. The former repository is kept for
    the time of retention, and both can be restored from; run after that, this command takes it out
    of the configuration. Cut off anywhere, the same command goes on.
    """
    from pgprovision.operations.rotate_passphrase import RotateCipher

    return run(RotateCipher(), context, yes=yes, json=json)
