"""How a cluster is now: nodes with their live roles, lag, slots, backups, WAL archive."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from pgprovision import record, report, tasks
from pgprovision.engine import observe
from pgprovision.engine.model import Tier, Waiting
from pgprovision.engine.observe import Observation, Target
from pgprovision.errors import InventoryError, PgprovisionError, Refused, Unreachable
from pgprovision.inventory.schema.cluster import Inventory, Node
from pgprovision.inventory.topology import Topology
from pgprovision.operations.drill.age import drill_problems
from pgprovision.operations.slots import SlotStatus, slot_problems, slot_statuses
from pgprovision.resources.pgbackrest import archive_backlog, info
from pgprovision.resources.pgbackrest.archive_backlog import ArchiveBacklog
from pgprovision.resources.pgbackrest.info import BackupInfo
from pgprovision.resources.postgres.replication.lsn import lsn_to_bytes
from pgprovision.resources.postgres.server.snapshot import ServerSnapshot
from pgprovision.run.query import ClusterQuery, Document
from pgprovision.run.targets import Targets
from pgprovision.tasks.backup import info_probes
from pgprovision.tasks.context import observed_topology
from pgprovision.tasks.paths import replica_slot, snapshot


class ShowStatus(ClusterQuery[Document]):
    """`status`: the cluster on one screen."""

    def look_at(self, inventory: Inventory, targets: Targets) -> Document:
        plan: Sequence[Tier] = tasks.tiers(inventory, inventory.nodes, datetime.now(UTC))
        known_problems = []
        if targets.cloud_error is not None:
            plan = targets.without_cloud(plan)
            known_problems.append(str(targets.cloud_error))
        last = record.last_proven_drill(record.records_folder(inventory.cluster))
        last_drill = last.summary if last else None
        addresses = targets.addresses()
        found = status(inventory, plan, targets, addresses, known_problems, last_drill)
        return as_json(inventory.cluster, found)

    def show(self, found: Document) -> None:
        report.show_status(found)

    def exit_code(self, found: Document) -> int:
        return 0 if all(node["reachable"] for node in found["nodes"]) else Unreachable.exit_code


@dataclass(frozen=True)
class NodeStatus:
    """One node as it is, not as it was declared. `role` is `primary`, `replica`, `copy` (restored
    from the backups), `none` (no PostgreSQL answers) or `unknown` (the host does not answer)."""

    name: str
    address: str | None
    private_ip: str
    role: str
    reachable: bool
    lag_bytes: int | None
    lag_seconds: float | None
    slot_wal_status: str | None
    version: str | None
    timeline: int | None
    last_write: str | None
    drift: tuple[str, ...]
    notes: tuple[str, ...]


@dataclass(frozen=True)
class Status:
    """A cluster. `archive_last` is the last WAL segment archived; `backlog` what waits for it."""

    nodes: tuple[NodeStatus, ...]
    slots: tuple[SlotStatus, ...]
    backups: tuple[BackupInfo, ...]
    archive_last: str | None
    archive_failing: bool | None
    backlog: ArchiveBacklog
    problems: tuple[str, ...]
    last_drill: Mapping[str, Any] | None = None


def status(
    inventory: Inventory,
    tiers: Sequence[Tier],
    targets: Mapping[str, Target],
    addresses: Mapping[str, str | None],
    known_problems: Sequence[str] = (),
    last_drill: Mapping[str, Any] | None = None,
) -> Status:
    """One look at everything, compared with the inventory. Changes nothing. `known_problems`:
    problems found before; `last_drill`: the last proven restore."""
    observation = observe.observe_tiers(tiers, targets)
    differs, notes, problems = _compare(tiers, observation)
    servers = {node.name: _server(inventory, node, observation) for node in inventory.nodes}
    members = [node.name for node in inventory.members]
    writable = {name: s for name in members if (s := servers[name]) and not s.in_recovery}
    topology = live_topology(inventory, servers)
    primary = writable.get(topology.primary.name) or next(iter(writable.values()), None)
    slots = tuple(slot_statuses(writable, {replica_slot(node) for node in topology.standbys}))
    nodes = tuple(
        NodeStatus(
            name=node.name,
            address=addresses.get(node.name),
            private_ip=str(node.private_ip),
            role=_role(node, servers[node.name], node.name in observation.failed),
            reachable=node.name not in observation.failed
            and observation.answers.get(node.name) is not None,
            **_lag(node, servers[node.name], primary),
            version=found.minor if (found := servers[node.name]) else None,
            timeline=found.timeline if found else None,
            last_write=found.lsn.get("written_at") if found else None,
            drift=tuple(differs.get(node.name, ())),
            notes=tuple(notes.get(node.name, ())),
        )
        for node in inventory.nodes
    )
    figures = primary.archiver if primary else {}
    backlog = _backlog(inventory, observation, primary)
    backups = _backups(inventory, observation)
    stale = drill_problems(inventory, last_drill, backups, datetime.now(UTC))
    return Status(
        nodes=nodes,
        slots=slots,
        backups=backups,
        archive_last=figures.get("last_archived_wal"),
        archive_failing=_archiving_fails(figures) if primary else None,
        backlog=backlog,
        problems=(
            *known_problems,
            *problems,
            *slot_problems(slots),
            *stale,
            *map(str, observation.failed.values()),
        ),
        last_drill=last_drill,
    )


def live_topology(inventory: Inventory, servers: Mapping[str, ServerSnapshot | None]) -> Topology:
    """The roles that the servers have; the declared ones where no primary, or several, are seen."""
    observed = observed_topology(inventory, servers)
    return observed if isinstance(observed, Topology) else Topology.declared(inventory)


def _compare(
    tiers: Sequence[Tier], observation: Observation
) -> tuple[dict[str, list[str]], dict[str, list[str]], list[str]]:
    differs: dict[str, list[str]] = {}
    notes: dict[str, list[str]] = {}
    problems: list[str] = []
    for tier in tiers:
        try:
            view = observe.compare(tier, observation, observation.failed)
        except (Refused, InventoryError) as error:
            problems.append(str(error))
            continue
        for change in view.changes:
            text = f"{change.resource} ({', '.join(change.keys)})"
            differs.setdefault(change.resource.on, []).append(text)
        for resource, text in view.notes:
            notes.setdefault(resource.on, []).append(text)
        problems += [f"{r.on}: {r}: in progress: {w.reason}" for r, w in view.waiting]
    return differs, notes, problems


def _server(inventory: Inventory, node: Node, observation: Observation) -> ServerSnapshot | None:
    catalog = snapshot(inventory)
    answer = observation.get(node.name, catalog.probe())
    try:
        server = catalog.parse(answer) if answer else None
    except PgprovisionError:
        return None
    return None if isinstance(server, Waiting) else server


def _role(node: Node, server: ServerSnapshot | None, failed: bool) -> str:
    if server is None:
        return "unknown" if failed else "none"
    return "replica" if server.in_recovery else "copy" if node.is_copy else "primary"


def _lag(
    node: Node, server: ServerSnapshot | None, primary: ServerSnapshot | None
) -> dict[str, Any]:
    """Bytes and seconds behind the primary, as the primary sees it."""
    own_slot = primary.slots.get(replica_slot(node)) if primary else None
    found: dict[str, Any] = {
        "lag_bytes": None,
        "lag_seconds": None,
        "slot_wal_status": own_slot["wal_status"] if own_slot else None,
    }
    if server is None or primary is None or not server.in_recovery:
        return found
    walsender = next(
        (row for row in primary.replication if row["application_name"] == node.name), None
    )
    if walsender and walsender["replay_lsn"]:
        behind = lsn_to_bytes(primary.lsn["current"]) - lsn_to_bytes(walsender["replay_lsn"])
        found["lag_bytes"] = max(0, behind)
        found["lag_seconds"] = _seconds(walsender["replay_lag"]) if behind > 0 else 0.0
    return found


def _seconds(interval: str | None) -> float:
    """00:00:01.5 as PostgreSQL writes it; None once a standby is idle and caught up."""
    if not interval:
        return 0.0
    hours, minutes, seconds = interval.rpartition(" ")[2].split(":")
    return timedelta(
        hours=float(hours), minutes=float(minutes), seconds=float(seconds)
    ).total_seconds()


def _archiving_fails(archiver: Mapping[str, Any]) -> bool:
    failed, good = archiver.get("last_failed_time"), archiver.get("last_archived_time")
    return bool(failed) and (not good or str(failed) > str(good))


def _backlog(
    inventory: Inventory, observation: Observation, primary: ServerSnapshot | None
) -> ArchiveBacklog:
    if inventory.backup is None:
        return ArchiveBacklog()
    on = Topology.declared(inventory).primary.name  # by the plan, which is of declared roles
    probe = archive_backlog.archive_error_probe(inventory.backup.stanza)
    error = observation.get(on, probe)
    return archive_backlog.backlog(primary, error)


def _backups(inventory: Inventory, observation: Observation) -> tuple[BackupInfo, ...]:
    """Of every repository, the first one's first."""
    found: list[BackupInfo] = []
    on = Topology.declared(inventory).primary.name  # by the plan, which is of declared roles
    for _, probe in info_probes(inventory):
        answer = observation.get(on, probe)
        found += info.parse(answer).backups if answer else ()
    return tuple(found)


def as_json(cluster: str, found: Status) -> dict[str, Any]:
    """`status --json`."""
    return {
        **report.envelope(cluster=cluster),
        "nodes": [
            {**vars(node), "drift": list(node.drift), "notes": list(node.notes)}
            for node in found.nodes
        ],
        "slots": [vars(found) for found in found.slots],
        "backups": [
            {
                "repository": backup.repository,
                "label": backup.label,
                "type": backup.type,
                "stop": info.iso_time(backup.stop),
                "size": backup.database_size,
            }
            for backup in found.backups
        ],
        "archive": {
            "last_segment": found.archive_last,
            "failing": found.archive_failing,
            **{key: value for key, value in vars(found.backlog).items() if key != "failing"},
            "alarm": str(found.backlog) if found.backlog.alarming else None,
        },
        "last_proven_drill": None if found.last_drill is None else dict(found.last_drill),
        "problems": list(found.problems),
    }
