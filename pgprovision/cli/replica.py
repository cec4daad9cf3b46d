"""add-replica, re-clone, remove-replica: the life of a replica."""

from enum import Enum
from typing import Annotated

import typer

from pgprovision.cli.options import (
    Address,
    Allow,
    AllowedImpact,
    Json,
    Location,
    PrivateIp,
    ServerType,
    Yes,
    run,
)

ReplicaName = Annotated[str, typer.Argument(help="The replica's name.")]
Confirm = Annotated[
    str, typer.Option(help="The replica's name, to confirm without a prompt.", metavar="NAME")
]


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
    private_ip: PrivateIp = "",
    address: Address = "",
    server_type: ServerType = "",
    location: Location = "",
    clone_from: Annotated[
        CloneSource | None, typer.Option(help="A base backup of the primary, or the newest backup.")
    ] = None,
    yes: Yes = False,
    allow: Allow = AllowedImpact.reload,
    json: Json = False,
) -> int:
    """Add a streaming replica: write nodes/NAME.yml, create the server, seed it, see it stream.

    Run again with the same name, it finishes what is left.
    """
    from pgprovision.operations.add_replica import AddReplica

    operation = AddReplica(
        name=name,
        private_ip=private_ip,
        address=address,
        server_type=server_type,
        location=location,
        clone_from=clone_from.value if clone_from else "",
        allow=allow.impact,
    )
    return run(operation, context, yes=yes, json=json)


def re_clone(
    context: typer.Context, name: ReplicaName, confirm: Confirm = "", json: Json = False
) -> int:
    """Re-clone a replica: stop it, set its data aside, clone it again, wait until it streams.

    Refused for a node that accepts writes or that others stream from. Cut off before the copy
    was complete, `up NAME` goes on with it.
    """
    from pgprovision.operations.reclone import ReClone

    return run(ReClone(name, confirm), context, json=json)


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
    it also drops the slot of a replica after its file was removed by hand.
    """
    from pgprovision.operations.remove_replica import RemoveReplica

    return run(RemoveReplica(name, confirm, delete_server), context, json=json)
