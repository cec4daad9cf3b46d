"""add-replica, re-clone, remove-replica: the life of a replica, each the one loop."""

from collections.abc import Sequence
from datetime import UTC, datetime
from enum import Enum
from functools import partial
from typing import TYPE_CHECKING, Annotated

import typer

from pgprovision import report
from pgprovision.cli.converge import AllowedImpact, AllowOption, converge_nodes
from pgprovision.cli.options import Json, Options, Yes
from pgprovision.engine.model import Impact, Tier
from pgprovision.errors import InventoryError
from pgprovision.inventory.edit.add_node import NewNode, add_node
from pgprovision.inventory.loader.loader import load
from pgprovision.inventory.schema.cluster import Inventory, Node
from pgprovision.run.approval import confirmation_prompt, impact_approval
from pgprovision.run.run import run

if TYPE_CHECKING:
    from pgprovision.run.targets import Targets

ReplicaName = Annotated[str, typer.Argument(help="The replica's name.")]
Confirm = Annotated[str, typer.Option(help="The replica's name, typed beforehand.", metavar="NAME")]


class CloneSource(Enum):
    """Where a replica's first data come from."""

    primary = "primary"
    backup = "backup"


def register(app: typer.Typer) -> None:
    app.command("add-replica")(add_replica)
    app.command("re-clone")(re_clone)
    app.command("remove-replica")(remove_replica)


def add_replica(
    context: typer.Context,
    name: Annotated[str, typer.Argument(help="The new node's name.")],
    private_ip: Annotated[
        str, typer.Option(help="Its private address; the next free one if not given.")
    ] = "",
    address: Annotated[str, typer.Option(help="An existing host to use, by name or address.")] = "",
    server_type: Annotated[
        str, typer.Option(help="Hetzner's name; the inventory's if not given.")
    ] = "",
    location: Annotated[
        str, typer.Option(help="Hetzner's name; the inventory's if not given.")
    ] = "",
    seed: Annotated[
        CloneSource | None, typer.Option(help="A base backup of the primary, or the newest backup.")
    ] = None,
    yes: Yes = False,
    allow: AllowOption = AllowedImpact.reload,
    json: Json = False,
) -> int:
    """Add a streaming replica: write nodes/NAME.yml, create the server, seed it, see it stream.

    Run again with the same name, it finishes what is left.
    """
    options: Options = context.obj
    node = NewNode(
        name=name,
        private_ip=private_ip or None,
        address=address or None,
        server_type=server_type or None,
        location=location or None,
        seed=seed.value if seed else None,
    )
    added = add_node(options.inventory, node)
    inventory = added.inventory
    if not json:
        report.print_line(f"inventory: {added.path}")
    approve = impact_approval(Impact[allow.value.upper()], yes=yes, quiet=json)
    nodes = (inventory.primary, inventory.node(name))
    other_replicas = partial(_reachable_replicas, inventory, name)
    return converge_nodes(
        "add-replica",
        inventory,
        nodes,
        approve,
        json=json,
        wait=options.wait,
        also_open_access_on=other_replicas,
    )


def re_clone(
    context: typer.Context, name: ReplicaName, confirm: Confirm = "", json: Json = False
) -> int:
    """Make a replica anew: stop it, rename its data aside, seed it again, see it stream.

    Refused for a node that accepts writes or that others stream from. Cut off before the copy
    was complete, `up NAME` goes on with it.
    """
    from pgprovision.operations import reclone as operation
    from pgprovision.run.approval import confirmed_by_name
    from pgprovision.tasks.paths import instance, snapshot

    options: Options = context.obj
    inventory = load(options.inventory)
    node = _declared_node(inventory, name)
    primary, catalog = inventory.primary, snapshot(inventory)
    disk = operation.existing_data_probe(instance(inventory))

    def wishes(targets: "Targets") -> Sequence[Tier]:
        here = targets[name].observe((disk, catalog.probe())) if node.role == "replica" else {}
        there = targets[primary.name].observe((catalog.probe(),))
        mine = here if isinstance(here, dict) else {}
        theirs = there if isinstance(there, dict) else {}
        former = operation.parse_existing_data(mine[disk]) if mine else operation.ExistingData()
        servers = [catalog.running_server(seen.get(catalog.probe())) for seen in (mine, theirs)]
        operation.check(node, former, servers[0], primary.name, servers[1])
        return operation.tiers(inventory, node, former, datetime.now(UTC))

    confirmation = confirmation_prompt(
        f"Type {name} to rename its data aside and clone it again", confirm
    )
    approve = confirmed_by_name(name, confirmation, "the replica's")
    return run("re-clone", inventory, wishes, approve, json=json, wait=options.wait)


def remove_replica(
    context: typer.Context,
    name: ReplicaName,
    delete_server: Annotated[
        bool, typer.Option("--delete-server", help="Also delete its server, if it is ours.")
    ] = False,
    confirm: Confirm = "",
    json: Json = False,
) -> int:
    """Take a replica out: stop it, drop its slot and hba line, rename nodes/NAME.yml.

    Its host and data stay, unless --delete-server is given. Run again, it finishes what is left;
    it also drops the slot of a replica whose file was removed by hand.
    """
    from pgprovision.operations import remove_replica as operation
    from pgprovision.run.approval import confirmed_by_name

    options: Options = context.obj
    inventory = load(options.inventory)
    node = operation.declared_replica(inventory, name)
    if node is None:
        report.print_note(f"{name} is not in the inventory: looking for what is left of it")

    def wishes(targets: "Targets") -> Sequence[Tier]:
        leaving = operation.RemovalRequest(
            name=name,
            node=node,
            running=node is not None
            and targets.probe_succeeds(node, operation.installed_probe(inventory)),
            other_replicas=_reachable_replicas(inventory, name, targets),
            delete_server=delete_server,
        )
        if node is not None and not leaving.running:
            report.print_note(f"{name} does not answer or has no PostgreSQL: nothing to stop there")
        return operation.tiers(inventory, leaving)

    confirmation = confirmation_prompt(f"Type {name} to take it out of the cluster", confirm)
    approve = confirmed_by_name(name, confirmation, "the replica's")
    code = run("remove-replica", inventory, wishes, approve, json=json, wait=options.wait)
    if not delete_server and node is not None and node.address is None and not json:
        report.print_line(f"its server stays: pgprovision remove-replica {name} --delete-server")
    return code


def _declared_node(inventory: Inventory, name: str) -> Node:
    for node in inventory.nodes:
        if node.name == name:
            return node
    names = ", ".join(node.name for node in inventory.replicas)
    raise InventoryError(f"no replica is called {name!r}", next=f"one of: {names}")


def _reachable_replicas(inventory: Inventory, name: str, targets: "Targets") -> tuple[Node, ...]:
    """The other replicas that are finished and answer: they shall know of `name`, too."""
    from pgprovision.engine.model import Probe
    from pgprovision.resources.node.identity import MARKER_FILE

    others = [node for node in inventory.replicas if node.name != name]
    found = tuple(
        node for node in others if targets.probe_succeeds(node, Probe(f"[ -s {MARKER_FILE} ]"))
    )
    for node in others:
        if node not in found:
            report.print_note(f"{node.name} does not answer or is not finished: left as it is")
    return found
