"""What a repository can be restored to, and which backup a recovery to a target begins with.

Pure arithmetic over what pgBackRest tells. A backup is usable on a timeline where it was taken on
it, or on an ancestor before that was left. A point in time lies inside the window from the end of
the first usable backup to the arrival of the newest WAL segment; whoever asks for one outside is
told the window.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from pgprovision.errors import InventoryError, Refused
from pgprovision.recovery_target import UNTOUCHED, Target
from pgprovision.resources.pgbackrest.archive_timelines import Timeline, reach
from pgprovision.resources.pgbackrest.info import Backup, moment
from pgprovision.resources.postgres.replication.lsn import position

SEGMENT_BYTES = 16 << 20  # initdb's default
SECOND = 1  # a store tells whole ones: what arrived may have done so up to one later
PLAN = "pgprovision restore plan shows what can be restored"


@dataclass(frozen=True)
class Window:
    """What one timeline can be restored to. Times are seconds since 1970; `last`: when the newest
    WAL segment arrived; `end`: where it ends."""

    timeline: int
    first: int
    last: int
    start: int
    end: int
    until: str
    backups: tuple[Backup, ...]

    def __str__(self) -> str:
        return f"timeline {self.timeline}: {moment(self.first)} to {moment(self.last)}"


@dataclass(frozen=True)
class Choice:
    """The backup to begin with, the timeline to follow, and the segment (without its timeline)
    that a recovery without a target has to reach: WAL that is missing before it is a hole.
    `arrived`: when that one came into the repository, in seconds since 1970."""

    backup: Backup
    timeline: int
    until: str
    arrived: int = 0


def windows(backups: Sequence[Backup], timelines: Sequence[Timeline]) -> tuple[Window, ...]:
    """Every timeline that some backup leads to, by number."""
    return tuple(_windows(backups, timelines))


def _windows(backups: Sequence[Backup], timelines: Sequence[Timeline]) -> Iterator[Window]:
    size = segment_bytes(backups)
    for timeline in timelines:
        usable = tuple(b for b in backups if _leads(b, timeline))
        if not usable:
            continue
        last, arrived = reach(timelines, timeline.number)
        end = _end(last, size)
        left = timeline.end_of(int(last[:8], 16)) if last else None
        if left is not None and left < end:  # the parent went on after this one had left it
            end = left
        yield Window(
            timeline=timeline.number,
            first=usable[0].stop,
            last=max(arrived, usable[-1].stop),
            start=position(usable[0].lsn[1]),
            end=end,
            until=_segment(end, size) if end else "",
            backups=usable,
        )


def choose(target: Target, backups: Sequence[Backup], timelines: Sequence[Timeline]) -> Choice:
    """Raises InventoryError for a target outside the window, Refused where there is no backup."""
    found = windows(backups, timelines)
    if not found:
        what = "there are backups, and no WAL beside them" if backups else "there is no backup"
        raise Refused(
            f"{what} in the repository: nothing can be restored",
            done=UNTOUCHED,
            next="check backup.stanza and backup.repository (bucket, path) in cluster.yml",
        )
    number = target.timeline or found[-1].timeline
    window = next((w for w in found if w.timeline == number), None)
    if window is None:
        known = ", ".join(str(w.timeline) for w in found)
        raise _outside(f"there is no timeline {number} in the repository ({known})", found)
    usable = _before(target, window, found)
    if target.backup:
        usable = [b for b in usable if b.label == target.backup]
        if not usable:
            raise _outside(f"backup {target.backup} does not lead to {target}", found)
    else:
        usable = [b for b in usable if not b.damaged]
    if not usable:
        raise _outside(f"no sound backup leads to {target}", found)
    return Choice(usable[-1], number, window.until, window.last)


def _before(target: Target, window: Window, found: Sequence[Window]) -> list[Backup]:
    """Those of a window's backups that were complete before the target. A transaction and a named
    point cannot be placed without reading the WAL: the newest backup is tried, or the one given."""
    if target.kind == "time":
        wanted = target.moment.timestamp()
        if wanted < window.first:
            raise _outside(f"{target} lies before the end of the first backup", found)
        if wanted > datetime.now(UTC).timestamp():
            raise _outside(f"{target} lies in the future", found)
        if wanted >= window.last + SECOND:
            raise _outside(
                f"{target} lies after the arrival of the newest WAL in the repository", found
            )
        return [b for b in window.backups if b.stop <= wanted]
    if target.kind == "lsn":
        place = position(target.value)
        if place < window.start:
            raise _outside(f"{target} lies before the end of the first backup", found)
        if place >= window.end:
            raise _outside(f"{target} lies after the newest WAL in the repository", found)
        return [b for b in window.backups if position(b.lsn[1]) <= place]
    return list(window.backups)


def _outside(what: str, found: Sequence[Window]) -> InventoryError:
    known = "".join(f"\n  {window}" for window in found)
    return InventoryError(
        f"{what}; what can be restored:{known}",
        done=UNTOUCHED,
        next=f"{PLAN}; without a target it goes to the end of the WAL",
    )


def older(choice: Choice, backups: Sequence[Backup]) -> str:
    """The label of the backup before the chosen one; empty where there is none."""
    before = [b.label for b in backups if b.stop < choice.backup.stop]
    return before[-1] if before else ""


def _leads(backup: Backup, timeline: Timeline) -> bool:
    end = timeline.end_of(backup.timeline)
    return end is not None and position(backup.lsn[1]) <= end


def segment_bytes(backups: Sequence[Backup]) -> int:
    """What a WAL segment holds: the size at which every backup's last place lies in its last
    segment. 16 MB, unless initdb was told otherwise."""
    sizes = [1 << power for power in range(20, 31)]
    fitting = [
        s for s in sizes if all(_segment(position(b.lsn[1]), s) == b.wal[1][8:] for b in backups)
    ]
    return SEGMENT_BYTES if SEGMENT_BYTES in fitting or not fitting else fitting[0]


def _segment(end: int, size: int) -> str:
    """The segment that ends at or holds the byte before `end`, without its timeline."""
    last = max(end - 1, 0)
    return f"{last >> 32:08X}{(last & 0xFFFFFFFF) // size:08X}"


def _end(segment: str, size: int) -> int:
    """Where a segment ends, in bytes."""
    if not segment:
        return 0
    return (int(segment[8:16], 16) << 32) + (int(segment[16:], 16) + 1) * size
