"""add-replica: a file in the inventory, then the one loop."""

from typing import Annotated

import typer

from pgprovision import report
from pgprovision.cli.converge import Allow, AllowOption, approval, run_nodes
from pgprovision.cli.options import Json, Options, Yes
from pgprovision.inventory import NewNode, add_node, load
from pgprovision.model import Impact


def register(app: typer.Typer) -> None:
    app.command("add-replica")(add_replica)


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
    yes: Yes = False,
    allow: AllowOption = Allow.reload,
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
    )
    path = add_node(options.inventory, node)
    if not json:
        report.say(f"inventory: {path}")
    inventory = load(options.inventory)
    approve = approval(Impact[allow.value.upper()], yes=yes, quiet=json)
    nodes = (inventory.primary, inventory.node(name))
    return run_nodes("add-replica", inventory, nodes, approve, json=json)
