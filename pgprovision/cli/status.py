"""status: the cluster on one screen."""

from datetime import UTC, datetime

import typer

from pgprovision import record, report
from pgprovision.cli.options import Json, Options
from pgprovision.inventory.loader.loader import load


def register(app: typer.Typer) -> None:
    app.command("status")(status)


def status(context: typer.Context, json: Json = False) -> int:
    """Show nodes, live roles, lag, slots, backups and the WAL archive. Changes nothing."""
    from pgprovision.operations import status as operation
    from pgprovision.run.targets import Targets
    from pgprovision.tasks import tiers

    options: Options = context.obj
    inventory = load(options.inventory)
    plan = tiers(inventory, inventory.nodes, datetime.now(UTC))
    with Targets(inventory) as targets:
        targets.check_cloud()
        if targets.cloud_error is not None:
            plan = tuple(targets.without_cloud(plan))
        silent = (str(targets.cloud_error),) if targets.cloud_error else ()
        last = record.last_proven_drill(record.records_folder(inventory.cluster))
        proven = last.summary if last else None
        found = operation.status(inventory, plan, targets, targets.addresses(), silent, proven)
    if json:
        report.print_json(operation.as_json(inventory.cluster, found))
    else:
        report.show_status(inventory.cluster, operation.as_json(inventory.cluster, found))
    return 0 if all(node.reachable for node in found.nodes) else 5
