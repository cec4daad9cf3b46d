"""A machine that has data and lost its marker, or whose cluster was made by hand, becomes a node.

What is there is shown, the name is typed, the marker is written, and nothing else. Refused where
what is there contradicts the inventory, or what the machine still says of itself.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from pgprovision.engine.model import Answer, Ask, Tier
from pgprovision.errors import Refused
from pgprovision.inventory.schema.cluster import Inventory, Node
from pgprovision.operations import reclone
from pgprovision.quote import sh
from pgprovision.resources.node import identity
from pgprovision.resources.node.identity import CLAIM, MARKER, Found, check_format, fields
from pgprovision.resources.postgres.control_file import system_identifier
from pgprovision.resources.postgres.server.instance import Instance, note
from pgprovision.resources.postgres.server.snapshot import Server
from pgprovision.tasks import host
from pgprovision.tasks.paths import instance, snapshot

_SIZES = """\
select coalesce(json_object_agg(datname, pg_size_pretty(pg_database_size(oid)) order by datname),
    '{}') from pg_database where not datistemplate;
"""


@dataclass(frozen=True)
class Sight:
    """What is on the machine. `server`: what answers there, if anything does."""

    found: Found
    identifier: str
    disk: reclone.Former
    size: str
    server: Server | None
    sizes: Mapping[str, str]


def asks(inventory: Inventory) -> tuple[Ask, ...]:
    """One look at the machine."""
    here = instance(inventory)
    return (
        identity.look(here),
        system_identifier(here),
        reclone.look(here),
        Ask(sh("du", "-sh", here.data_directory)),
        snapshot(inventory).ask(),
        Ask(f"{here.psql()} <<'PGPROVISION'\n{_SIZES}PGPROVISION"),
    )


def read(inventory: Inventory, seen: Mapping[Ask, Answer]) -> Sight:
    found, identifier, disk, size, server, sizes = (seen[ask] for ask in asks(inventory))
    return Sight(
        found=identity.parse(found),
        identifier=identifier.text.strip(),
        disk=reclone.read(disk),
        size=size.text.partition("\t")[0],
        server=snapshot(inventory).running(server),
        sizes=json.loads(sizes.out) if sizes.code == 0 else {},
    )


def described(inventory: Inventory, node: Node, sight: Sight) -> Iterator[tuple[str, str]]:
    """What a person should have read before typing the name."""
    here, server, disk = instance(inventory), sight.server, sight.disk
    role, timeline = ("standby" if disk.standby else "primary"), disk.timeline
    runs = "stopped, the data are"
    if server is not None:
        runs, timeline = f"{server.minor} running as", server.timeline
        role = "standby" if server.in_recovery else "primary"
    yield "data directory", f"{here.data_directory}, {sight.size or 'nothing'}"
    yield "system identifier", sight.identifier or "(none)"
    yield "PostgreSQL", f"{runs} {role}, timeline {timeline}"
    if server is not None:
        databases = (f"{name} ({size})" for name, size in sight.sizes.items())
        yield "databases", ", ".join(databases) or "(cannot be asked)"
        yield "streams from here", ", ".join(map(_standby, server.replication)) or "nobody"
    if server is not None and server.receiver is not None:
        yield "streams from", str(server.receiver.get("sender_host"))
    yield (
        "says of itself",
        sight.found.marker or sight.found.claim or "nothing: no marker, no claim",
    )
    yield "will be written", f"{MARKER}: {node.name} of {inventory.cluster}"


def _standby(row: Mapping[str, Any]) -> str:
    return f"{row['application_name']} ({row['state']})"


def check(inventory: Inventory, node: Node, sight: Sight, primary: str | None) -> None:
    """Raises Refused where the marker would not be true. `primary`: the primary's system
    identifier, None for the primary itself."""
    _check_word(inventory, node, sight)
    _check_there(node, sight, instance(inventory))
    name, disk, server = node.name, sight.disk, sight.server
    if server is not None and server.system_identifier != sight.identifier:
        raise _refused(
            f"what answers on port {instance(inventory).port} has system identifier"
            f" {server.system_identifier}, and the data in"
            f" {instance(inventory).data_directory} have {sight.identifier}",
            "pg_lsclusters on the host shows which cluster is which",
        )
    standby = server.in_recovery if server is not None else disk.standby
    if standby == (node.role != "replica"):
        live, said = ("standby" if standby else "primary"), node.role
        raise _refused(
            f"the data on {name} are a {live}'s, and the inventory says {said}: the live role wins",
            "pgprovision status shows who is primary; correct the roles in nodes/*.yml",
        )
    if primary is not None and primary != sight.identifier:
        theirs = f"has {primary}" if primary else "has no cluster that could be asked"
        raise _refused(
            f"{name} has system identifier {sight.identifier}, and its primary"
            f" {inventory.primary.name} {theirs}",
            "check the addresses in nodes/*.yml; where these data do not count, rename their"
            f" directory on {name} by hand, then: pgprovision up {name}",
        )


def _check_word(inventory: Inventory, node: Node, sight: Sight) -> None:
    """What the machine still says of itself is never overruled."""
    for path, text in ((MARKER, sight.found.marker), (CLAIM, sight.found.claim)):
        check_format(path, text)
        owner = fields(text, "cluster", "node")
        if owner is not None and owner != (inventory.cluster, node.name):
            raise _refused(
                f"{path} says that this machine is {owner[1]} of cluster {owner[0]}, not"
                f" {node.name} of {inventory.cluster}",
                f"check the address of {node.name} in nodes/{node.name}.yml",
            )
    known = fields(sight.found.marker, "system_identifier")
    if known is not None and known != (sight.identifier,):
        raise _refused(
            f"{MARKER} says system identifier {known[0]}, and the data have"
            f" {sight.identifier or 'none'}: not the database that was provisioned here",
            "find out what replaced it (findmnt; ls the directory above it)",
        )


def _check_there(node: Node, sight: Sight, here: Instance) -> None:
    data = here.data_directory
    if sight.found.making:
        raise _refused(
            f"{note(here)} says that {data} was still being made: a half-made cluster is nobody's",
            f"with its claim in place, pgprovision up goes on with it; without, on the host: mv"
            f" {data} {data}.aside; rm {note(here)}; then: pgprovision up {node.name}",
        )
    if not sight.found.data or not sight.identifier:
        other = f" (there is one of PostgreSQL {', '.join(sight.found.versions)})"
        raise _refused(
            f"there is no cluster in {data}{other if sight.found.versions else ''}",
            "mount its disk (findmnt; /etc/fstab), or correct postgres.version",
        )


def _refused(what: str, next: str) -> Refused:
    return Refused(what, done="nothing was written", next=next)


def tiers(inventory: Inventory, node: Node) -> tuple[Tier, ...]:
    """The marker, in a cluster that has no two histories."""
    return (
        Tier("live roles", tuple(host.live_roles(inventory, inventory.primary))),
        Tier("marker", tuple(host.marker(inventory, node))),
    )
