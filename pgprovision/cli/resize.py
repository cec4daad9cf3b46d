"""resize: another server type, the one verb that stops a server for its size."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from pgprovision import report
from pgprovision.cli.options import Json, Options, Yes
from pgprovision.engine.model import Impact, Tier
from pgprovision.errors import InventoryError, Refused
from pgprovision.inventory.loader.loader import load
from pgprovision.run.approval import impact_approval
from pgprovision.run.run import run

if TYPE_CHECKING:
    from pgprovision.run.targets import Targets


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
    from pgprovision.operations import resize as operation
    from pgprovision.operations.split_brain import refuse_split_brain

    options: Options = context.obj
    inventory = load(options.inventory)
    node = next((node for node in inventory.nodes if node.name == name), None)
    if node is None:
        names = ", ".join(node.name for node in inventory.nodes)
        raise InventoryError(f"no node is called {name!r}", next=f"one of: {names}")

    def wishes(targets: "Targets") -> Sequence[Tier]:
        if targets.cloud is None:
            raise Refused("this cluster's hosts were not made by pgprovision; it resizes none")
        refuse_split_brain(inventory, targets)
        answers = node.address is None and targets.is_reachable(node)
        wanted = operation.plan_resize(targets.cloud, inventory, node, reachable=answers)
        for note in wanted.notes:
            report.print_note(note)
        return wanted.tiers

    approve = impact_approval(Impact.RESTART, yes=yes, quiet=json)
    code = run("resize", inventory, wishes, approve, json=json, wait=options.wait)
    if not json:
        report.print_line(f"next: pgprovision up {name} --allow restart sizes PostgreSQL for it")
    return code
