"""Whether backups are as they should be: a repository as values, limits, a moment; alarms."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from pgprovision.operations.watch.repository import Repository, Seen
from pgprovision.operations.watch.wal_gaps import Hole, holes

AHEAD = timedelta(minutes=5)  # a label is given before the backup's first object is sent
BEHIND = timedelta(minutes=45)  # and not long before: a checkpoint and the first file lie between
SKEW = timedelta(minutes=5)  # the watcher's own clock against the store's
TOLD_FOR = timedelta(days=1)  # a hole in the WAL, once a later backup has ended
STUCK = timedelta(hours=12)  # a backup that sends nothing for so long was killed


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
    text: str
    next: str


@dataclass(frozen=True)
class Verdict:
    """What was found. `full`, `backup`: the newest finished ones; `wal`: the newest segment and
    when it arrived; `drilled`: the last proven restore."""

    at: datetime
    alarms: tuple[Alarm, ...]
    remarks: tuple[str, ...] = ()
    full: Seen | None = None
    backup: Seen | None = None
    wal: tuple[str, datetime] | None = None
    drilled: datetime | None = None


def judge(
    repository: Repository,
    limits: Limits,
    now: datetime,
    *,
    here: datetime | None = None,
    drilled: datetime | None = None,
    drills_known: bool = False,
) -> Verdict:
    """`now`: by the store's clock, which all ages are told by; `here`: by this machine's.
    `drills_known`: whether a proven restore would be known here."""
    done = repository.finished
    fulls = [backup for backup in done if backup.type == "full"]
    wal = next((one.newest for one in reversed(repository.wal) if one.newest), None)
    found = tuple(holes(repository, now))
    alarms = (
        *_ages(repository, limits, now),
        *_wal_age(wal, limits, now),
        *_broken(repository, limits, now),
        *(_hole(hole) for hole in found if not _over(hole, now)),
        *_clocks(repository, now, here),
        *_drill(repository, limits, now, drilled, drills_known),
    )
    return Verdict(
        at=now,
        alarms=alarms,
        remarks=(
            *(_hole(hole).text for hole in found if _over(hole, now)),
            *_remarks(repository, limits, now, wal, drills_known),
        ),
        full=fulls[-1] if fulls else None,
        backup=done[-1] if done else None,
        wal=wal,
        drilled=drilled,
    )


def _ages(repository: Repository, limits: Limits, now: datetime) -> Iterator[Alarm]:
    done = repository.finished
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
        elif newest.finished and now - newest.finished > limit + limits.grace:
            yield Alarm(
                kind,
                f"the newest {what} is {told(now - newest.finished)} old ({newest.label});"
                f" allowed are {told(limit)} and {told(limits.grace)} of grace",
                next,
            )


def _wal_age(wal: tuple[str, datetime] | None, limits: Limits, now: datetime) -> Iterator[Alarm]:
    if limits.wal is None:
        return
    next = "pgprovision status: is the primary up, does its archiver fail, is its timer there"
    if wal is None:
        yield Alarm("wal_age", "there is no WAL in the repository", next)
    elif now - wal[1] > limits.wal:
        text = f"no WAL for {told(now - wal[1])}, since {wal[0]}; allowed are {told(limits.wal)}"
        yield Alarm("wal_age", f"{text}: host, PostgreSQL or archiving is down", next)


def _broken(repository: Repository, limits: Limits, now: datetime) -> Iterator[Alarm]:
    lacking = {"backup.info", "archive.info"} - repository.infos
    if lacking and (repository.backups or repository.wal):
        text = f"{' and '.join(sorted(lacking))} not there: pgBackRest finds no backup without it"
        yield Alarm("info_missing", text, "on the primary: pgbackrest info; then pgprovision up")
    there = {backup.label for backup in repository.backups if backup.finished}
    for backup in repository.backups:
        if now - backup.last > limits.retention:
            continue
        if backup.once and not backup.finished:
            hung = [b.label for b in repository.finished if b.full == backup.label]
            also = f", nor what hangs on it: {', '.join(hung)}" if hung else ""
            yield Alarm(
                "manifest_missing",
                f"{backup.label} was finished and its backup.manifest is gone: it cannot be"
                f" restored{also}",
                "pgprovision backup now --type full; then who can delete in the bucket?",
            )
        elif backup.finished and backup.full not in there and not _told(repository, backup.full):
            yield Alarm(
                "full_missing",
                f"{backup.label} cannot be restored: its full backup {backup.full} is gone",
                "pgprovision backup now --type full; then who can delete in the bucket?",
            )


def _told(repository: Repository, full: str) -> bool:
    """Whether the full backup's own alarm says it."""
    return any(b.label == full and b.once and not b.finished for b in repository.backups)


def _over(hole: Hole, now: datetime) -> bool:
    """Whether it was told long enough. What came before the next backup is lost for good, and an
    alarm that stays until all of it has expired would hide the next one."""
    return not hole.backups and hole.until is not None and now - hole.until > TOLD_FOR


def _hole(hole: Hole) -> Alarm:
    many = f" to {hole.last} ({hole.count} segments)" if hole.count > 1 else ""
    until = f"until {moment(hole.until)}" if hole.until else "until the next backup has ended"
    since = f"after {moment(hole.since)} " if hole.since else ""
    lost = "".join(f"; {label} cannot be restored at all" for label in hole.backups)
    next = "who can delete in the bucket, and was WAL dropped (backup.archive_queue_max)?"
    if hole.backups:
        next = f"pgprovision backup now --type full; then {next}"
    elif hole.until:
        next += " Nothing is to be done: a backup has ended since; told for a day"
    else:
        next = f"pgprovision backup now; then {next}"
    return Alarm(
        "wal_hole",
        f"WAL {hole.first}{many} is missing: no moment {since}{until} can be restored{lost}",
        next,
    )


def _clocks(repository: Repository, now: datetime, here: datetime | None) -> Iterator[Alarm]:
    if here is not None and abs(here - now) > SKEW:
        off = f"{told(abs(here - now))} {'ahead of' if here > now else 'behind'} the store's"
        text = f"this machine's clock is {off}; ages were told by the store's"
        yield Alarm("clock_here", text, "timedatectl status")
    newest = max(repository.backups, key=lambda b: b.last, default=None)
    if newest is None or newest.first is None:
        return
    ahead = newest.named - newest.first
    if ahead > AHEAD or -ahead > BEHIND:
        way = "ahead of" if ahead > AHEAD else "behind"
        yield Alarm(
            "clock_host",
            f"the host that made {newest.label} has a clock {told(abs(ahead))} {way} the store's:"
            " moments to restore to are wrong by that",
            "on the primary: timedatectl status (is it in UTC? If not: backup.watch.time_zone)",
        )


def _drill(
    repository: Repository, limits: Limits, now: datetime, drilled: datetime | None, known: bool
) -> Iterator[Alarm]:
    """Where none was ever proven, the oldest backup counts: a cluster may be new."""
    first = next((backup.finished for backup in repository.finished), None)
    since = drilled or first
    if limits.drill is None or not known or since is None:
        return
    if now - since > limits.drill + limits.grace:
        never = "no restore was ever proven"
        text = f"the last proven restore is {told(now - since)} old" if drilled else never
        yield Alarm("drill_age", f"{text}; allowed are {told(limits.drill)}", "pgprovision drill")


def _remarks(
    repository: Repository,
    limits: Limits,
    now: datetime,
    wal: tuple[str, datetime] | None,
    drills_known: bool,
) -> Iterator[str]:
    for backup in repository.backups:
        if not backup.finished and not backup.once:
            still = now - backup.last < STUCK
            how = "under way" if still else "left by a run that was killed; the next one removes it"
            yield f"{backup.label} is not finished: {how}"
    if limits.wal is None:
        age = f" ({told(now - wal[1])} now)" if wal else ""
        yield f"the age of WAL{age} is not judged: backup.watch.mark_every is never"
    if limits.drill is not None and not drills_known:
        yield "the last proven restore is not judged: no records of drills on this machine"


def told(age: timedelta) -> str:
    """A span of time in two units at most: 45s, 12min, 3h 20min, 2d 4h."""
    seconds = round(age.total_seconds())
    for size, unit, smaller, name in ((86400, "d", 3600, "h"), (3600, "h", 60, "min")):
        if seconds >= size:
            rest = seconds % size // smaller
            return f"{seconds // size}{unit}" + (f" {rest}{name}" if rest else "")
    return f"{seconds // 60}min" if seconds >= 60 else f"{seconds}s"


def moment(at: datetime) -> str:
    return f"{at.astimezone(UTC):%Y-%m-%d %H:%M:%S}Z"
