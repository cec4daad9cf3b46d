"""unlock: take a host's lock away from a run that is no more."""

from typing import Annotated

import typer

from pgprovision.cli.options import Json, Yes, run


def register(app: typer.Typer) -> None:
    app.command("unlock")(unlock)


def unlock(
    context: typer.Context,
    node: Annotated[str, typer.Argument(help="The name of the node.")],
    holder: Annotated[str, typer.Argument(help="What the refusal printed: the run's id.")],
    yes: Yes = False,
    json: Json = False,
) -> int:
    """Break a host's lock; the run that owned it cannot act any more.

    Hardly ever needed: the lock of a run that died is free at once, that of one that fell silent
    after 20 seconds. It is for a record on the host that is damaged, or a run that hangs.
    """
    from pgprovision.operations.unlock import Unlock

    return run(Unlock(node, holder), context, yes=yes, json=json)
