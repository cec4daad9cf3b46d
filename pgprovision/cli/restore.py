"""restore, restore plan: what can be restored, and restoring it."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

import typer

from pgprovision import report
from pgprovision.cli.converge import wishes
from pgprovision.cli.options import Json, Options, Yes
from pgprovision.engine.model import Impact, Tier
from pgprovision.errors import InventoryError, Unreachable
from pgprovision.inventory.edit.add_node import NewNode, add_node
from pgprovision.inventory.loader.loader import load
from pgprovision.inventory.schema.cluster import Inventory, Node
from pgprovision.recovery_target import UNTOUCHED, Target, target
from pgprovision.run.approval import approval, typing_of
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
Name = Annotated[str, typer.Option(help="What pg_create_restore_point was given.")]
Exclusive = Annotated[bool, typer.Option("--exclusive", help="Stop right before the target.")]
Set = Annotated[
    str, typer.Option("--set", help="The backup to begin with; the right one if not given.")
]
Line = Annotated[
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
    name: Name = "",
    exclusive: Exclusive = False,
    backup: Set = "",
    timeline: Line = 0,
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
    wish = target(
        {"time": time, "lsn": lsn, "xid": xid, "name": name},
        inclusive=not exclusive,
        timeline=timeline,
        backup=backup,
    )
    if bool(to) == bool(onto):
        raise InventoryError(
            "expected either --to NAME, a new node, or --onto NODE, one of ours",
            done=UNTOUCHED,
            next="pgprovision restore plan; pgprovision restore --to copy-1 --time"
            " '2026-11-29 03:00+01:00'",
        )
    if onto:
        return _onto(options, onto, wish, confirm, json)
    node = NewNode(
        name=to,
        role="copy",
        private_ip=private_ip or None,
        address=address or None,
        server_type=server_type or None,
        location=location or None,
        restore=_declared(wish),
    )
    return _to(options, node, wish, yes, json)


@app.command("plan")
def plan(context: typer.Context, json: Json = False) -> int:
    """Show what can be restored, from when to when, on each timeline, and the backups' sizes."""
    from pgprovision.operations.restore import restorable
    from pgprovision.run.targets import Targets

    options: Options = context.obj
    inventory = load(options.inventory)
    restorable.backups_of(inventory)
    with Targets(inventory) as targets:
        targets.ask_cloud()
        sight = restorable.see(inventory, targets)
    document = restorable.as_json(inventory.cluster, sight)
    if json:
        report.emit(document)
    else:
        report.show_restorable(document)
    return 0


def _declared(wish: Target) -> dict[str, object]:
    from pgprovision.inventory.schema.restore import Restore

    return Restore.of(wish)


def _to(options: Options, new: NewNode, wish: Target, yes: bool, json: bool) -> int:
    from pgprovision.operations.restore import restorable
    from pgprovision.run.targets import Targets
    from pgprovision.tasks.cloud import preflight

    inventory = load(options.inventory)
    restorable.backups_of(inventory)
    with Targets(inventory) as targets:
        targets.ask_cloud()
        try:
            choice = restorable.see(inventory, targets).check(wish)
            report.say_aside(f"{wish}: from backup {choice.backup.label}")
        except Unreachable as error:
            report.say_aside(f"{error.what}\nthe new node will look for itself")
    path = add_node(options.inventory, new)
    if not json:
        report.say(f"inventory: {path}")
    inventory = load(options.inventory)
    nodes = (inventory.node(new.name),)

    def quote(targets: "Targets") -> Quote:
        return preflight(targets.cloud, inventory, nodes) if targets.cloud else Quote()

    return run(
        "restore",
        inventory,
        lambda targets: wishes(inventory, nodes),
        approval(Impact.RELOAD, yes=yes, quiet=json),
        json=json,
        wait=options.wait,
        quote=quote,
        besides=lambda targets: told(inventory, nodes[0], targets, json),
    )


def _onto(options: Options, name: str, wish: Target, confirm: str, json: bool) -> int:
    from pgprovision.operations.restore import restorable
    from pgprovision.operations.restore import restore as operation
    from pgprovision.run.approval import confirmed

    inventory = load(options.inventory)
    restorable.backups_of(inventory)
    node = operation.onto(inventory, name)

    def wishes(targets: "Targets") -> Sequence[Tier]:
        restorable.see(inventory, targets).check(wish)
        formers = operation.look(inventory, targets, node)
        return operation.tiers(inventory, node, wish, formers, datetime.now(UTC))

    others = " and clone its replicas again" if node.is_primary and inventory.replicas else ""
    typed = typing_of(f"Type {name} to put data of {wish} in place of its own{others}", confirm)
    return run(
        "restore",
        inventory,
        wishes,
        confirmed(name, typed, "the node's"),
        json=json,
        wait=options.wait,
        besides=lambda targets: told(inventory, node, targets, json),
    )


def told(inventory: Inventory, node: Node, targets: "Targets", quiet: bool) -> Mapping[str, object]:
    """How the restore went, for people and in the JSON."""
    from pgprovision.resources.data_directory import recovery
    from pgprovision.tasks.paths import instance

    ask = recovery.look(instance(inventory))
    seen = targets[node.name].look((ask,))
    account = recovery.read(seen[ask]) if isinstance(seen, Mapping) else recovery.NOTHING
    if not quiet:
        report.show_account(node.name, vars(account))
    return {"restored": {"on": node.name, **vars(account)}}
