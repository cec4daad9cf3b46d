"""Whether WAL is whole from the oldest backup to the newest segment, and what a hole takes away.

A timeline begins in the segment in which the one before it was left, so the segments of a later
timeline are no hole in an earlier one, and what a later one begins with has to follow upon some
segment of an earlier one. Which one it left is said in files that are encrypted: the timeline
below it that has WAL is taken for it.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import pairwise

from pgprovision.operations.watch.repository import Repository, Seen, Wal
from pgprovision.resources.postgres.replication.wal_segments import name, number, timeline

SETTLING = timedelta(minutes=10)  # segments are sent side by side, so the newest may overtake


@dataclass(frozen=True)
class Hole:
    """Segments that are missing, the first and last by name. `since`: no moment after it can be
    restored, until `until`, when the next backup ended; None: there is none yet. `backups`: those
    that began before it and ended after it, which cannot be restored at all."""

    first: str
    last: str
    since: datetime | None
    until: datetime | None
    backups: tuple[str, ...] = ()

    @property
    def count(self) -> int:
        return number(self.last) - number(self.first) + 1


@dataclass(frozen=True)
class Begun:
    """A finished backup and the segment it needs first."""

    backup: Seen
    ended: datetime
    segment: str
    wal: Wal


def begun(repository: Repository) -> tuple[Begun, ...]:
    """Each finished backup with the segment it began in: as the archive says, else the first that
    arrived after it began to arrive itself."""
    found = []
    for backup in repository.finished:
        ended = backup.finished
        if ended is None:
            continue
        told = [
            (abs(at - ended), segment, wal)
            for wal in repository.wal
            for segment, at in wal.begun
            if (backup.first or backup.named) - SETTLING <= at <= ended + SETTLING
        ]
        if told:
            _, segment, wal = min(told, key=lambda one: one[0])
            found.append(Begun(backup, ended, segment, wal))
            continue
        later = [
            (at, segment, wal)
            for wal in repository.wal
            for segment, at in wal.segments.items()
            if at >= (backup.first or ended)
        ]
        if later:
            _, segment, wal = min(later, key=lambda one: one[:2])
            found.append(Begun(backup, ended, segment, wal))
    return tuple(found)


def holes(repository: Repository, now: datetime) -> Iterator[Hole]:
    """In each database's WAL from the first segment that a kept backup needs; a hole whose far
    side arrived within SETTLING is on its way."""
    every = begun(repository)
    for wal in repository.wal:
        own = [one for one in every if one.wal is wal]
        if own:
            for first, last in _missing(wal, min((one.segment for one in own), key=_place)):
                hole = _hole(wal, own, first, last)
                if _settled(wal, hole, now):
                    yield hole


def _missing(wal: Wal, since: str) -> Iterator[tuple[str, str]]:
    lines: dict[int, list[int]] = {}
    for segment in wal.segments:
        if _place(segment) >= _place(since):
            lines.setdefault(timeline(segment), []).append(number(segment))
    line = timeline(since)
    places = sorted(lines.pop(line, []))
    if not places or places[0] > number(since):
        yield since, name(line, (places[0] if places else number(since) + 1) - 1)
    yield from _gaps(line, places)
    reached = {line: places or [number(since)]}
    for later in sorted(lines):
        places = sorted(lines[later])
        parents = [one for one in reached if one < later]
        before = max((p for one in parents for p in reached[one] if p <= places[0]), default=None)
        if before is not None and places[0] > before + 1:
            yield name(later, before + 1), name(later, places[0] - 1)
        yield from _gaps(later, places)
        reached[later] = places


def _gaps(line: int, places: Iterable[int]) -> Iterator[tuple[str, str]]:
    for before, after in pairwise(places):
        if after > before + 1:
            yield name(line, before + 1), name(line, after - 1)


def _hole(wal: Wal, own: Iterable[Begun], first: str, last: str) -> Hole:
    before = [at for one, at in wal.segments.items() if _place(one) < _place(first)]
    own = list(own)
    after = [one.ended for one in own if _place(one.segment) > _place(last)]
    far = [at for one, at in wal.segments.items() if _place(one) > _place(last)]
    # What arrived before a backup ended it may need: its own end is not told by names.
    spoiled = [
        one.backup.label
        for one in own
        if _place(one.segment) <= _place(last) and far and min(far) <= one.ended
    ]
    until = min(after, default=None)
    return Hole(first, last, max(before, default=None), until, tuple(spoiled))


def _settled(wal: Wal, hole: Hole, now: datetime) -> bool:
    far = [at for one, at in wal.segments.items() if _place(one) > _place(hole.last)]
    return not far or now - min(far) > SETTLING


def _place(segment: str) -> tuple[int, int]:
    return number(segment), timeline(segment)
