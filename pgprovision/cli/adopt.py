"""adopt: a machine that lost its marker, or was provisioned by hand, becomes a node."""

from typing import Annotated

import typer

from pgprovision.cli.options import Json, run


def register(app: typer.Typer) -> None:
    app.command("adopt")(adopt)


def adopt(
    context: typer.Context,
    name: Annotated[str, typer.Argument(help="The node's name.")],
    confirm: Annotated[
        str, typer.Option(help="The node's name, to confirm without a prompt.", metavar="NAME")
    ] = "",
    json: Json = False,
) -> int:
    """Adopt an existing database server as this node: show it, write its marker, nothing else.

    For a host that lost its marker, and for one that was provisioned by hand. Refused where what is
    there is of another role, cluster or database than the inventory says. `plan` then shows what
    `up` would change.
    """
    from pgprovision.operations.adopt import Adopt

    return run(Adopt(name, confirm), context, json=json)
