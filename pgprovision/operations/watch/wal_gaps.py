"""Whether WAL is whole from the oldest backup to the newest segment, and what a hole takes away.

A timeline begins in the segment in which the one before it was left, so the segments of a later
timeline are no hole in an earlier one, and what a later one begins with has to follow upon some
segment of an earlier one. Which one it left is only in encrypted files: the timeline
below it that has WAL is taken for it.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import pairwise

from pgprovision.operations.watch.repository import DatabaseWal, RepositoryListing, StoredBackup
from pgprovision.resources.postgres.replication.wal_segments import (
    segment_name,
    segment_number,
    segment_timeline,
)

ARRIVAL_GRACE = timedelta(minutes=10)  # segments are sent side by side, so the newest may overtake


@dataclass(frozen=True)
class WalGap:
    """Segments that are missing, the first and last by name. `unrestorable_from`: no moment after
    it can be restored, until `unrestorable_until`, when the next backup ended; None: there is none
    yet. `backups`: those that began before it and ended after it, which cannot be restored at
    all."""

    first: str
    last: str
    unrestorable_from: datetime | None
    unrestorable_until: datetime | None
    backups: tuple[str, ...] = ()

    @property
    def count(self) -> int:
        return segment_number(self.last) - segment_number(self.first) + 1


@dataclass(frozen=True)
class BackupStart:
    """A finished backup and the segment it needs first."""

    backup: StoredBackup
    ended: datetime
    segment: str
    wal: DatabaseWal


def backup_starts(repository: RepositoryListing) -> tuple[BackupStart, ...]:
    """Each finished backup with the segment it began in: as the archive says, else the first that
    arrived after it began to arrive itself."""
    found = []
    for backup in repository.finished_backups:
        ended = backup.finished_at
        if ended is None:
            continue
        candidates = [
            (abs(at - ended), segment, wal)
            for wal in repository.wal
            for segment, at in wal.backup_starts
            if (backup.first_object_at or backup.label_time) - ARRIVAL_GRACE
            <= at
            <= ended + ARRIVAL_GRACE
        ]
        if candidates:
            _, segment, wal = min(candidates, key=lambda one: one[0])
            found.append(BackupStart(backup, ended, segment, wal))
            continue
        later = [
            (at, segment, wal)
            for wal in repository.wal
            for segment, at in wal.segments.items()
            if at >= (backup.first_object_at or ended)
        ]
        if later:
            _, segment, wal = min(later, key=lambda one: one[:2])
            found.append(BackupStart(backup, ended, segment, wal))
    return tuple(found)


def find_gaps(repository: RepositoryListing, now: datetime) -> Iterator[WalGap]:
    """In each database's WAL from the first segment that a kept backup needs; a hole is on
    its way where its far side arrived within SETTLING."""
    every = backup_starts(repository)
    for wal in repository.wal:
        own = [one for one in every if one.wal is wal]
        if own:
            for first, last in _missing_ranges(
                wal, min((one.segment for one in own), key=_segment_position)
            ):
                hole = _gap(wal, own, first, last)
                if _is_final(wal, hole, now):
                    yield hole


def _missing_ranges(wal: DatabaseWal, since: str) -> Iterator[tuple[str, str]]:
    by_timeline: dict[int, list[int]] = {}
    for segment in wal.segments:
        if _segment_position(segment) >= _segment_position(since):
            by_timeline.setdefault(segment_timeline(segment), []).append(segment_number(segment))
    current = segment_timeline(since)
    places = sorted(by_timeline.pop(current, []))
    if not places or places[0] > segment_number(since):
        yield since, segment_name(current, (places[0] if places else segment_number(since) + 1) - 1)
    yield from _gaps(current, places)
    reached = {current: places or [segment_number(since)]}
    for later in sorted(by_timeline):
        places = sorted(by_timeline[later])
        parents = [one for one in reached if one < later]
        before = max((p for one in parents for p in reached[one] if p <= places[0]), default=None)
        if before is not None and places[0] > before + 1:
            yield segment_name(later, before + 1), segment_name(later, places[0] - 1)
        yield from _gaps(later, places)
        reached[later] = places


def _gaps(line: int, places: Iterable[int]) -> Iterator[tuple[str, str]]:
    for before, after in pairwise(places):
        if after > before + 1:
            yield segment_name(line, before + 1), segment_name(line, after - 1)


def _gap(wal: DatabaseWal, own: Iterable[BackupStart], first: str, last: str) -> WalGap:
    before = [
        at for one, at in wal.segments.items() if _segment_position(one) < _segment_position(first)
    ]
    own = list(own)
    after = [one.ended for one in own if _segment_position(one.segment) > _segment_position(last)]
    far = [
        at for one, at in wal.segments.items() if _segment_position(one) > _segment_position(last)
    ]
    # What arrived before a backup ended it may need: its own end is not in the names.
    unrestorable = [
        one.backup.label
        for one in own
        if _segment_position(one.segment) <= _segment_position(last)
        and far
        and min(far) <= one.ended
    ]
    until = min(after, default=None)
    return WalGap(first, last, max(before, default=None), until, tuple(unrestorable))


def _is_final(wal: DatabaseWal, gap: WalGap, now: datetime) -> bool:
    far = [
        at
        for one, at in wal.segments.items()
        if _segment_position(one) > _segment_position(gap.last)
    ]
    return not far or now - min(far) > ARRIVAL_GRACE


def _segment_position(segment: str) -> tuple[int, int]:
    return segment_number(segment), segment_timeline(segment)
