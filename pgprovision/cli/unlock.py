"""unlock: take a host's lock away from a run that is no more."""

from typing import Annotated

import typer

from pgprovision.cli.converge import select_nodes
from pgprovision.cli.options import Json, Options, Yes
from pgprovision.engine.model import Impact, Tier
from pgprovision.inventory.loader.loader import load
from pgprovision.run.approval import impact_approval
from pgprovision.run.run import run


def register(app: typer.Typer) -> None:
    app.command("unlock")(unlock)


def unlock(
    context: typer.Context,
    node: Annotated[str, typer.Argument(help="The name of the node.")],
    holder: Annotated[str, typer.Argument(help="What the refusal printed: the run's id.")],
    yes: Yes = False,
    json: Json = False,
) -> int:
    """Take a host's lock away from the run that holds it; its next step is refused.

    Hardly ever needed: the lock of a run that died is free at once, that of one that fell silent
    after 20 seconds. It is for a record on the host that is damaged, or a run that hangs.
    """
    from pgprovision.resources.system.run_lock import RemovedHostLock

    options: Options = context.obj
    inventory = load(options.inventory)
    tiers = [
        Tier("lock", (RemovedHostLock(on=n.name, confirmed_token=holder),))
        for n in select_nodes(inventory, node)
    ]
    approve = impact_approval(Impact.NONE, yes=yes, quiet=json)
    return run("unlock", inventory, lambda targets: tiers, approve, json=json, lock_hosts=False)
