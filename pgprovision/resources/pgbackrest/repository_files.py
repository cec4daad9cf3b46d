"""The files in a backup repository, and how they changed."""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from pgprovision.engine.model import Answer, Probe
from pgprovision.resources.postgres.server.instance import as_postgres

LIST_TIMEOUT = 55  # below a look's own limit; a thousand files are a request
_WAL = re.compile(r"archive/[^/]+/[^/]+/(?:[0-9A-F]{16}/)?([0-9A-F]{8})")
_INFO_FILES = re.compile(r"(?:archive/[^/]+/archive|backup/[^/]+/backup)\.info(?:\.copy)?")

RepositoryFiles = Mapping[str, tuple[int, int]]
"""Size in bytes and time (seconds since 1970) by path."""


def listing_probe() -> Probe:
    """The probe for `parse`."""
    quiet = ("--log-level-console=off", "--log-level-stderr=warn")
    command = ("pgbackrest", *quiet, "repo-ls", "--repo=1", "--recurse", "--output=json")
    return Probe(as_postgres("timeout", "-s", "KILL", str(LIST_TIMEOUT), *command))


def parse(answer: Answer | None) -> RepositoryFiles | None:
    """The files; None where the repository could not be listed."""
    if answer is None or answer.code:
        return None
    try:
        items = json.loads(answer.text).items()
    except ValueError:
        return None
    return {
        path: (int(item.get("size", 0)), int(item.get("time", 0)))
        for path, item in items
        if item.get("type") == "file"
    }


@dataclass(frozen=True)
class RepositoryChanges:
    """The difference of two listings."""

    new: tuple[str, ...]
    changed: tuple[str, ...]
    removed: tuple[str, ...]
    foreign: tuple[str, ...]
    """Files that only the restored copy can have written."""

    def __bool__(self) -> bool:
        return bool(self.new or self.changed or self.removed)


def compare_files(before: RepositoryFiles, after: RepositoryFiles) -> RepositoryChanges:
    """The cluster archives WAL and takes backups meanwhile, which also expire old ones. It never
    writes WAL of a new timeline, and never loses files without a backup: those are foreign."""
    new = tuple(sorted(after.keys() - before.keys()))
    removed = tuple(sorted(before.keys() - after.keys()))
    changed = tuple(sorted(p for p in before.keys() & after.keys() if before[p] != after[p]))
    known_timelines = {found[1] for path in before if (found := _WAL.match(path))}
    backed_up = any(_INFO_FILES.match(path) for path in changed)
    foreign = tuple(_foreign(new, changed, removed, known_timelines, backed_up))
    return RepositoryChanges(new, changed, removed, foreign)


def _foreign(
    new: tuple[str, ...],
    changed: tuple[str, ...],
    removed: tuple[str, ...],
    known_timelines: set[str],
    backed_up: bool,
) -> Iterator[str]:
    for path in new:
        wal = _WAL.match(path)
        if (wal and wal[1] not in known_timelines) or not (wal or path.startswith("backup/")):
            yield f"new: {path}"
    yield from (f"changed: {path}" for path in changed if not _INFO_FILES.match(path))
    yield from (f"gone: {path}" for path in removed if not backed_up)
