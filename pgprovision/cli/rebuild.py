"""rebuild: the primary of a cluster that is gone, from the repository alone."""

from typing import Annotated

import typer

from pgprovision.cli.options import Json, run


def register(app: typer.Typer) -> None:
    app.command("rebuild")(rebuild)


def rebuild(
    context: typer.Context,
    confirm: Annotated[
        str,
        typer.Option(help="The cluster's name, to confirm without a prompt.", metavar="CLUSTER"),
    ] = "",
    json: Json = False,
) -> int:
    """Bring the primary back from the backups alone, where every server of the cluster is gone.

    Needs the inventory, its secrets and the repository. Ends with what was lost and how long each
    part took. Refused while a node still has its data. Afterwards `up` brings the replicas back.
    """
    from pgprovision.operations.restore.rebuild import Rebuild

    return run(Rebuild(confirm), context, json=json)
