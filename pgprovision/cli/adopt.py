"""adopt: a machine that lost its marker, or was provisioned by hand, becomes a node."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from pgprovision import report
from pgprovision.cli.converge import select_nodes
from pgprovision.cli.options import Json, Options
from pgprovision.engine.model import Answer, Probe, Tier
from pgprovision.errors import InventoryError, Unreachable
from pgprovision.inventory.loader.loader import load
from pgprovision.run.approval import confirmation_prompt
from pgprovision.run.run import run

if TYPE_CHECKING:
    from pgprovision.run.targets import Targets


def register(app: typer.Typer) -> None:
    app.command("adopt")(adopt)


def adopt(
    context: typer.Context,
    name: Annotated[str, typer.Argument(help="The node's name.")],
    confirm: Annotated[
        str, typer.Option(help="The node's name, typed beforehand.", metavar="NAME")
    ] = "",
    json: Json = False,
) -> int:
    """Take a machine that has a database as this node: show it, write its marker, nothing else.

    For a host that lost its marker, and for one that was provisioned by hand. Refused where what is
    there is of another role, cluster or database than the inventory says. `plan` then shows what
    `up` would change.
    """
    from pgprovision.operations import adopt as operation
    from pgprovision.run.approval import confirmed_by_name

    options: Options = context.obj
    inventory = load(options.inventory)
    node = next((node for node in select_nodes(inventory, "all") if node.name == name), None)
    if node is None:
        names = ", ".join(node.name for node in inventory.nodes)
        raise InventoryError(f"no node is called {name!r}", next=f"one of: {names}")

    def wishes(targets: "Targets") -> Sequence[Tier]:
        seen = _probe_node(targets, name, operation.probes(inventory))
        sight = operation.parse(inventory, seen)
        report.print_note(f"{name}, as it is:")
        for word, what in operation.description(inventory, node, sight):
            report.print_note(f"  {word:<18} {what}")
        primary = None
        if not node.is_primary:
            there = _probe_node(targets, inventory.primary.name, operation.probes(inventory))
            primary = operation.parse(inventory, there).identifier
        operation.check(inventory, node, sight, primary)
        return operation.tiers(inventory, node)

    typed = confirmation_prompt(f"Type {name} to take this machine as {name}", confirm)
    approve = confirmed_by_name(name, typed, "the node's")
    code = run("adopt", inventory, wishes, approve, json=json, wait=options.wait)
    if not json:
        report.print_line("next: pgprovision plan")
    return code


def _probe_node(targets: "Targets", name: str, probes: Sequence[Probe]) -> Mapping[Probe, Answer]:
    answers = targets[name].observe(probes)
    if not isinstance(answers, Mapping):
        raise Unreachable("there is no machine yet, or it is still booting", where=name)
    return answers
