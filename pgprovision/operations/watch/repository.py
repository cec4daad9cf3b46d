"""What a pgBackRest repository contains, by the names and times of its objects alone.

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

from pgprovision.object_listing import ObjectListing, StoredObject

_LABEL = re.compile(r"(\d{8}-\d{6}F)(?:_(\d{8}-\d{6})([DI]))?")
_TYPES = {None: "full", "D": "diff", "I": "incr"}
_SEGMENT = re.compile(r"([0-9A-F]{24})-[0-9a-f]{40}(?:\.\w+)?")
_BEGUN = re.compile(r"([0-9A-F]{24})\.[0-9A-F]{8}\.backup(?:\.\w+)?")


class ObjectLister(Protocol):
    """A bucket that lists; see `clients.object_store`."""

    @property
    def server_time(self) -> datetime | None: ...
    def list_level(self, prefix: str) -> ObjectListing: ...
    def list_prefix(self, prefix: str) -> ObjectListing: ...
    def list_first_page(self, prefix: str) -> ObjectListing: ...


@dataclass(frozen=True)
class StoredBackup:
    """One backup. `label_time`: the moment in its label. `first_object_at`: when its first object
    arrived, None where it has too many objects to tell; `last_object_at`: the newest of those seen.
    `finished_at`: when its manifest arrived, None without one; `was_finished`: whether it was
    finished at some time."""

    label: str
    type: str
    label_time: datetime
    first_object_at: datetime | None
    last_object_at: datetime
    finished_at: datetime | None
    was_finished: bool = False

    @property
    def full_label(self) -> str:
        """The label of the full backup it hangs on; its own, if it is one."""
        return self.label.partition("_")[0]


@dataclass(frozen=True)
class DatabaseWal:
    """One database's WAL: when each segment arrived, and where backups began (segment, and when
    that was written down, at the backup's end)."""

    id: str
    segments: dict[str, datetime]
    backup_starts: tuple[tuple[str, datetime], ...] = ()
    histories: tuple[str, ...] = ()

    @property
    def newest(self) -> tuple[str, datetime] | None:
        return max(self.segments.items(), key=lambda s: (s[1], s[0]), default=None)


@dataclass(frozen=True)
class RepositoryListing:
    """Everything. `server_time`: the store's own, at the end of the look. `wal`: newest database
    last. `info_files`: which of the two files that pgBackRest begins with are there."""

    server_time: datetime
    backups: tuple[StoredBackup, ...] = ()
    wal: tuple[DatabaseWal, ...] = ()
    info_files: frozenset[str] = frozenset()

    @property
    def finished_backups(self) -> tuple[StoredBackup, ...]:
        """By when they were, oldest first."""
        done = [(backup.finished_at, backup) for backup in self.backups if backup.finished_at]
        return tuple(backup for _, backup in sorted(done, key=lambda pair: pair[0]))


def read_listing(
    store: ObjectLister, path: str, stanza: str, time_zone: str, now: Callable[[], datetime]
) -> RepositoryListing:
    """The repository at `path`; a request per backup, and one per 1000 segments of WAL.

    `now`: this machine's clock, for a store that does not tell its own."""
    root = path.strip("/")
    backups, archive = f"{root}/backup/{stanza}/", f"{root}/archive/{stanza}/"
    top, ids = store.list_level(backups), store.list_level(archive)
    labels = [_base_name(folder) for folder in top.folders if _LABEL.fullmatch(_base_name(folder))]
    history = {
        _base_name(o.key).partition(".")[0]
        for o in store.list_prefix(f"{backups}backup.history/").objects
    }
    zone = ZoneInfo(time_zone)
    stored_backups = [
        _backup(label, store.list_first_page(f"{backups}{label}/"), label in history, zone)
        for label in labels
    ]
    names = sorted(
        (_base_name(f) for f in ids.folders if re.fullmatch(r"[\d.]+-\d+", _base_name(f))),
        key=_history_id,
    )
    wal = tuple(parse_wal(name, store.list_prefix(f"{archive}{name}/").objects) for name in names)
    infos = frozenset(_base_name(o.key) for o in (*top.objects, *ids.objects))
    known = frozenset({"backup.info", "archive.info"})
    return RepositoryListing(
        store.server_time or now(), tuple(b for b in stored_backups if b), wal, infos & known
    )


def _backup(
    label: str, listing: ObjectListing, was_finished: bool, zone: tzinfo
) -> StoredBackup | None:
    """None for one that was removed between two looks."""
    parts = _LABEL.fullmatch(label)
    times = [o.modified for o in listing.objects]
    if parts is None or not times:
        return None
    manifests = [o.modified for o in listing.objects if _base_name(o.key) == "backup.manifest"]
    return StoredBackup(
        label=label,
        type=_TYPES[parts[3]],
        label_time=datetime.strptime(parts[2] or parts[1][:-1], "%Y%m%d-%H%M%S").replace(
            tzinfo=zone
        ),
        first_object_at=min(times) if listing.complete else None,
        last_object_at=max(times),
        finished_at=manifests[0] if manifests else None,
        was_finished=was_finished,
    )


def parse_wal(id: str, objects: Iterable[StoredObject]) -> DatabaseWal:
    segments: dict[str, datetime] = {}
    backup_starts: list[tuple[str, datetime]] = []
    histories: list[str] = []
    for found in objects:
        name = _base_name(found.key)
        if segment := _SEGMENT.fullmatch(name):
            segments[segment[1]] = found.modified
        elif start := _BEGUN.fullmatch(name):
            backup_starts.append((start[1], found.modified))
        elif name.endswith(".history"):
            histories.append(name)
    return DatabaseWal(
        id, segments, tuple(sorted(backup_starts, key=lambda b: b[1])), tuple(histories)
    )


def _base_name(key: str) -> str:
    return key.rstrip("/").rpartition("/")[2]


def _history_id(name: str) -> int:
    return int(name.rpartition("-")[2])
