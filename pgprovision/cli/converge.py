"""plan, drift, up: one call with three approvals."""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from enum import Enum
from pathlib import Path
from typing import Annotated

import typer

from pgprovision.cli.options import Json, Options, Yes
from pgprovision.engine.loop import Approve, observe_only
from pgprovision.engine.model import Change, Impact, Report, Tier
from pgprovision.errors import InventoryError
from pgprovision.inventory.loader.loader import load
from pgprovision.inventory.schema.cluster import Inventory, Node
from pgprovision.run.approval import impact_approval
from pgprovision.run.run import run
from pgprovision.run.targets import Targets
from pgprovision.server_offers import Quote

Scope = Annotated[
    str,
    typer.Argument(help="primary, replicas, a node's name, or all.", metavar="[SCOPE]"),
]


class AllowedImpact(Enum):
    """The highest impact `up` may have without stopping to say so."""

    reload = "reload"
    restart = "restart"


AllowOption = Annotated[
    AllowedImpact, typer.Option(help="The highest impact on a running server: reload or restart.")
]


OutOption = Annotated[
    Path | None, typer.Option(help="Keep the plan in this file, for `up --plan`.", metavar="FILE")
]


def register(app: typer.Typer) -> None:
    app.command("plan")(plan)
    app.command("drift")(drift)
    app.command("up")(up)


def plan(
    context: typer.Context, scope: Scope = "all", out: OutOption = None, json: Json = False
) -> int:
    """Show every change that `up` would make, and make none. Exit 1 where something differs."""
    from pgprovision.run.saved_plan import save_plan

    options: Options = context.obj
    cluster = load(options.inventory).cluster

    def save_when_done(outcome: Report) -> None:
        if out is not None:
            save_plan(out, options.inventory, cluster, scope, outcome.remaining)

    return _compare_only(context, "plan", scope, json, save_when_done)


def drift(context: typer.Context, scope: Scope = "all", json: Json = False) -> int:
    """Name what differs from the inventory, for cron: exit 1 where something does."""
    return _compare_only(context, "drift", scope, json)


def up(
    context: typer.Context,
    scope: Scope = "all",
    plan: Annotated[
        Path | None, typer.Option(help="Carry out this saved plan, if it still is the plan.")
    ] = None,
    yes: Yes = False,
    allow: AllowOption = AllowedImpact.reload,
    json: Json = False,
) -> int:
    """Make everything as the inventory says: create what is missing, repair what differs."""
    options: Options = context.obj
    inventory = load(options.inventory)
    ceiling = Impact[allow.value.upper()]
    approve = impact_approval(ceiling, yes=yes, quiet=json)
    if plan is not None:
        from pgprovision.run.saved_plan import load_plan

        saved = load_plan(plan)
        saved.check_inventory(options.inventory, inventory.cluster)
        if scope not in ("all", saved.scope):
            raise InventoryError(f"the saved plan is for {saved.scope}, not for {scope}")
        scope = saved.scope

        def approve(changes: Sequence[Change]) -> Impact | None:
            saved.check_steps(changes)
            return ceiling

    nodes = select_nodes(inventory, scope)
    return converge_nodes("up", inventory, nodes, approve, json=json, wait=options.wait)


def select_nodes(inventory: Inventory, scope: str) -> tuple[Node, ...]:
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


def converge_nodes(
    command: str,
    inventory: Inventory,
    nodes: Sequence[Node],
    approve: Approve,
    *,
    json: bool,
    wait: float = 0.0,
    on_success: Callable[[Report], None] = lambda outcome: None,
    also_open_access_on: Callable[[Targets], Sequence[Node]] = lambda targets: (),
) -> int:
    """Converge these nodes as far as `approve` allows, and the ways in of their
    `also_open_access_on`; the exit code."""
    from pgprovision.tasks.cloud import server_quote

    def quote(targets: Targets) -> Quote:
        return server_quote(targets.cloud, inventory, nodes) if targets.cloud else Quote()

    def plan_tiers(targets: Targets) -> Sequence[Tier]:
        return node_tiers(inventory, nodes, also_open_access_on(targets))

    return run(
        command,
        inventory,
        plan_tiers,
        approve,
        json=json,
        wait=wait,
        quote=quote,
        on_success=on_success,
    )


def node_tiers(
    inventory: Inventory, nodes: Sequence[Node], also_open_access_on: Sequence[Node] = ()
) -> Sequence[Tier]:
    """What these nodes should be, and the ways in of their peers."""
    from pgprovision.tasks import tiers

    return tiers(inventory, nodes, datetime.now(UTC), also_open_access_on)


def _compare_only(
    context: typer.Context,
    command: str,
    scope: str,
    json: bool,
    on_success: Callable[[Report], None] = lambda outcome: None,
) -> int:
    options: Options = context.obj
    inventory = load(options.inventory)
    nodes = select_nodes(inventory, scope)
    return converge_nodes(command, inventory, nodes, observe_only, json=json, on_success=on_success)
