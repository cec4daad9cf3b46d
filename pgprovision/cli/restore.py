"""restore, restore plan: what can be restored, and restoring it."""

from typing import Annotated

import typer

from pgprovision.cli.options import (
    Address,
    Json,
    Location,
    PrivateIp,
    ServerType,
    Yes,
    run,
    run_query,
)
from pgprovision.recovery_target import recovery_target

app = typer.Typer(invoke_without_command=True)

Time = Annotated[
    str, typer.Option(help="A time with its zone: all that was committed by then.", metavar="TIME")
]
Lsn = Annotated[str, typer.Option(help="A place in the WAL, as 0/3000060.")]
Xid = Annotated[str, typer.Option(help="The last transaction that counts.")]
RestorePointName = Annotated[str, typer.Option(help="The name given to pg_create_restore_point.")]
Exclusive = Annotated[bool, typer.Option("--exclusive", help="Stop right before the target.")]
BackupSet = Annotated[
    str,
    typer.Option(
        "--set", help="Backup set to restore from (default: the newest before the target)."
    ),
]
TimelineOption = Annotated[
    int, typer.Option("--timeline", help="Timeline to follow (default: latest).", min=0)
]


@app.callback()
def restore(
    context: typer.Context,
    to: Annotated[str, typer.Option(help="A new node, for a copy.", metavar="NAME")] = "",
    in_place: Annotated[
        str, typer.Option(help="A node of ours, in place of its data.", metavar="NODE")
    ] = "",
    time: Time = "",
    lsn: Lsn = "",
    xid: Xid = "",
    name: RestorePointName = "",
    exclusive: Exclusive = False,
    backup: BackupSet = "",
    timeline: TimelineOption = 0,
    private_ip: PrivateIp = "",
    address: Address = "",
    server_type: ServerType = "",
    location: Location = "",
    confirm: Annotated[
        str,
        typer.Option(help="With --in-place: the node's name, typed beforehand.", metavar="NODE"),
    ] = "",
    yes: Yes = False,
    json: Json = False,
) -> int:
    """Restore the backups to a moment: to a new node, or in place of a node's data.

    Without --time, --lsn, --xid or --name: to the end of the WAL. --to NAME makes a copy on a
    machine of its own: nodes/NAME.yml is written, the copy answers read-write, archives nothing
    and is no part of the cluster. --in-place NODE stops that node and renames its data aside; on
    the primary, a new timeline begins and the replicas are cloned again. Cut off, --to goes on with
    the same command; --in-place begins anew, unless its restore still runs.
    """
    if context.invoked_subcommand:
        return 0
    from pgprovision.operations.restore.restore import (
        RestoreInPlace,
        RestoreToNewNode,
        check_destination,
    )

    target = recovery_target(
        {"time": time, "lsn": lsn, "xid": xid, "name": name},
        inclusive=not exclusive,
        timeline=timeline,
        backup=backup,
    )
    check_destination(to, in_place)
    if in_place:
        operation = RestoreInPlace(name=in_place, target=target, confirm=confirm)
        return run(operation, context, json=json)
    copy = RestoreToNewNode(
        name=to,
        target=target,
        private_ip=private_ip,
        address=address,
        server_type=server_type,
        location=location,
    )
    return run(copy, context, yes=yes, json=json)


@app.command("plan")
def plan(context: typer.Context, json: Json = False) -> int:
    """Show what can be restored, from when to when, on each timeline, and the backups' sizes."""
    from pgprovision.operations.restore.restorable import RestorePlanQuery

    return run_query(RestorePlanQuery(), context, json=json)
