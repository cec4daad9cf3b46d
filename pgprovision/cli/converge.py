"""plan, drift, up: one call with three approvals."""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from enum import Enum
from pathlib import Path
from typing import Annotated

import typer

from pgprovision.cli.options import Json, Options, Yes
from pgprovision.engine.loop import Approve, look_only
from pgprovision.engine.model import Change, Impact, Report, Tier
from pgprovision.errors import InventoryError
from pgprovision.inventory.loader.loader import load
from pgprovision.inventory.schema.cluster import Inventory, Node
from pgprovision.run.approval import approval
from pgprovision.run.run import run
from pgprovision.run.targets import Targets
from pgprovision.server_offers import Quote

Scope = Annotated[
    str,
    typer.Argument(help="primary, replicas, a node's name, or all.", metavar="[SCOPE]"),
]


class Allow(Enum):
    """The highest impact `up` may have without stopping to say so."""

    reload = "reload"
    restart = "restart"


AllowOption = Annotated[
    Allow, typer.Option(help="The highest impact on a running server: reload or restart.")
]


Out = Annotated[
    Path | None, typer.Option(help="Keep the plan in this file, for `up --plan`.", metavar="FILE")
]


def register(app: typer.Typer) -> None:
    app.command("plan")(plan)
    app.command("drift")(drift)
    app.command("up")(up)


def plan(context: typer.Context, scope: Scope = "all", out: Out = None, json: Json = False) -> int:
    """Show every change that `up` would make, and make none. Exit 1 where something differs."""
    from pgprovision.run.saved_plan import save

    options: Options = context.obj
    cluster = load(options.inventory).cluster

    def seen(outcome: Report) -> None:
        if out is not None:
            save(out, options.inventory, cluster, scope, outcome.left)

    return _look(context, "plan", scope, json, seen)


def drift(context: typer.Context, scope: Scope = "all", json: Json = False) -> int:
    """Name what differs from the inventory, for cron: exit 1 where something does."""
    return _look(context, "drift", scope, json)


def up(
    context: typer.Context,
    scope: Scope = "all",
    plan: Annotated[
        Path | None, typer.Option(help="Carry out this saved plan, if it still is the plan.")
    ] = None,
    yes: Yes = False,
    allow: AllowOption = Allow.reload,
    json: Json = False,
) -> int:
    """Make everything as the inventory says: create what is missing, repair what differs."""
    options: Options = context.obj
    inventory = load(options.inventory)
    ceiling = Impact[allow.value.upper()]
    approve = approval(ceiling, yes=yes, quiet=json)
    if plan is not None:
        from pgprovision.run.saved_plan import read

        saved = read(plan)
        saved.check_inventory(options.inventory, inventory.cluster)
        if scope not in ("all", saved.scope):
            raise InventoryError(f"the saved plan is for {saved.scope}, not for {scope}")
        scope = saved.scope

        def approve(changes: Sequence[Change]) -> Impact | None:
            saved.check_steps(changes)
            return ceiling

    nodes = select(inventory, scope)
    return run_nodes("up", inventory, nodes, approve, json=json, wait=options.wait)


def select(inventory: Inventory, scope: str) -> tuple[Node, ...]:
    """The nodes a scope names. Raises InventoryError when it names none."""
    if scope == "all":
        return inventory.nodes
    if scope == "primary":
        return (inventory.primary,)
    if scope == "replicas" and inventory.replicas:
        return inventory.replicas
    chosen = tuple(node for node in inventory.nodes if node.name == scope)
    if not chosen:
        names = ", ".join(["primary", "replicas", "all", *(n.name for n in inventory.nodes)])
        raise InventoryError(f"no node is called {scope!r}", next=f"one of: {names}")
    return chosen


def run_nodes(
    command: str,
    inventory: Inventory,
    nodes: Sequence[Node],
    approve: Approve,
    *,
    json: bool,
    wait: float = 0.0,
    seen: Callable[[Report], None] = lambda outcome: None,
    peers: Callable[[Targets], Sequence[Node]] = lambda targets: (),
) -> int:
    """Converge these nodes as far as `approve` allows, and the ways in of their `peers`; the exit
    code."""
    from pgprovision.tasks.cloud import preflight

    def quote(targets: Targets) -> Quote:
        return preflight(targets.cloud, inventory, nodes) if targets.cloud else Quote()

    def wanted(targets: Targets) -> Sequence[Tier]:
        return wishes(inventory, nodes, peers(targets))

    return run(command, inventory, wanted, approve, json=json, wait=wait, quote=quote, seen=seen)


def wishes(
    inventory: Inventory, nodes: Sequence[Node], peers: Sequence[Node] = ()
) -> Sequence[Tier]:
    """What these nodes should be, and the ways in of their peers."""
    from pgprovision.tasks import tiers

    return tiers(inventory, nodes, datetime.now(UTC), peers)


def _look(
    context: typer.Context,
    command: str,
    scope: str,
    json: bool,
    seen: Callable[[Report], None] = lambda outcome: None,
) -> int:
    options: Options = context.obj
    inventory = load(options.inventory)
    nodes = select(inventory, scope)
    return run_nodes(command, inventory, nodes, look_only, json=json, seen=seen)
