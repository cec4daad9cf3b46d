"""status: the cluster on one screen."""

import typer

from pgprovision.cli.options import Json, run_query


def register(app: typer.Typer) -> None:
    app.command("status")(status)


def status(context: typer.Context, json: Json = False) -> int:
    """Show nodes, live roles, lag, slots, backups and the WAL archive. Changes nothing."""
    from pgprovision.operations.status import ShowStatus

    return run_query(ShowStatus(), context, json=json)
