"""What a restored copy is asked, and how the answers are judged."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime

from pgprovision.engine.model import Answer, Ask, Report
from pgprovision.inventory.schema.cluster import Inventory
from pgprovision.operations.drill.drill import Check, Proof
from pgprovision.resources.data_directory import recovery
from pgprovision.resources.data_directory.integrity import CLEAN, Integrity
from pgprovision.resources.data_directory.recovery import Account
from pgprovision.resources.pgbackrest import repository_files, unarchived_wal
from pgprovision.resources.pgbackrest.unarchived_wal import Standing
from pgprovision.resources.postgres.server import scalar_query
from pgprovision.resources.postgres.server.snapshot import Server
from pgprovision.tasks.paths import instance, snapshot

NAMED = 3  # files of a repository that are named
SHOWN = 60  # characters of a probe's query
Seen = Mapping[Ask, Answer]


def standing_asks(inventory: Inventory) -> tuple[Ask, ...]:
    """What the primary is asked when the drill begins: the moment it is imagined to be gone."""
    here = instance(inventory)
    return (unarchived_wal.look(here), *_heartbeat(inventory))


def _heartbeat(inventory: Inventory) -> tuple[Ask, ...]:
    beat = inventory.backup.drill.heartbeat if inventory.backup else None
    return (scalar_query.moment(instance(inventory), beat.database, beat.query),) if beat else ()


def copy_asks(inventory: Inventory) -> tuple[Ask, ...]:
    """What the copy is asked once it runs."""
    here, backup = instance(inventory), inventory.backup
    probes = backup.drill.probes if backup else ()
    return (
        snapshot(inventory).ask(),
        recovery.look(here),
        *_heartbeat(inventory),
        *(scalar_query.scalar(here, probe.database, probe.query) for probe in probes),
    )


def account(inventory: Inventory, seen: Seen) -> Account:
    """How restore and recovery went."""
    return recovery.read(seen.get(recovery.look(instance(inventory))))


def judged(inventory: Inventory, seen: Seen, standing: Standing | None) -> Iterator[Check]:
    """The copy as it runs, before its pages are read. `standing`: of the primary, for a drill to
    the end of the WAL."""
    server = snapshot(inventory).running(seen.get(snapshot(inventory).ask()))
    if server is None:
        yield Check("starts", False, "PostgreSQL does not answer on the copy")
        return
    yield Check("starts", not server.in_recovery, f"{server.minor}, timeline {server.timeline}")
    yield from _alone(server)
    if standing is not None:
        end = account(inventory, seen).lsn
        whole = bool(end) and standing.archived(end)
        found = f"recovered to {end or 'nowhere'}, archived up to segment {standing.segment}"
        yield Check("all archived WAL", whole, found)
    yield from _catalog(inventory, server)
    yield from probes(inventory, seen)


def _alone(server: Server) -> Iterator[Check]:
    """A copy that archives, or follows somebody, would not be one."""
    archive = str(server.settings.get("archive_mode", {}).get("value", "off"))
    upstream = str(server.settings.get("primary_conninfo", {}).get("value") or "")
    ties = [] if archive == "off" else [f"archive_mode is {archive}"]
    ties += [f"slot {name}" for name in server.slots]
    ties += ["primary_conninfo is set"] if upstream else []
    ties += [f"{len(server.replication)} stream from it"] if server.replication else []
    told = ", ".join(ties) or "archives nothing, holds no slots, follows nobody"
    yield Check("alone", not ties, told)


def _catalog(inventory: Inventory, server: Server) -> Iterator[Check]:
    roles = [name for name, role in inventory.roles.items() if role.present]
    roles.append(inventory.postgres.replication.role)
    yield _all("databases", list(inventory.databases), list(server.databases))
    wanted, there = [], []
    for name, database in inventory.databases.items():
        inside = server.inside.get(name)
        wanted += [f"{extension} in {name}" for extension in database.extensions]
        there += [f"{extension} in {name}" for extension in (inside.extensions if inside else ())]
    yield _all("extensions", wanted, there)
    yield _all("roles", roles, list(server.roles))


def _all(what: str, wanted: Sequence[str], there: Sequence[str]) -> Check:
    lacking = [name for name in wanted if name not in there]
    told = f"missing: {', '.join(lacking)}" if lacking else f"all {len(wanted)}"
    return Check(what, not lacking, told)


def probes(inventory: Inventory, seen: Seen) -> Iterator[Check]:
    for probe in inventory.backup.drill.probes if inventory.backup else ():
        answer = seen.get(scalar_query.scalar(instance(inventory), probe.database, probe.query))
        found = scalar_query.read(answer)
        name = f"probe of {probe.database}: {probe.query[:SHOWN]}"
        if found.trouble:
            yield Check(name, False, found.trouble)
        elif probe.at_least is not None:
            enough = _number(found.value) >= probe.at_least
            yield Check(name, enough, f"{found.value}, at least {probe.at_least}")
        else:
            wish = _as_text(probe.equals)
            yield Check(name, found.value == wish, f"{found.value}, expected {wish}")


def _number(value: str | None) -> float:
    try:
        return float(value or "nan")
    except ValueError:
        return float("nan")  # is at least nothing


def _as_text(value: object) -> str:
    """As PostgreSQL casts it to text."""
    return str(value).lower() if isinstance(value, bool) else str(value)


def measure(
    inventory: Inventory, proof: Proof, standing: Standing | None, there: Seen, copy: Seen
) -> None:
    """The seconds of data lost, had the primary been gone when the drill began. `there`: what the
    primary answered then."""
    proof.last_commit = account(inventory, copy).last_transaction or None
    for ask in _heartbeat(inventory):
        newest, kept = (_seconds(scalar_query.read(seen.get(ask))) for seen in (there, copy))
        if kept is None:
            found = scalar_query.read(copy.get(ask)).trouble or "no row"
            proof.checks.append(Check("heartbeat", False, found))
            continue
        proof.checks.append(Check("heartbeat", True, _moment(kept)))
        if newest is not None:
            proof.lost_seconds, proof.lost_by = max(0.0, newest - kept), "heartbeat"
            return
    if standing is not None:
        proof.lost_seconds, proof.lost_by = standing.lost_seconds, "wal"
    elif proof.last_commit:
        age = datetime.now(UTC) - datetime.fromisoformat(proof.last_commit)
        proof.lost_seconds, proof.lost_by = max(0.0, age.total_seconds()), "last commit"


def _seconds(found: scalar_query.Found) -> float | None:
    return float(found.value) if found.value else None


def _moment(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(sep=" ", timespec="seconds")


def integrity(outcome: Report) -> Iterator[Check]:
    """What reading every page found. Empty where it did not come to that."""
    for change in outcome.left:
        if isinstance(change.resource, Integrity) and change.diff.before:
            for what, wish in (change.diff.after or {}).items():
                found = str(change.diff.before.get(what))
                yield Check(what, found == wish, found)


def clean(inventory: Inventory) -> Iterator[Check]:
    """The same where nothing was left to tell."""
    if inventory.postgres.version >= 14:
        yield Check("pg_amcheck", True, CLEAN)
    if inventory.postgres.data_checksums:
        yield Check("pg_checksums", True, CLEAN)


def repository(before: Answer | None, after: Answer | None, reads_only: bool) -> Check:
    """The repository as it was, but for what production itself did meanwhile."""
    name = "repository untouched"
    key = "read-only key" if reads_only else "the cluster's own key"
    then, now = repository_files.parse(before), repository_files.parse(after)
    if then is None or now is None:
        return Check(name, False, "it could not be listed")
    moved = repository_files.moved(then, now)
    if moved.foreign:
        told = ", ".join(moved.foreign[:NAMED])
        return Check(name, False, f"{told} ({len(moved.foreign)} in all)")
    if moved:
        number = len(moved.new) + len(moved.changed) + len(moved.gone)
        return Check(name, True, f"{len(now)} files, {number} of them production's since; {key}")
    return Check(name, True, f"{len(now)} files, identical before and after; {key}")
