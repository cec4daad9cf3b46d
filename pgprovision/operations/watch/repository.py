"""What a pgBackRest repository holds, told from the names and times of its objects alone.

Names are not encrypted, so no passphrase is needed. As 2.45 and 2.55 write them, below `repo-path`:

    backup/STANZA/LABEL/...                      a backup; finished once backup.manifest is there
    backup/STANZA/backup.history/YEAR/LABEL.manifest.zst    it was finished once; kept for good
    archive/STANZA/15-1/0000000100000000/NAME-SHA1.zst      a segment of WAL
    archive/STANZA/15-1/.../NAME.OFFSET.backup    a backup that ended began in this segment
    archive/STANZA/15-1/00000002.history         a timeline began

A label is the moment the backup began, by PostgreSQL's clock, in the time zone of the host:
20261120-105328F, and 20261120-105328F_20261121-030211D for what hangs on it.
"""

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime, tzinfo
from typing import Protocol
from zoneinfo import ZoneInfo

from pgprovision.object_listing import Listing, Stored

_LABEL = re.compile(r"(\d{8}-\d{6}F)(?:_(\d{8}-\d{6})([DI]))?")
_TYPES = {None: "full", "D": "diff", "I": "incr"}
_SEGMENT = re.compile(r"([0-9A-F]{24})-[0-9a-f]{40}(?:\.\w+)?")
_BEGUN = re.compile(r"([0-9A-F]{24})\.[0-9A-F]{8}\.backup(?:\.\w+)?")


class Reads(Protocol):
    """A bucket that lists; see `backends.bucket`."""

    @property
    def clock(self) -> datetime | None: ...
    def level(self, prefix: str) -> Listing: ...
    def below(self, prefix: str) -> Listing: ...
    def first(self, prefix: str) -> Listing: ...


@dataclass(frozen=True)
class Seen:
    """One backup. `named`: the moment in its label. `first`: when its first object arrived, None
    where it has too many objects to tell; `last`: the newest of those seen. `finished`: when its
    manifest arrived, None without one; `once`: whether it was finished at some time."""

    label: str
    type: str
    named: datetime
    first: datetime | None
    last: datetime
    finished: datetime | None
    once: bool = False

    @property
    def full(self) -> str:
        """The label of the full backup it hangs on; its own, if it is one."""
        return self.label.partition("_")[0]


@dataclass(frozen=True)
class Wal:
    """One database's WAL: when each segment arrived, and where backups began (segment, and when
    that was written down, at the backup's end)."""

    id: str
    segments: dict[str, datetime]
    begun: tuple[tuple[str, datetime], ...] = ()
    histories: tuple[str, ...] = ()

    @property
    def newest(self) -> tuple[str, datetime] | None:
        return max(self.segments.items(), key=lambda s: (s[1], s[0]), default=None)


@dataclass(frozen=True)
class Repository:
    """Everything. `clock`: the store's own, at the end of the look. `wal`: newest database last.
    `infos`: which of the two files that pgBackRest begins with are there."""

    clock: datetime
    backups: tuple[Seen, ...] = ()
    wal: tuple[Wal, ...] = ()
    infos: frozenset[str] = frozenset()

    @property
    def finished(self) -> tuple[Seen, ...]:
        """By when they were, oldest first."""
        done = [(backup.finished, backup) for backup in self.backups if backup.finished]
        return tuple(backup for _, backup in sorted(done, key=lambda pair: pair[0]))


def read(
    store: Reads, path: str, stanza: str, time_zone: str, now: Callable[[], datetime]
) -> Repository:
    """The repository at `path`; a request per backup, and one per 1000 segments of WAL.

    `now`: this machine's clock, for a store that does not tell its own."""
    root = path.strip("/")
    backups, archive = f"{root}/backup/{stanza}/", f"{root}/archive/{stanza}/"
    top, ids = store.level(backups), store.level(archive)
    labels = [_last(folder) for folder in top.folders if _LABEL.fullmatch(_last(folder))]
    history = {
        _last(o.key).partition(".")[0] for o in store.below(f"{backups}backup.history/").objects
    }
    zone = ZoneInfo(time_zone)
    seen = [
        _backup(label, store.first(f"{backups}{label}/"), label in history, zone)
        for label in labels
    ]
    names = sorted(
        (_last(f) for f in ids.folders if re.fullmatch(r"[\d.]+-\d+", _last(f))), key=_id
    )
    wal = tuple(wal_of(name, store.below(f"{archive}{name}/").objects) for name in names)
    infos = frozenset(_last(o.key) for o in (*top.objects, *ids.objects))
    known = frozenset({"backup.info", "archive.info"})
    return Repository(store.clock or now(), tuple(b for b in seen if b), wal, infos & known)


def _backup(label: str, found: Listing, once: bool, zone: tzinfo) -> Seen | None:
    """None for one that was removed between two looks."""
    parts = _LABEL.fullmatch(label)
    times = [o.modified for o in found.objects]
    if parts is None or not times:
        return None
    manifests = [o.modified for o in found.objects if _last(o.key) == "backup.manifest"]
    return Seen(
        label=label,
        type=_TYPES[parts[3]],
        named=datetime.strptime(parts[2] or parts[1][:-1], "%Y%m%d-%H%M%S").replace(tzinfo=zone),
        first=min(times) if found.whole else None,
        last=max(times),
        finished=manifests[0] if manifests else None,
        once=once,
    )


def wal_of(id: str, objects: Iterable[Stored]) -> Wal:
    segments: dict[str, datetime] = {}
    begun: list[tuple[str, datetime]] = []
    histories: list[str] = []
    for found in objects:
        name = _last(found.key)
        if segment := _SEGMENT.fullmatch(name):
            segments[segment[1]] = found.modified
        elif start := _BEGUN.fullmatch(name):
            begun.append((start[1], found.modified))
        elif name.endswith(".history"):
            histories.append(name)
    return Wal(id, segments, tuple(sorted(begun, key=lambda b: b[1])), tuple(histories))


def _last(key: str) -> str:
    return key.rstrip("/").rpartition("/")[2]


def _id(name: str) -> int:
    return int(name.rpartition("-")[2])
