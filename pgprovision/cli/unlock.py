"""unlock: break a host's lock."""

from typing import Annotated

import typer

from pgprovision.cli.options import Json, Yes, run


def register(app: typer.Typer) -> None:
    app.command("unlock")(unlock)


def unlock(
    context: typer.Context,
    node: Annotated[str, typer.Argument(help="The name of the node.")],
    run_id: Annotated[
        str, typer.Argument(help="The run's id, as the refusal printed it.", metavar="RUN-ID")
    ],
    yes: Yes = False,
    json: Json = False,
) -> int:
    """Break a host's lock; the run that owned it cannot act any more.

    Hardly ever needed: the lock of a run that died is free at once, that of a run that is silent
    after 20 seconds. It is for a damaged lock record on the host, or a run that hangs.
    """
    from pgprovision.operations.unlock import Unlock

    return run(Unlock(node, run_id), context, yes=yes, json=json)
