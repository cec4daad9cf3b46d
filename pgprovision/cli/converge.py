"""plan, drift, up: one call with three approvals."""

import sys
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from enum import Enum
from typing import TYPE_CHECKING, Annotated

import typer

from pgprovision import report
from pgprovision.cli.options import Json, Options, Yes
from pgprovision.cli.watchers import Watchers
from pgprovision.engine import Approve, converge, look_only
from pgprovision.errors import InventoryError, PgprovisionError, Refused
from pgprovision.inventory import load
from pgprovision.inventory.model import Inventory, Node
from pgprovision.model import Change, Impact, Report, Tier
from pgprovision.record import Record

if TYPE_CHECKING:
    from pgprovision.cli.targets import Targets

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


def register(app: typer.Typer) -> None:
    app.command("plan")(plan)
    app.command("drift")(drift)
    app.command("up")(up)


def plan(context: typer.Context, scope: Scope = "all", json: Json = False) -> int:
    """Show every change that `up` would make, and make none. Exit 1 where something differs."""
    return _look(context, "plan", scope, json)


def drift(context: typer.Context, scope: Scope = "all", json: Json = False) -> int:
    """Name what differs from the inventory, for cron: exit 1 where something does."""
    return _look(context, "drift", scope, json)


def up(
    context: typer.Context,
    scope: Scope = "all",
    yes: Yes = False,
    allow: AllowOption = Allow.reload,
    json: Json = False,
) -> int:
    """Make everything as the inventory says: create what is missing, repair what differs."""
    options: Options = context.obj
    inventory = load(options.inventory)
    ceiling = Impact[allow.value.upper()]
    return run_up(
        "up", inventory, select(inventory, scope), approval(ceiling, yes=yes, quiet=json), json=json
    )


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


def approval(ceiling: Impact, *, yes: bool, quiet: bool) -> Approve:
    """Shows the plan and asks; without a terminal only --yes will do."""

    def approve(changes: Sequence[Change]) -> Impact | None:
        if not quiet:
            report.show_changes(changes, sys.stderr)
        if not any(change.actions for change in changes):
            return ceiling
        if yes:
            return ceiling
        if not sys.stdin.isatty():
            raise Refused(
                "there is no terminal to ask on, and no --yes",
                done="nothing was touched",
                next="read the plan above, then run the same command with --yes",
            )
        typer.confirm(f"\n{len(changes)} changes. Go on?", abort=True, err=True)
        return ceiling

    return approve


def run_up(
    command: str, inventory: Inventory, nodes: Sequence[Node], approve: Approve, *, json: bool
) -> int:
    """Converge these nodes, with a record; prints the outcome; the exit code."""
    from pgprovision.tasks import tiers
    from pgprovision.tasks.cloud import preflight

    def wishes(targets: "Targets") -> Sequence[Tier]:
        if targets.cloud is not None:
            for note in preflight(targets.cloud, inventory, nodes):
                report.say_aside(note)
        return tiers(inventory, nodes, datetime.now(UTC))

    return run_tiers(command, inventory, wishes, approve, json=json)


def run_tiers(
    command: str,
    inventory: Inventory,
    wishes: "Callable[[Targets], Sequence[Tier]]",
    approve: Approve,
    *,
    json: bool,
) -> int:
    """Converge what is wished, with a record; prints the outcome; the exit code."""
    from pgprovision.cli.targets import Targets

    progress = report.Progress(quiet=json)
    watchers = Watchers([progress])
    record: Record | None = None

    def asked(changes: Sequence[Change]) -> Impact | None:
        nonlocal record
        with progress.paused():
            answer = approve(changes)
        if answer is not None:
            record = Record(inventory.cluster, command)
            watchers.insert(0, record)  # before anything is sent, it is written
        return answer

    outcome, result = Report(), "failed"
    try:
        with Targets(inventory) as targets:
            outcome = converge(wishes(targets), targets, asked, watchers)
            targets.count(outcome)
        result = "left" if outcome.left or outcome.failed else "done"
    except PgprovisionError as error:
        result = type(error).__name__
        raise
    finally:
        progress.close()
        if record is not None:
            record.end(result, outcome.seconds)
    path = str(record.path) if record else None
    if json:
        done = outcome.changed
        document = report.document(command, inventory.cluster, outcome, planned=done, record=path)
        report.emit(document)
    else:
        report.show_outcome(outcome, path)
    return report.exit_code(outcome)


def _look(context: typer.Context, command: str, scope: str, json: bool) -> int:
    from pgprovision.cli.targets import Targets
    from pgprovision.tasks import tiers

    options: Options = context.obj
    inventory = load(options.inventory)
    nodes = select(inventory, scope)
    progress = report.Progress(quiet=True)
    with Targets(inventory) as targets:
        outcome = converge(tiers(inventory, nodes, datetime.now(UTC)), targets, look_only, progress)
        targets.count(outcome)
    if json:
        document = report.document(
            command, inventory.cluster, outcome, planned=outcome.left, record=None
        )
        report.emit(document)
    else:
        report.show_changes(outcome.left)
        report.show_looked(outcome)
    return report.exit_code(outcome)
