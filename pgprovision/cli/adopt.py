"""adopt: a machine that lost its marker, or was provisioned by hand, becomes a node."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from pgprovision import report
from pgprovision.cli.converge import select
from pgprovision.cli.options import Json, Options
from pgprovision.engine.model import Answer, Ask, Tier
from pgprovision.errors import InventoryError, Unreachable
from pgprovision.inventory.loader.loader import load
from pgprovision.run.approval import typing_of
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
    from pgprovision.run.approval import confirmed

    options: Options = context.obj
    inventory = load(options.inventory)
    node = next((node for node in select(inventory, "all") if node.name == name), None)
    if node is None:
        names = ", ".join(node.name for node in inventory.nodes)
        raise InventoryError(f"no node is called {name!r}", next=f"one of: {names}")

    def wishes(targets: "Targets") -> Sequence[Tier]:
        seen = _look(targets, name, operation.asks(inventory))
        sight = operation.read(inventory, seen)
        report.say_aside(f"{name}, as it is:")
        for word, what in operation.described(inventory, node, sight):
            report.say_aside(f"  {word:<18} {what}")
        primary = None
        if not node.is_primary:
            there = _look(targets, inventory.primary.name, operation.asks(inventory))
            primary = operation.read(inventory, there).identifier
        operation.check(inventory, node, sight, primary)
        return operation.tiers(inventory, node)

    typed = typing_of(f"Type {name} to take this machine as {name}", confirm)
    approve = confirmed(name, typed, "the node's")
    code = run("adopt", inventory, wishes, approve, json=json, wait=options.wait)
    if not json:
        report.say("next: pgprovision plan")
    return code


def _look(targets: "Targets", name: str, asks: Sequence[Ask]) -> Mapping[Ask, Answer]:
    seen = targets[name].look(asks)
    if not isinstance(seen, Mapping):
        raise Unreachable("there is no machine yet, or it is still booting", where=name)
    return seen
