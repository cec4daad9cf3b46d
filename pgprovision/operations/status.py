"""How a cluster is now: nodes with their live roles, lag, slots, backups, WAL archive."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from pgprovision.engine import observe
from pgprovision.engine.model import Tier, Waiting
from pgprovision.engine.observe import Look, Target
from pgprovision.errors import InventoryError, PgprovisionError, Refused
from pgprovision.inventory.schema.cluster import Inventory, Node
from pgprovision.operations.drill.age import drill_troubles
from pgprovision.operations.slots import SlotStatus, slot_troubles, slots_of
from pgprovision.resources.pgbackrest import archive_backlog, info
from pgprovision.resources.pgbackrest.archive_backlog import Backlog
from pgprovision.resources.pgbackrest.info import Backup
from pgprovision.resources.postgres.replication.lsn import position
from pgprovision.resources.postgres.server.snapshot import Server
from pgprovision.tasks.backup import infos
from pgprovision.tasks.paths import slot, snapshot


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
    slot: str | None
    version: str | None
    timeline: int | None
    last_write: str | None
    differs: tuple[str, ...]
    remarks: tuple[str, ...]


@dataclass(frozen=True)
class Status:
    """A cluster. `archive_last` is the last WAL segment archived; `backlog` what waits for it."""

    nodes: tuple[NodeStatus, ...]
    slots: tuple[SlotStatus, ...]
    backups: tuple[Backup, ...]
    archive_last: str | None
    archive_failing: bool | None
    backlog: Backlog
    troubles: tuple[str, ...]
    last_drill: Mapping[str, Any] | None = None


def status(
    inventory: Inventory,
    tiers: Sequence[Tier],
    targets: Mapping[str, Target],
    addresses: Mapping[str, str | None],
    known: Sequence[str] = (),
    last_drill: Mapping[str, Any] | None = None,
) -> Status:
    """One look at everything, compared with the inventory. Changes nothing. `known`: troubles that
    were met before; `last_drill`: the last proven restore."""
    seen = observe.look(tiers, targets)
    differs, remarks, troubles = _compared(tiers, seen)
    servers = {node.name: _server(inventory, node, seen) for node in inventory.nodes}
    members = [node.name for node in inventory.members]
    writable = {name: s for name in members if (s := servers[name]) and not s.in_recovery}
    primary = writable.get(inventory.primary.name) or next(iter(writable.values()), None)
    slots = tuple(slots_of(writable, {slot(node) for node in inventory.replicas}))
    nodes = tuple(
        NodeStatus(
            name=node.name,
            address=addresses.get(node.name),
            private_ip=str(node.private_ip),
            role=_role(node, servers[node.name], node.name in seen.failed),
            reachable=node.name not in seen.failed and seen.seen.get(node.name) is not None,
            **_lag(node, servers[node.name], primary),
            version=found.minor if (found := servers[node.name]) else None,
            timeline=found.timeline if found else None,
            last_write=found.lsn.get("written_at") if found else None,
            differs=tuple(differs.get(node.name, ())),
            remarks=tuple(remarks.get(node.name, ())),
        )
        for node in inventory.nodes
    )
    figures = primary.archiver if primary else {}
    waits = _backlog(inventory, seen, primary)
    backups = _backups(inventory, seen)
    stale = drill_troubles(inventory, last_drill, backups, datetime.now(UTC))
    return Status(
        nodes=nodes,
        slots=slots,
        backups=backups,
        archive_last=figures.get("last_archived_wal"),
        archive_failing=_failing(figures) if primary else None,
        backlog=waits,
        troubles=(
            *known,
            *troubles,
            *slot_troubles(slots),
            *stale,
            *map(str, seen.failed.values()),
        ),
        last_drill=last_drill,
    )


def _compared(
    tiers: Sequence[Tier], seen: Look
) -> tuple[dict[str, list[str]], dict[str, list[str]], list[str]]:
    differs: dict[str, list[str]] = {}
    remarks: dict[str, list[str]] = {}
    troubles: list[str] = []
    for tier in tiers:
        try:
            view = observe.compare(tier, seen, seen.failed)
        except (Refused, InventoryError) as error:
            troubles.append(str(error))
            continue
        for change in view.changes:
            text = f"{change.resource} ({', '.join(change.keys)})"
            differs.setdefault(change.resource.on, []).append(text)
        for resource, text in view.remarks:
            remarks.setdefault(resource.on, []).append(text)
        troubles += [f"{r.on}: {r}: under way: {w.reason}" for r, w in view.waiting]
    return differs, remarks, troubles


def _server(inventory: Inventory, node: Node, seen: Look) -> Server | None:
    look = snapshot(inventory)
    answer = seen.get(node.name, look.ask())
    try:
        server = look.parse(answer) if answer else None
    except PgprovisionError:
        return None
    return None if isinstance(server, Waiting) else server


def _role(node: Node, server: Server | None, failed: bool) -> str:
    if server is None:
        return "unknown" if failed else "none"
    return "replica" if server.in_recovery else "copy" if node.is_copy else "primary"


def _lag(node: Node, server: Server | None, primary: Server | None) -> dict[str, Any]:
    """Bytes and seconds behind the primary, as the primary sees it."""
    held = primary.slots.get(slot(node)) if primary else None
    found: dict[str, Any] = {
        "lag_bytes": None,
        "lag_seconds": None,
        "slot": held["wal_status"] if held else None,
    }
    if server is None or primary is None or not server.in_recovery:
        return found
    walsender = next(
        (row for row in primary.replication if row["application_name"] == node.name), None
    )
    if walsender and walsender["replay_lsn"]:
        behind = position(primary.lsn["current"]) - position(walsender["replay_lsn"])
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


def _failing(archiver: Mapping[str, Any]) -> bool:
    failed, good = archiver.get("last_failed_time"), archiver.get("last_archived_time")
    return bool(failed) and (not good or str(failed) > str(good))


def _backlog(inventory: Inventory, seen: Look, primary: Server | None) -> Backlog:
    if inventory.backup is None:
        return Backlog()
    error = seen.get(inventory.primary.name, archive_backlog.look(inventory.backup.stanza))
    return archive_backlog.backlog(primary, error)


def _backups(inventory: Inventory, seen: Look) -> tuple[Backup, ...]:
    """Of every repository, the first one's first."""
    found: list[Backup] = []
    for _, ask in infos(inventory):
        answer = seen.get(inventory.primary.name, ask)
        found += info.parse(answer).backups if answer else ()
    return tuple(found)


def as_json(cluster: str, found: Status) -> dict[str, Any]:
    """Version 1 of `status --json`."""
    return {
        "version": 1,
        "cluster": cluster,
        "nodes": [
            {**vars(node), "differs": list(node.differs), "remarks": list(node.remarks)}
            for node in found.nodes
        ],
        "slots": [vars(found) for found in found.slots],
        "backups": [
            {
                "repository": backup.repository,
                "label": backup.label,
                "type": backup.type,
                "stop": info.moment(backup.stop),
                "size": backup.size,
            }
            for backup in found.backups
        ],
        "archive": {
            "last": found.archive_last,
            "failing": found.archive_failing,
            **{key: value for key, value in vars(found.backlog).items() if key != "failing"},
            "alarm": str(found.backlog) if found.backlog.alarming else None,
        },
        "last_drill": None if found.last_drill is None else dict(found.last_drill),
        "troubles": list(found.troubles),
    }
