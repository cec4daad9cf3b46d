"""plan, drift, up: one call with three approvals."""

from pathlib import Path
from typing import Annotated

import typer

from pgprovision.cli.options import Allow, AllowedImpact, Json, Scope, Yes, run


def register(app: typer.Typer) -> None:
    app.command("plan")(plan)
    app.command("drift")(drift)
    app.command("up")(up)


def plan(
    context: typer.Context,
    scope: Scope = "all",
    out: Annotated[
        Path | None,
        typer.Option(help="Keep the plan in this file, for `up --plan`.", metavar="FILE"),
    ] = None,
    json: Json = False,
) -> int:
    """Show every change that `up` would make, and make none. Exit 1 where something differs."""
    from pgprovision.operations.converge import Plan

    return run(Plan(scope, out), context, json=json)


def drift(context: typer.Context, scope: Scope = "all", json: Json = False) -> int:
    """Name what differs from the inventory, for cron: exit 1 where something does."""
    from pgprovision.operations.converge import Drift

    return run(Drift(scope), context, json=json)


def up(
    context: typer.Context,
    scope: Scope = "all",
    plan: Annotated[
        Path | None, typer.Option(help="Carry out this saved plan, if it still is the plan.")
    ] = None,
    yes: Yes = False,
    allow: Allow = AllowedImpact.reload,
    json: Json = False,
) -> int:
    """Make everything as the inventory says: create what is missing, repair what differs."""
    from pgprovision.operations.converge import Up

    return run(Up(scope, plan, allow.impact), context, yes=yes, json=json)
