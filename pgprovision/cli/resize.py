"""resize: another server type, the one verb that stops a server for its size."""

from typing import Annotated

import typer

from pgprovision.cli.options import Json, Yes, run


def register(app: typer.Typer) -> None:
    app.command("resize")(resize)


def resize(
    context: typer.Context,
    name: Annotated[str, typer.Argument(help="The node's name.")],
    yes: Yes = False,
    json: Json = False,
) -> int:
    """Give a node's server the server_type that its inventory file says: it restarts.

    Edit server_type first; `plan` shows the difference. The disk keeps its size. Afterwards `up`
    sizes PostgreSQL and the kernel for the new machine.
    """
    from pgprovision.operations.resize import Resize

    return run(Resize(name), context, yes=yes, json=json)
