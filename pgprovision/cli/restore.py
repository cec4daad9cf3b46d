"""restore, restore plan: what can be restored, and restoring it."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

import typer

from pgprovision import report
from pgprovision.cli.converge import node_tiers
from pgprovision.cli.options import Json, Options, Yes
from pgprovision.engine.model import Impact, Tier
from pgprovision.errors import InventoryError, Unreachable
from pgprovision.inventory.edit.add_node import NewNode, add_node
from pgprovision.inventory.loader.loader import load
from pgprovision.inventory.schema.cluster import Inventory, Node
from pgprovision.recovery_target import NOTHING_CHANGED, RecoveryTarget, recovery_target
from pgprovision.run.approval import confirmation_prompt, impact_approval
from pgprovision.run.run import run
from pgprovision.server_offers import Quote

if TYPE_CHECKING:
    from pgprovision.run.targets import Targets

app = typer.Typer(invoke_without_command=True)

Time = Annotated[
    str, typer.Option(help="A time with its zone: all that was committed by then.", metavar="TIME")
]
Lsn = Annotated[str, typer.Option(help="A place in the WAL, as 0/3000060.")]
Xid = Annotated[str, typer.Option(help="The last transaction that counts.")]
RestorePointName = Annotated[str, typer.Option(help="What pg_create_restore_point was given.")]
Exclusive = Annotated[bool, typer.Option("--exclusive", help="Stop right before the target.")]
BackupSet = Annotated[
    str, typer.Option("--set", help="The backup to begin with; the right one if not given.")
]
TimelineOption = Annotated[
    int, typer.Option("--timeline", help="Which history to follow; the newest if not given.", min=0)
]


@app.callback()
def restore(
    context: typer.Context,
    to: Annotated[str, typer.Option(help="A new node, for a copy.", metavar="NAME")] = "",
    onto: Annotated[
        str, typer.Option(help="A node of ours, in place of its data.", metavar="NODE")
    ] = "",
    time: Time = "",
    lsn: Lsn = "",
    xid: Xid = "",
    name: RestorePointName = "",
    exclusive: Exclusive = False,
    backup: BackupSet = "",
    timeline: TimelineOption = 0,
    private_ip: Annotated[
        str, typer.Option(help="The new node's private address; the next free one if not given.")
    ] = "",
    address: Annotated[str, typer.Option(help="An existing host to use, by name or address.")] = "",
    server_type: Annotated[
        str, typer.Option(help="Hetzner's name; the inventory's if not given.")
    ] = "",
    location: Annotated[
        str, typer.Option(help="Hetzner's name; the inventory's if not given.")
    ] = "",
    confirm: Annotated[
        str, typer.Option(help="With --onto: the node's name, typed beforehand.", metavar="NODE")
    ] = "",
    yes: Yes = False,
    json: Json = False,
) -> int:
    """Restore the backups to a moment: to a new node, or onto a node of ours.

    Without --time, --lsn, --xid or --name: to the end of the WAL. --to NAME makes a copy on a
    machine of its own: nodes/NAME.yml is written, the copy answers read-write, archives nothing
    and is no part of the cluster. --onto NODE stops that node and renames its data aside; onto the
    primary, a new timeline begins and the replicas are cloned again. Cut off, --to goes on with
    the same command; --onto begins anew, unless its restore still runs.
    """
    if context.invoked_subcommand:
        return 0
    options: Options = context.obj
    selected_target = recovery_target(
        {"time": time, "lsn": lsn, "xid": xid, "name": name},
        inclusive=not exclusive,
        timeline=timeline,
        backup=backup,
    )
    if bool(to) == bool(onto):
        raise InventoryError(
            "expected either --to NAME, a new node, or --onto NODE, one of ours",
            done=NOTHING_CHANGED,
            next="pgprovision restore plan; pgprovision restore --to copy-1 --time"
            " '2026-11-29 03:00+01:00'",
        )
    if onto:
        return _restore_in_place(options, onto, selected_target, confirm, json)
    node = NewNode(
        name=to,
        role="copy",
        private_ip=private_ip or None,
        address=address or None,
        server_type=server_type or None,
        location=location or None,
        restore=_restore_keys(selected_target),
    )
    return _restore_to_new_node(options, node, selected_target, yes, json)


@app.command("plan")
def plan(context: typer.Context, json: Json = False) -> int:
    """Show what can be restored, from when to when, on each timeline, and the backups' sizes."""
    from pgprovision.operations.restore import restorable
    from pgprovision.run.targets import Targets

    options: Options = context.obj
    inventory = load(options.inventory)
    restorable.require_backup(inventory)
    with Targets(inventory) as targets:
        targets.check_cloud()
        view = restorable.read_repository_view(inventory, targets)
    document = restorable.as_json(inventory.cluster, view)
    if json:
        report.print_json(document)
    else:
        report.show_restore_plan(document)
    return 0


def _restore_keys(selected_target: RecoveryTarget) -> dict[str, object]:
    from pgprovision.inventory.schema.restore import RestoreSpec

    return RestoreSpec.as_yaml(selected_target)


def _restore_to_new_node(
    options: Options, new: NewNode, selected_target: RecoveryTarget, yes: bool, json: bool
) -> int:
    from pgprovision.operations.restore import restorable
    from pgprovision.run.targets import Targets
    from pgprovision.tasks.cloud import server_quote

    inventory = load(options.inventory)
    restorable.require_backup(inventory)
    with Targets(inventory) as targets:
        targets.check_cloud()
        try:
            choice = restorable.read_repository_view(inventory, targets).choose(selected_target)
            report.print_note(f"{selected_target}: from backup {choice.backup.label}")
        except Unreachable as error:
            report.print_note(f"{error.what}\nthe new node will look for itself")
    path = add_node(options.inventory, new)
    if not json:
        report.print_line(f"inventory: {path}")
    inventory = load(options.inventory)
    nodes = (inventory.node(new.name),)

    def quote(targets: "Targets") -> Quote:
        return server_quote(targets.cloud, inventory, nodes) if targets.cloud else Quote()

    return run(
        "restore",
        inventory,
        lambda targets: node_tiers(inventory, nodes),
        impact_approval(Impact.RELOAD, yes=yes, quiet=json),
        json=json,
        wait=options.wait,
        quote=quote,
        extra_json=lambda targets: report_restore(inventory, nodes[0], targets, json),
    )


def _restore_in_place(
    options: Options, name: str, selected_target: RecoveryTarget, confirm: str, json: bool
) -> int:
    from pgprovision.operations.restore import restorable
    from pgprovision.operations.restore import restore as operation
    from pgprovision.run.approval import confirmed_by_name

    inventory = load(options.inventory)
    restorable.require_backup(inventory)
    node = operation.in_place_node(inventory, name)

    def wishes(targets: "Targets") -> Sequence[Tier]:
        restorable.read_repository_view(inventory, targets).choose(selected_target)
        formers = operation.existing_data(inventory, targets, node)
        return operation.tiers(inventory, node, selected_target, formers, datetime.now(UTC))

    others = " and clone its replicas again" if node.is_primary and inventory.replicas else ""
    confirmation = confirmation_prompt(
        f"Type {name} to put data of {selected_target} in place of its own{others}", confirm
    )
    return run(
        "restore",
        inventory,
        wishes,
        confirmed_by_name(name, confirmation, "the node's"),
        json=json,
        wait=options.wait,
        extra_json=lambda targets: report_restore(inventory, node, targets, json),
    )


def report_restore(
    inventory: Inventory, node: Node, targets: "Targets", json: bool
) -> Mapping[str, object]:
    """How the restore went, for people and in the JSON."""
    from pgprovision.resources.data_directory import recovery
    from pgprovision.tasks.paths import instance

    probe = recovery.result_probe(instance(inventory))
    answers = targets[node.name].observe((probe,))
    account = (
        recovery.parse_result(answers[probe])
        if isinstance(answers, Mapping)
        else recovery.NO_RESULT
    )
    if not json:
        report.show_restore_result(node.name, vars(account))
    return {"restored": {"on": node.name, **vars(account)}}
