"""rebuild: the primary of a cluster that is gone, from the repository alone."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

import typer

from pgprovision import report
from pgprovision.cli.options import Json, Options
from pgprovision.cli.restore import report_restore
from pgprovision.engine.model import Tier
from pgprovision.inventory.loader.loader import load
from pgprovision.run.approval import confirmation_prompt
from pgprovision.run.run import run
from pgprovision.server_offers import Quote

if TYPE_CHECKING:
    from pgprovision.run.targets import Targets


def register(app: typer.Typer) -> None:
    app.command("rebuild")(rebuild)


def rebuild(
    context: typer.Context,
    confirm: Annotated[
        str, typer.Option(help="The cluster's name, typed beforehand.", metavar="CLUSTER")
    ] = "",
    json: Json = False,
) -> int:
    """Bring the primary back from the backups alone, where every server of the cluster is gone.

    Needs the inventory, its secrets and the repository. Ends with what was lost and how long each
    part took. Refused while a node still has its data. Afterwards `up` brings the replicas back.
    """
    from pgprovision.operations.restore import rebuild as operation
    from pgprovision.operations.restore import restorable
    from pgprovision.run.approval import confirmed_by_name
    from pgprovision.tasks.cloud import server_quote

    options: Options = context.obj
    inventory = load(options.inventory)
    restorable.require_backup(inventory)
    nodes, phases, began = (inventory.primary,), report.PhaseTimer(), datetime.now(UTC)

    def wishes(targets: "Targets") -> Sequence[Tier]:
        for text in operation.check(inventory, targets):
            report.print_note(text)
        return operation.tiers(inventory, datetime.now(UTC))

    def quote(targets: "Targets") -> Quote:
        return server_quote(targets.cloud, inventory, nodes) if targets.cloud else Quote()

    def besides(targets: "Targets") -> Mapping[str, object]:
        found = dict(report_restore(inventory, inventory.primary, targets, json))
        document = operation.rebuild_document(
            found["restored"], phases.seconds_by_phase(operation.TIER_PHASES), began
        )
        if not json:
            report.show_rebuild(document)
        return found | document

    confirmation = confirmation_prompt(
        f"Type {inventory.cluster} to bring it back from its backups", confirm
    )
    code = run(
        "rebuild",
        inventory,
        wishes,
        confirmed_by_name(inventory.cluster, confirmation),
        json=json,
        wait=options.wait,
        quote=quote,
        extra_json=besides,
        observer=phases,
    )
    if not json and code == 0:
        report.print_line("next: pgprovision up brings the replicas back; then take a backup")
    return code
