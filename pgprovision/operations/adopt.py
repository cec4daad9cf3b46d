"""Makes a host with data but without a marker, or with a cluster made by hand, a node.

What is there is shown, the name is confirmed, the marker is written, and nothing else. Refused
where what is there contradicts the inventory, or the host's identity files.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from pgprovision import report
from pgprovision.engine.model import Answer, Probe, Tier
from pgprovision.errors import Refused, Unreachable
from pgprovision.inventory.schema.cluster import Inventory, Node
from pgprovision.inventory.topology import Topology
from pgprovision.operations import reclone
from pgprovision.quote import sh
from pgprovision.resources.node import identity
from pgprovision.resources.node.identity import (
    CLAIM_FILE,
    MARKER_FILE,
    IdentityFacts,
    check_format,
    json_fields,
)
from pgprovision.resources.postgres.control_file import system_identifier_probe
from pgprovision.resources.postgres.server.instance import Instance, in_progress_file
from pgprovision.resources.postgres.server.snapshot import ServerSnapshot
from pgprovision.run.approval import NameConfirmation
from pgprovision.run.operation import Operation, Prepared, Run
from pgprovision.run.targets import Targets
from pgprovision.tasks import host
from pgprovision.tasks.context import PlanContext
from pgprovision.tasks.paths import instance, snapshot

_SIZES = """\
select coalesce(json_object_agg(datname, pg_size_pretty(pg_database_size(oid)) order by datname),
    '{}') from pg_database where not datistemplate;
"""


@dataclass(frozen=True)
class Adopt(Operation):
    """`adopt NAME`: the marker of a machine that has a database."""

    command: ClassVar[str] = "adopt"
    name: str
    confirm: str = ""
    """The node's name, to confirm without a prompt."""

    def check(self, inventory: Inventory) -> None:
        inventory.node(self.name)

    def prepare(self, inventory: Inventory, targets: Targets) -> Prepared:
        node = inventory.node(self.name)
        existing = _look_at(inventory, targets, node)
        report.print_note(f"{self.name}, as it is:")  # also where it is refused
        for word, what in description(inventory, node, existing):
            report.print_note(f"  {word:<18} {what}")
        primary = None
        if not node.is_primary:
            primary = _look_at(inventory, targets, inventory.primary).identifier
        check(inventory, node, existing, primary)
        question = f"Type {self.name} to confirm: adopt this host as node {self.name}"
        return Prepared(
            tiers=tiers(inventory, node),
            confirmation=NameConfirmation(self.name, question, self.confirm, "the node's"),
        )

    def finished(self, run: Run) -> int:
        if run.failure is None and not run.options.json:
            report.print_line("next: pgprovision plan")
        return run.exit_code


@dataclass(frozen=True)
class ExistingNode:
    """What is on the machine. `server`: what answers there, if anything does."""

    identity_files: IdentityFacts
    identifier: str
    existing_data: reclone.ExistingData
    size: str
    server: ServerSnapshot | None
    sizes: Mapping[str, str]


def probes(inventory: Inventory) -> tuple[Probe, ...]:
    """One look at the machine."""
    node_instance = instance(inventory)
    return (
        identity.identity_probe(node_instance),
        system_identifier_probe(node_instance),
        reclone.existing_data_probe(node_instance),
        Probe(sh("du", "-sh", node_instance.data_directory)),
        snapshot(inventory).probe(),
        Probe(f"{node_instance.psql()} <<'PGPROVISION'\n{_SIZES}PGPROVISION"),
    )


def _look_at(inventory: Inventory, targets: Targets, node: Node) -> ExistingNode:
    answers = targets[node.name].observe(probes(inventory))
    if not isinstance(answers, Mapping):
        raise Unreachable("there is no machine yet, or it is still booting", where=node.name)
    return parse(inventory, answers)


def parse(inventory: Inventory, answers: Mapping[Probe, Answer]) -> ExistingNode:
    found, identifier, disk, size, server, sizes = (answers[probe] for probe in probes(inventory))
    return ExistingNode(
        identity_files=identity.parse(found),
        identifier=identifier.text.strip(),
        existing_data=reclone.parse_existing_data(disk),
        size=size.text.partition("\t")[0],
        server=snapshot(inventory).running_server(server),
        sizes=json.loads(sizes.out) if sizes.code == 0 else {},
    )


def description(
    inventory: Inventory, node: Node, existing: ExistingNode
) -> Iterator[tuple[str, str]]:
    """What a person should read before confirming the name."""
    node_instance, server, disk = instance(inventory), existing.server, existing.existing_data
    role, timeline = ("standby" if disk.standby else "primary"), disk.timeline
    runs = "stopped, the data are"
    if server is not None:
        runs, timeline = f"{server.minor} running as", server.timeline
        role = "standby" if server.in_recovery else "primary"
    yield "data directory", f"{node_instance.data_directory}, {existing.size or 'nothing'}"
    yield "system identifier", existing.identifier or "(none)"
    yield "PostgreSQL", f"{runs} {role}, timeline {timeline}"
    if server is not None:
        databases = (f"{name} ({size})" for name, size in existing.sizes.items())
        yield "databases", ", ".join(databases) or "(cannot be asked)"
        yield "standbys", ", ".join(map(_standby, server.replication)) or "nobody"
    if server is not None and server.receiver is not None:
        yield "primary_conninfo host", str(server.receiver.get("sender_host"))
    yield (
        "identity files",
        existing.identity_files.marker
        or existing.identity_files.claim
        or "nothing: no marker, no claim",
    )
    yield "will be written", f"{MARKER_FILE}: {node.name} of {inventory.cluster}"


def _standby(row: Mapping[str, Any]) -> str:
    return f"{row['application_name']} ({row['state']})"


def check(inventory: Inventory, node: Node, existing: ExistingNode, primary: str | None) -> None:
    """Raises Refused where the marker would not be true. `primary`: the primary's system
    identifier, None for the primary itself."""
    _check_identity(inventory, node, existing)
    _check_data_directory(node, existing, instance(inventory))
    name, disk, server = node.name, existing.existing_data, existing.server
    if server is not None and server.system_identifier != existing.identifier:
        raise _refused(
            f"what answers on port {instance(inventory).port} has system identifier"
            f" {server.system_identifier}, and the data in"
            f" {instance(inventory).data_directory} have {existing.identifier}",
            "pg_lsclusters on the host shows which cluster is which",
        )
    topology = Topology.declared(inventory)
    standby = server.in_recovery if server is not None else disk.standby
    if standby != topology.is_standby(node):
        live, declared = ("standby" if standby else "primary"), node.role
        raise _refused(
            f"the data on {name} are a {live}'s, and the inventory says {declared}:"
            " the live role wins",
            "pgprovision status shows who is primary; correct the roles in nodes/*.yml",
        )
    if primary is not None and primary != existing.identifier:
        difference = f"has {primary}" if primary else "has no cluster that could be asked"
        raise _refused(
            f"{name} has system identifier {existing.identifier}, and its primary"
            f" {topology.primary.name} {difference}",
            "check the addresses in nodes/*.yml; where these data do not count, rename their"
            f" directory on {name} by hand, then: pgprovision up {name}",
        )


def _check_identity(inventory: Inventory, node: Node, existing: ExistingNode) -> None:
    """The host's identity files are never overruled."""
    for path, text in (
        (MARKER_FILE, existing.identity_files.marker),
        (CLAIM_FILE, existing.identity_files.claim),
    ):
        check_format(path, text)
        owner = json_fields(text, "cluster", "node")
        if owner is not None and owner != (inventory.cluster, node.name):
            raise _refused(
                f"{path} says that this machine is {owner[1]} of cluster {owner[0]}, not"
                f" {node.name} of {inventory.cluster}",
                f"check the address of {node.name} in nodes/{node.name}.yml",
            )
    known = json_fields(existing.identity_files.marker, "system_identifier")
    if known is not None and known != (existing.identifier,):
        raise _refused(
            f"{MARKER_FILE} says system identifier {known[0]}, and the data have"
            f" {existing.identifier or 'none'}: not the database that was provisioned here",
            "find out what replaced it (findmnt; ls the directory above it)",
        )


def _check_data_directory(node: Node, existing: ExistingNode, node_instance: Instance) -> None:
    data, in_progress = node_instance.data_directory, in_progress_file(node_instance)
    if existing.identity_files.in_progress:
        raise _refused(
            f"{in_progress} says that {data} was still being created: an incomplete data directory"
            " cannot be adopted",
            f"with its claim in place, pgprovision up goes on with it; without, on the host: mv"
            f" {data} {data}.aside; rm {in_progress}; then: pgprovision up {node.name}",
        )
    if not existing.identity_files.has_data or not existing.identifier:
        other = f" (there is one of PostgreSQL {', '.join(existing.identity_files.versions)})"
        raise _refused(
            f"there is no cluster in {data}{other if existing.identity_files.versions else ''}",
            "mount its disk (findmnt; /etc/fstab), or correct postgres.version",
        )


def _refused(what: str, next: str) -> Refused:
    return Refused(what, done="nothing was written", next=next)


def tiers(inventory: Inventory, node: Node) -> tuple[Tier, ...]:
    """The marker, in a cluster that has no two histories."""
    context = PlanContext.declared(inventory, node)
    return (
        Tier("split-brain check", tuple(host.split_brain_check(context))),
        Tier("identity marker", tuple(host.marker(context))),
    )
