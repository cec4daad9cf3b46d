"""What a restored copy is asked, and how the answers are judged."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime

from pgprovision.engine.model import Answer, Probe, Report
from pgprovision.inventory.schema.cluster import Inventory
from pgprovision.operations.drill.drill import DrillCheck, DrillResult
from pgprovision.resources.data_directory import recovery
from pgprovision.resources.data_directory.integrity import CLEAN, Integrity
from pgprovision.resources.data_directory.recovery import RestoreResult
from pgprovision.resources.pgbackrest import repository_files, unarchived_wal
from pgprovision.resources.pgbackrest.unarchived_wal import RecoveryPoint
from pgprovision.resources.postgres.server import scalar_query
from pgprovision.resources.postgres.server.snapshot import ServerSnapshot
from pgprovision.tasks.paths import instance, snapshot

MAX_NAMED_FILES = 3  # files of a repository that are named
MAX_QUERY_LENGTH = 60  # characters of a probe's query
Answers = Mapping[Probe, Answer]


def primary_probes(inventory: Inventory) -> tuple[Probe, ...]:
    """What the primary is asked when the drill begins: the moment it is imagined to be gone."""
    node_instance = instance(inventory)
    return (unarchived_wal.unarchived_wal_probe(node_instance), *_heartbeat_probes(inventory))


def _heartbeat_probes(inventory: Inventory) -> tuple[Probe, ...]:
    beat = inventory.backup.drill.heartbeat if inventory.backup else None
    return (
        (scalar_query.timestamp_probe(instance(inventory), beat.database, beat.query),)
        if beat
        else ()
    )


def copy_probes(inventory: Inventory) -> tuple[Probe, ...]:
    """What the copy is asked once it runs."""
    node_instance, backup = instance(inventory), inventory.backup
    probes = backup.drill.probes if backup else ()
    return (
        snapshot(inventory).probe(),
        recovery.result_probe(node_instance),
        *_heartbeat_probes(inventory),
        *(
            scalar_query.scalar_probe(node_instance, probe.database, probe.query)
            for probe in probes
        ),
    )


def restore_result(inventory: Inventory, answers: Answers) -> RestoreResult:
    """How restore and recovery went."""
    return recovery.parse_result(answers.get(recovery.result_probe(instance(inventory))))


def check_copy(
    inventory: Inventory, answers: Answers, recovery_point: RecoveryPoint | None
) -> Iterator[DrillCheck]:
    """The copy as it runs, before its pages are read. `recovery_point`: of the primary, for a drill
    to the end of the WAL."""
    server = snapshot(inventory).running_server(answers.get(snapshot(inventory).probe()))
    if server is None:
        yield DrillCheck(
            "PostgreSQL accepts connections", False, "PostgreSQL does not answer on the copy"
        )
        return
    yield DrillCheck(
        "PostgreSQL accepts connections",
        not server.in_recovery,
        f"{server.minor}, timeline {server.timeline}",
    )
    yield from _check_isolation(server)
    if recovery_point is not None:
        end = restore_result(inventory, answers).lsn
        complete = bool(end) and recovery_point.covered_by(end)
        archived = f"archived up to segment {recovery_point.first_segment}"
        found = f"recovered to {end or 'nowhere'}, {archived}"
        yield DrillCheck("all archived WAL replayed", complete, found)
    yield from _check_catalog(inventory, server)
    yield from check_queries(inventory, answers)


def _check_isolation(server: ServerSnapshot) -> Iterator[DrillCheck]:
    """A copy that archives, or follows somebody, would not be one."""
    archive = str(server.settings.get("archive_mode", {}).get("value", "off"))
    upstream = str(server.settings.get("primary_conninfo", {}).get("value") or "")
    connections = [] if archive == "off" else [f"archive_mode is {archive}"]
    connections += [f"slot {name}" for name in server.slots]
    connections += ["primary_conninfo is set"] if upstream else []
    connections += [f"{len(server.replication)} stream from it"] if server.replication else []
    text = ", ".join(connections) or "archives nothing, holds no slots, follows nobody"
    yield DrillCheck("isolated", not connections, text)


def _check_catalog(inventory: Inventory, server: ServerSnapshot) -> Iterator[DrillCheck]:
    roles = [name for name, role in inventory.roles.items() if role.present]
    roles.append(inventory.postgres.replication.role)
    yield _check_present("databases", list(inventory.databases), list(server.databases))
    desired, present = [], []
    for name, database in inventory.databases.items():
        inside = server.database_snapshots.get(name)
        desired += [f"{extension} in {name}" for extension in database.extensions]
        present += [f"{extension} in {name}" for extension in (inside.extensions if inside else ())]
    yield _check_present("extensions", desired, present)
    yield _check_present("roles", roles, list(server.roles))


def _check_present(what: str, desired: Sequence[str], present: Sequence[str]) -> DrillCheck:
    missing = [name for name in desired if name not in present]
    text = f"missing: {', '.join(missing)}" if missing else f"all {len(desired)}"
    return DrillCheck(what, not missing, text)


def check_queries(inventory: Inventory, answers: Answers) -> Iterator[DrillCheck]:
    for probe in inventory.backup.drill.probes if inventory.backup else ():
        answer = answers.get(
            scalar_query.scalar_probe(instance(inventory), probe.database, probe.query)
        )
        found = scalar_query.parse_scalar(answer)
        name = f"query on {probe.database}: {probe.query[:MAX_QUERY_LENGTH]}"
        if found.error:
            yield DrillCheck(name, False, found.error)
        elif probe.at_least is not None:
            enough = _number(found.value) >= probe.at_least
            yield DrillCheck(name, enough, f"{found.value}, at least {probe.at_least}")
        else:
            desired = _as_text(probe.equals)
            yield DrillCheck(name, found.value == desired, f"{found.value}, expected {desired}")


def _number(value: str | None) -> float:
    try:
        return float(value or "nan")
    except ValueError:
        return float("nan")  # is at least nothing


def _as_text(value: object) -> str:
    """As PostgreSQL casts it to text."""
    return str(value).lower() if isinstance(value, bool) else str(value)


def measure_data_loss(
    inventory: Inventory,
    result: DrillResult,
    recovery_point: RecoveryPoint | None,
    primary_answers: Answers,
    copy_answers: Answers,
) -> None:
    """The seconds of data lost, had the primary been gone when the drill began. `primary_answers`:
    what the primary answered then."""
    result.last_commit = restore_result(inventory, copy_answers).last_transaction or None
    for probe in _heartbeat_probes(inventory):
        newest_in_primary, newest_in_copy = (
            _seconds(scalar_query.parse_scalar(answers.get(probe)))
            for answers in (primary_answers, copy_answers)
        )
        if newest_in_copy is None:
            found = scalar_query.parse_scalar(copy_answers.get(probe)).error or "no row"
            result.checks.append(DrillCheck("heartbeat", False, found))
            continue
        result.checks.append(DrillCheck("heartbeat", True, _moment(newest_in_copy)))
        if newest_in_primary is not None:
            result.lost_seconds, result.lost_by = (
                max(0.0, newest_in_primary - newest_in_copy),
                "heartbeat",
            )
            return
    if recovery_point is not None:
        result.lost_seconds, result.lost_by = recovery_point.data_loss_seconds, "wal"
    elif result.last_commit:
        age = datetime.now(UTC) - datetime.fromisoformat(result.last_commit)
        result.lost_seconds, result.lost_by = max(0.0, age.total_seconds()), "last commit"


def _seconds(found: scalar_query.ScalarResult) -> float | None:
    return float(found.value) if found.value else None


def _moment(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(sep=" ", timespec="seconds")


def check_integrity(outcome: Report) -> Iterator[DrillCheck]:
    """What reading every page found. Empty where it did not come to that."""
    for change in outcome.remaining:
        if isinstance(change.resource, Integrity) and change.diff.before:
            for what, desired in (change.diff.after or {}).items():
                found = str(change.diff.before.get(what))
                yield DrillCheck(what, found == desired, found)


def passed_integrity(inventory: Inventory) -> Iterator[DrillCheck]:
    """The same where nothing was left to tell."""
    if inventory.postgres.version >= 14:
        yield DrillCheck("pg_amcheck", True, CLEAN)
    if inventory.postgres.data_checksums:
        yield DrillCheck("pg_checksums", True, CLEAN)


def check_repository(before: Answer | None, after: Answer | None, reads_only: bool) -> DrillCheck:
    """The repository as it was, but for what production itself did meanwhile."""
    name = "repository unchanged"
    key = "read-only key" if reads_only else "the cluster's own key"
    old_files, new_files = repository_files.parse(before), repository_files.parse(after)
    if old_files is None or new_files is None:
        return DrillCheck(name, False, "it could not be listed")
    changes = repository_files.compare_files(old_files, new_files)
    if changes.foreign:
        text = ", ".join(changes.foreign[:MAX_NAMED_FILES])
        return DrillCheck(name, False, f"{text} ({len(changes.foreign)} in all)")
    if changes:
        number = len(changes.new) + len(changes.changed) + len(changes.removed)
        return DrillCheck(
            name, True, f"{len(new_files)} files, {number} of them production's since; {key}"
        )
    return DrillCheck(name, True, f"{len(new_files)} files, identical before and after; {key}")
