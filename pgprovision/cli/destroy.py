"""destroy: the cluster's servers and what was made around them, after its name was typed."""

from typing import Annotated

import typer

from pgprovision.cli.options import Json, run


def register(app: typer.Typer) -> None:
    app.command("destroy")(destroy)


def destroy(
    context: typer.Context,
    confirm: Annotated[
        str,
        typer.Option(help="The cluster's name, to confirm without a prompt.", metavar="CLUSTER"),
    ] = "",
    json: Json = False,
) -> int:
    """Remove the cluster's servers and their data for good. Backups and unmanaged objects are kept.

    Only what carries the cluster's labels goes. Run again, it finishes what is left.
    """
    from pgprovision.operations.destroy import Destroy

    return run(Destroy(confirm), context, json=json)
