"""Whether backups are as they should be: a repository as values, limits, a moment; alarms."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from pgprovision.operations.watch.repository import RepositoryListing, StoredBackup
from pgprovision.operations.watch.wal_gaps import WalGap, find_gaps

MAX_CLOCK_AHEAD = timedelta(minutes=5)  # a label is given before the backup's first object is sent
MAX_CLOCK_BEHIND = timedelta(
    minutes=45
)  # and not long before: a checkpoint and the first file come between
MAX_CLOCK_SKEW = timedelta(minutes=5)  # the watcher's own clock against the store's
GAP_ALARM_PERIOD = timedelta(days=1)  # a hole in the WAL, once a later backup has ended
STALLED_AFTER = timedelta(hours=12)  # a backup that sends nothing for so long was killed


@dataclass(frozen=True)
class Limits:
    """How old things may be. `wal`, `drill` None: not judged. `retention`: how long a full backup
    is kept; what is older may be on its way out."""

    full: timedelta
    backup: timedelta
    grace: timedelta
    retention: timedelta
    wal: timedelta | None = None
    drill: timedelta | None = None
    time_zone: str = "UTC"


@dataclass(frozen=True)
class Alarm:
    """One thing that is wrong, and the next command to type. `kind` does not change with words."""

    kind: str
    message: str
    next_command: str


@dataclass(frozen=True)
class WatchVerdict:
    """What was found. `full`, `backup`: the newest finished ones; `wal`: the newest segment and
    when it arrived; `last_proven_restore`: the last proven restore."""

    at: datetime
    alarms: tuple[Alarm, ...]
    notes: tuple[str, ...] = ()
    full: StoredBackup | None = None
    backup: StoredBackup | None = None
    wal: tuple[str, datetime] | None = None
    last_proven_restore: datetime | None = None


def judge(
    repository: RepositoryListing,
    limits: Limits,
    now: datetime,
    *,
    local_now: datetime | None = None,
    last_proven_restore: datetime | None = None,
    drills_known: bool = False,
) -> WatchVerdict:
    """`now`: by the store's clock, which measures all ages; `local_now`: by this machine's.
    `drills_known`: whether a proven restore would be known here."""
    done = repository.finished_backups
    fulls = [backup for backup in done if backup.type == "full"]
    wal = next((one.newest for one in reversed(repository.wal) if one.newest), None)
    gaps = tuple(find_gaps(repository, now))
    alarms = (
        *_ages(repository, limits, now),
        *_wal_age(wal, limits, now),
        *_restorability(repository, limits, now),
        *(_gap_alarm(hole) for hole in gaps if not _is_expired(hole, now)),
        *_clocks(repository, now, local_now),
        *_drill(repository, limits, now, last_proven_restore, drills_known),
    )
    return WatchVerdict(
        at=now,
        alarms=alarms,
        notes=(
            *(_gap_alarm(hole).message for hole in gaps if _is_expired(hole, now)),
            *_notes(repository, limits, now, wal, drills_known),
        ),
        full=fulls[-1] if fulls else None,
        backup=done[-1] if done else None,
        wal=wal,
        last_proven_restore=last_proven_restore,
    )


def _ages(repository: RepositoryListing, limits: Limits, now: datetime) -> Iterator[Alarm]:
    done = repository.finished_backups
    full = [backup for backup in done if backup.type == "full"]
    for kind, what, found, limit in (
        ("full_age", "full backup", full, limits.full),
        ("backup_age", "backup of any kind", done, limits.backup),
    ):
        newest = found[-1] if found else None
        timer = "full" if kind == "full_age" else "diff"
        next = f"on the primary: systemctl status pgbackrest-backup-{timer}.timer"
        if newest is None:
            yield Alarm(kind, f"there is no finished {what}", f"{next}; or pgprovision backup now")
        elif newest.finished_at and now - newest.finished_at > limit + limits.grace:
            yield Alarm(
                kind,
                f"the newest {what} is {age_text(now - newest.finished_at)} old ({newest.label});"
                f" allowed are {age_text(limit)} and {age_text(limits.grace)} of grace",
                next,
            )


def _wal_age(wal: tuple[str, datetime] | None, limits: Limits, now: datetime) -> Iterator[Alarm]:
    if limits.wal is None:
        return
    next = "pgprovision status: is the primary up, does its archiver fail, is its timer there"
    if wal is None:
        yield Alarm("wal_age", "there is no WAL in the repository", next)
    elif now - wal[1] > limits.wal:
        text = f"no WAL for {age_text(now - wal[1])}, since {wal[0]}"
        text += f"; allowed are {age_text(limits.wal)}: host, PostgreSQL or archiving is down"
        yield Alarm("wal_age", text, next)


def _restorability(repository: RepositoryListing, limits: Limits, now: datetime) -> Iterator[Alarm]:
    missing = {"backup.info", "archive.info"} - repository.info_files
    if missing and (repository.backups or repository.wal):
        text = f"{' and '.join(sorted(missing))} not there: pgBackRest finds no backup without it"
        yield Alarm("info_missing", text, "on the primary: pgbackrest info; then pgprovision up")
    finished_labels = {backup.label for backup in repository.backups if backup.finished_at}
    for backup in repository.backups:
        if now - backup.last_object_at > limits.retention:
            continue
        if backup.was_finished and not backup.finished_at:
            dependent = [
                b.label for b in repository.finished_backups if b.full_label == backup.label
            ]
            also = f", nor what hangs on it: {', '.join(dependent)}" if dependent else ""
            yield Alarm(
                "manifest_missing",
                f"{backup.label} was finished and its backup.manifest is gone: it cannot be"
                f" restored{also}",
                "pgprovision backup now --type full; then who can delete in the bucket?",
            )
        elif (
            backup.finished_at
            and backup.full_label not in finished_labels
            and not _has_own_alarm(repository, backup.full_label)
        ):
            yield Alarm(
                "full_missing",
                f"{backup.label} cannot be restored: its full backup {backup.full_label} is gone",
                "pgprovision backup now --type full; then who can delete in the bucket?",
            )


def _has_own_alarm(repository: RepositoryListing, full: str) -> bool:
    """Whether the full backup's own alarm says it."""
    return any(b.label == full and b.was_finished and not b.finished_at for b in repository.backups)


def _is_expired(hole: WalGap, now: datetime) -> bool:
    """Whether it was reported long enough. What came before the next backup is lost for good, and
    an alarm that stays until all of it has expired would hide the next one."""
    return (
        not hole.backups
        and hole.unrestorable_until is not None
        and now - hole.unrestorable_until > GAP_ALARM_PERIOD
    )


def _gap_alarm(hole: WalGap) -> Alarm:
    many = f" to {hole.last} ({hole.count} segments)" if hole.count > 1 else ""
    until = (
        f"until {time_text(hole.unrestorable_until)}"
        if hole.unrestorable_until
        else "until the next backup has ended"
    )
    since = f"after {time_text(hole.unrestorable_from)} " if hole.unrestorable_from else ""
    lost = "".join(f"; {label} cannot be restored at all" for label in hole.backups)
    next = "who can delete in the bucket, and was WAL dropped (backup.archive_queue_max)?"
    if hole.backups:
        next = f"pgprovision backup now --type full; then {next}"
    elif hole.unrestorable_until:
        next += " Nothing is to be done: a backup has ended since; reported for a day"
    else:
        next = f"pgprovision backup now; then {next}"
    return Alarm(
        "wal_gap",
        f"WAL {hole.first}{many} is missing: no moment {since}{until} can be restored{lost}",
        next,
    )


def _clocks(
    repository: RepositoryListing, now: datetime, local_now: datetime | None
) -> Iterator[Alarm]:
    if local_now is not None and abs(local_now - now) > MAX_CLOCK_SKEW:
        way = "ahead of" if local_now > now else "behind"
        off = f"{age_text(abs(local_now - now))} {way} the store's"
        text = f"this machine's clock is {off}; ages are measured by the object store's"
        yield Alarm("clock_controller", text, "timedatectl status")
    newest = max(repository.backups, key=lambda b: b.last_object_at, default=None)
    if newest is None or newest.first_object_at is None:
        return
    ahead = newest.label_time - newest.first_object_at
    if ahead > MAX_CLOCK_AHEAD or -ahead > MAX_CLOCK_BEHIND:
        way = "ahead of" if ahead > MAX_CLOCK_AHEAD else "behind"
        yield Alarm(
            "clock_primary",
            f"the host that made {newest.label} has a clock {age_text(abs(ahead))}"
            f" {way} the store's:"
            " moments to restore to are wrong by that",
            "on the primary: timedatectl status (is it in UTC? If not: backup.watch.time_zone)",
        )


def _drill(
    repository: RepositoryListing,
    limits: Limits,
    now: datetime,
    last_proven_restore: datetime | None,
    drills_known: bool,
) -> Iterator[Alarm]:
    """Where none was ever proven, the oldest backup counts: a cluster may be new."""
    first = next((backup.finished_at for backup in repository.finished_backups), None)
    since = last_proven_restore or first
    if limits.drill is None or not drills_known or since is None:
        return
    if now - since > limits.drill + limits.grace:
        never = "no restore has been proven yet"
        text = (
            f"the last proven restore is {age_text(now - since)} old"
            if last_proven_restore
            else never
        )
        yield Alarm(
            "drill_age", f"{text}; allowed are {age_text(limits.drill)}", "pgprovision drill"
        )


def _notes(
    repository: RepositoryListing,
    limits: Limits,
    now: datetime,
    wal: tuple[str, datetime] | None,
    drills_known: bool,
) -> Iterator[str]:
    for backup in repository.backups:
        if not backup.finished_at and not backup.was_finished:
            still = now - backup.last_object_at < STALLED_AFTER
            how = "under way" if still else "left by a run that was killed; the next one removes it"
            yield f"{backup.label} is not finished: {how}"
    if limits.wal is None:
        age = f" ({age_text(now - wal[1])} now)" if wal else ""
        yield f"the age of WAL{age} is not judged: backup.watch.wal_heartbeat_interval is never"
    if limits.drill is not None and not drills_known:
        yield "the last proven restore is not judged: no records of drills on this machine"


def age_text(age: timedelta) -> str:
    """A span of time in two units at most: 45s, 12min, 3h 20min, 2d 4h."""
    seconds = round(age.total_seconds())
    for size, unit, smaller, name in ((86400, "d", 3600, "h"), (3600, "h", 60, "min")):
        if seconds >= size:
            rest = seconds % size // smaller
            return f"{seconds // size}{unit}" + (f" {rest}{name}" if rest else "")
    return f"{seconds // 60}min" if seconds >= 60 else f"{seconds}s"


def time_text(at: datetime) -> str:
    return f"{at.astimezone(UTC):%Y-%m-%d %H:%M:%S}Z"
