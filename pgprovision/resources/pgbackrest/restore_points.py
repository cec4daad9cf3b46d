"""What a repository can be restored to, and which backup a recovery to a target starts from.

Pure arithmetic over the answers of pgBackRest. A backup is usable on a timeline where it was taken
on it, or on an ancestor before that was left. A point in time is in the window from the end of the
first usable backup to the arrival of the newest WAL segment; a target outside is refused with the
window.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from pgprovision.errors import InventoryError, Refused
from pgprovision.recovery_target import RecoveryTarget
from pgprovision.resources.pgbackrest.archive_timelines import ArchivedTimeline, newest_segment
from pgprovision.resources.pgbackrest.info import BackupInfo, iso_time
from pgprovision.resources.postgres.replication.lsn import lsn_to_bytes

SEGMENT_BYTES = 16 << 20  # initdb's default
STORE_CLOCK_STEP = 1  # a store reports full seconds: a file may have arrived up to one later
PLAN_HINT = "pgprovision restore plan shows what can be restored"


@dataclass(frozen=True)
class RestoreWindow:
    """What one timeline can be restored to. Times are seconds since 1970, LSNs are bytes."""

    timeline: int
    earliest: int
    """The end of the first usable backup."""
    latest: int
    """When the newest WAL segment arrived."""
    start_lsn: int
    end_lsn: int
    """Where that one ends."""
    last_segment: str
    backups: tuple[BackupInfo, ...]
    """The usable ones, oldest first."""

    def __str__(self) -> str:
        return f"timeline {self.timeline}: {iso_time(self.earliest)} to {iso_time(self.latest)}"


@dataclass(frozen=True)
class RestorePlan:
    """The backup to restore and how far to recover."""

    backup: BackupInfo
    timeline: int
    """The timeline to follow."""
    last_segment: str
    """The segment, without its timeline, that a recovery without a target has to reach: if WAL
    before it is missing, there is a gap."""
    newest_wal_at: int = 0
    """When that one arrived, in seconds since 1970."""


def windows(
    backups: Sequence[BackupInfo], timelines: Sequence[ArchivedTimeline]
) -> tuple[RestoreWindow, ...]:
    """The window of every timeline that a backup leads to, by number."""
    return tuple(_windows(backups, timelines))


def _windows(
    backups: Sequence[BackupInfo], timelines: Sequence[ArchivedTimeline]
) -> Iterator[RestoreWindow]:
    size = detect_segment_bytes(backups)
    for timeline in timelines:
        usable = tuple(b for b in backups if _usable_on(b, timeline))
        if not usable:
            continue
        last, arrived = newest_segment(timelines, timeline.number)
        end = _end(last, size)
        branch_point = timeline.history_end_of(int(last[:8], 16)) if last else None
        if (
            branch_point is not None and branch_point < end
        ):  # the parent went on after this one had left it
            end = branch_point
        yield RestoreWindow(
            timeline=timeline.number,
            earliest=usable[0].stop,
            latest=max(arrived, usable[-1].stop),
            start_lsn=lsn_to_bytes(usable[0].lsn_range[1]),
            end_lsn=end,
            last_segment=_segment(end, size) if end else "",
            backups=usable,
        )


def plan_restore(
    target: RecoveryTarget, backups: Sequence[BackupInfo], timelines: Sequence[ArchivedTimeline]
) -> RestorePlan:
    """Raises InventoryError for a target outside the window, Refused where there is no backup."""
    all_windows = windows(backups, timelines)
    if not all_windows:
        message = "there are backups, and no WAL" if backups else "there is no backup"
        raise Refused(
            f"{message} in the repository: nothing can be restored",
            next="check backup.stanza and backup.repository (bucket, path) in cluster.yml",
        )
    number = target.timeline or all_windows[-1].timeline
    window = next((w for w in all_windows if w.timeline == number), None)
    if window is None:
        known = ", ".join(str(w.timeline) for w in all_windows)
        raise _outside_window(
            f"there is no timeline {number} in the repository ({known})", all_windows
        )
    usable = _backups_before(target, window, all_windows)
    if target.backup:
        usable = [b for b in usable if b.label == target.backup]
        if not usable:
            raise _outside_window(
                f"{target} is not reachable from backup {target.backup}", all_windows
            )
    else:
        usable = [b for b in usable if not b.damaged]
    if not usable:
        raise _outside_window(f"{target} is not reachable from any undamaged backup", all_windows)
    return RestorePlan(usable[-1], number, window.last_segment, window.latest)


def _backups_before(
    target: RecoveryTarget, window: RestoreWindow, all_windows: Sequence[RestoreWindow]
) -> list[BackupInfo]:
    """The backups of a window that were complete before the target. A transaction or a restore
    point cannot be located without reading the WAL: the newest backup is tried, or the given one.
    """
    if target.kind == "time":
        target_time = target.target_time.timestamp()
        if target_time < window.earliest:
            raise _outside_window(f"{target} is before the end of the first backup", all_windows)
        if target_time > datetime.now(UTC).timestamp():
            raise _outside_window(f"{target} is in the future", all_windows)
        if target_time >= window.latest + STORE_CLOCK_STEP:
            raise _outside_window(
                f"{target} is after the arrival of the newest WAL in the repository", all_windows
            )
        return [b for b in window.backups if b.stop <= target_time]
    if target.kind == "lsn":
        target_lsn = lsn_to_bytes(target.value)
        if target_lsn < window.start_lsn:
            raise _outside_window(f"{target} is before the end of the first backup", all_windows)
        if target_lsn >= window.end_lsn:
            raise _outside_window(
                f"{target} is after the newest WAL in the repository", all_windows
            )
        return [b for b in window.backups if lsn_to_bytes(b.lsn_range[1]) <= target_lsn]
    return list(window.backups)


def _outside_window(message: str, all_windows: Sequence[RestoreWindow]) -> InventoryError:
    known = "".join(f"\n  {window}" for window in all_windows)
    return InventoryError(
        f"{message}; what can be restored:{known}",
        next=f"{PLAN_HINT}; without a target, the restore goes to the end of the WAL",
    )


def previous_backup(plan: RestorePlan, backups: Sequence[BackupInfo]) -> str:
    """The label of the backup before the chosen one; empty where there is none."""
    before = [b.label for b in backups if b.stop < plan.backup.stop]
    return before[-1] if before else ""


def _usable_on(backup: BackupInfo, timeline: ArchivedTimeline) -> bool:
    end = timeline.history_end_of(backup.timeline)
    return end is not None and lsn_to_bytes(backup.lsn_range[1]) <= end


def detect_segment_bytes(backups: Sequence[BackupInfo]) -> int:
    """The size of a WAL segment: the size at which every backup's last LSN is in its last segment.
    16 MB, unless initdb was given another."""
    sizes = [1 << power for power in range(20, 31)]
    fitting = [
        s
        for s in sizes
        if all(_segment(lsn_to_bytes(b.lsn_range[1]), s) == b.wal_range[1][8:] for b in backups)
    ]
    return SEGMENT_BYTES if SEGMENT_BYTES in fitting or not fitting else fitting[0]


def _segment(end: int, size: int) -> str:
    """The segment that ends at `end` or has the byte before it, without its timeline."""
    last = max(end - 1, 0)
    return f"{last >> 32:08X}{(last & 0xFFFFFFFF) // size:08X}"


def _end(segment: str, size: int) -> int:
    """The LSN where a segment ends, in bytes."""
    if not segment:
        return 0
    return (int(segment[8:16], 16) << 32) + (int(segment[16:], 16) + 1) * size
