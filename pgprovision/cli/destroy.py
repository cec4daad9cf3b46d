"""destroy: the cluster's servers and what was made around them, after its name was typed."""

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from pgprovision import report
from pgprovision.cli.options import Json, Options
from pgprovision.engine.model import Tier
from pgprovision.errors import Refused
from pgprovision.inventory.loader.loader import load
from pgprovision.run.run import run

if TYPE_CHECKING:
    from pgprovision.run.targets import Targets


def register(app: typer.Typer) -> None:
    app.command("destroy")(destroy)


def destroy(
    context: typer.Context,
    confirm: Annotated[
        str, typer.Option(help="The cluster's name, typed beforehand.", metavar="CLUSTER")
    ] = "",
    json: Json = False,
) -> int:
    """Remove the cluster's servers and their data for good. Backups and strangers' things stay.

    Only what carries the cluster's labels goes. Run again, it finishes what is left.
    """
    from pgprovision.operations.destroy import plan_destroy
    from pgprovision.operations.split_brain import refuse_split_brain
    from pgprovision.run.approval import confirmed_by_name

    options: Options = context.obj
    inventory = load(options.inventory)

    def wishes(targets: "Targets") -> Sequence[Tier]:
        if targets.cloud is None:
            raise Refused("this cluster's hosts were not made by pgprovision; it removes none")
        refuse_split_brain(inventory, targets)
        made = [node for node in inventory.nodes if node.address is None]
        plan = plan_destroy(targets.cloud, inventory, [n for n in made if targets.is_reachable(n)])
        if not plan.has_objects:
            report.print_note(
                "nothing of this cluster is in this project: if the API token is the right one, "
                "only what is remembered of its servers is left to forget"
            )
        for name in plan.retained:
            report.print_note(f"stays: {name}")
        return plan.tiers

    def typed(names: Sequence[str]) -> str:
        for name in names:
            report.print_note(name)
        if confirm or not sys.stdin.isatty():
            return confirm
        return str(typer.prompt("Type the cluster's name to remove all this for good", err=True))

    return run(
        "destroy",
        inventory,
        wishes,
        confirmed_by_name(inventory.cluster, typed),
        json=json,
        wait=options.wait,
    )
