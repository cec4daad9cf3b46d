"""The WAL archiving of a primary: what waits, since when, why, and when it fills the disk.

An idle database has nothing waiting, and raises no alarm however long ago its last segment was
archived.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Self

from pgprovision.engine.model import Answer, Check, Facts, Need, Probe, State, WithNeeds, WithNotes
from pgprovision.quote import sh
from pgprovision.resources.pgbackrest.error_hints import error_hint
from pgprovision.resources.pgbackrest.info import SPOOL_DIRECTORY
from pgprovision.resources.postgres.server.snapshot import ServerSnapshot, SnapshotQuery

LATE_AFTER_SECONDS = 300  # five times archive_timeout: what waits longer is not on its way any more


@dataclass(frozen=True)
class ArchiveBacklog:
    """WAL that is not archived yet."""

    waiting: int = 0
    """Segments that wait."""
    waiting_bytes: int = 0
    """Their size."""
    oldest_seconds: int | None = None
    """The age of the oldest one."""
    hours_until_full: float | None = None
    """At the rate of the last hour, where nothing is archived; None where nothing is written."""
    failing: bool = False
    """The last attempt failed."""
    since: str | None = None
    """When the last segment was archived; None: none ever was."""
    why: str = ""
    """The reason, in pgBackRest's words."""

    @property
    def alarming(self) -> bool:
        late = self.oldest_seconds is not None and self.oldest_seconds > LATE_AFTER_SECONDS
        return self.waiting > 0 and (self.failing or late)

    def __str__(self) -> str:
        size = f"{self.waiting_bytes / 1e6:.0f} MB"
        text = f"{self.waiting} WAL segments ({size}) are not archived, the oldest for"
        text += f" {(self.oldest_seconds or 0) / 60:.0f} min"
        if self.since:
            text += f"; the last one arrived {self.since}"
        if self.why:
            text += f"; {self.why}"
        if self.hours_until_full is not None:
            text += f"; at the last hour's rate the disk is full in {self.hours_until_full:.1f} h"
        return text


def archive_error_probe(stanza: str) -> Probe:
    """Prints the latest error file of pgBackRest's next to the segments that wait."""
    folder = sh(f"{SPOOL_DIRECTORY}/archive/{stanza}/out")
    newest = 'f=$(ls -t -- *.error 2>/dev/null | head -n 1) && [ -n "$f" ] && head -c 2000 "$f"'
    return Probe(f"cd {folder} 2>/dev/null && {newest}; true")


def backlog(server: ServerSnapshot | None, error: Answer | None) -> ArchiveBacklog:
    """The backlog, from a snapshot of the server and the answer to `archive_error_probe`."""
    found: Mapping[str, Any] = server.archiver if server else {}
    waiting = int(found.get("waiting") or 0)
    failed, last_archived = found.get("last_failed_time"), found.get("last_archived_time")
    segment = int(found.get("segment_bytes") or 0)
    hourly = int(found.get("written_last_hour") or 0) * segment
    free = server.wal_free if server else None
    return ArchiveBacklog(
        waiting=waiting,
        waiting_bytes=waiting * segment,
        oldest_seconds=found.get("oldest_seconds") if waiting else None,
        hours_until_full=free / hourly if waiting and hourly and free is not None else None,
        failing=waiting > 0
        and bool(failed)
        and (not last_archived or str(failed) > str(last_archived)),
        since=last_archived,
        why=_error_text(error.out.decode(errors="replace")) if error and waiting else "",
    )


def _error_text(text: str) -> str:
    """The message in pgBackRest's error file: the first line is a code."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    error_lines = [
        line for line in lines if not line.isdigit() and not line.startswith("raised from")
    ]
    first = error_lines[0][:160].rstrip(":") if error_lines else ""
    found = error_hint(text)
    return f"{found} ({first})" if found else first


@dataclass(frozen=True, kw_only=True)
class ArchiveBacklogCheck(Check, WithNeeds, WithNotes):
    """The WAL archiving of a primary works. Reports only."""

    kind: ClassVar[str] = "archiver"
    snapshot: SnapshotQuery
    stanza: str
    server: ServerSnapshot | None = None

    @property
    def name(self) -> str:
        return self.stanza

    def probe(self) -> Probe:
        return archive_error_probe(self.stanza)

    def needs(self) -> tuple[Need, ...]:
        return (Need(self.on, self.snapshot.probe()),)

    def resolved(self, facts: Facts) -> Self:
        return replace(
            self, server=self.snapshot.running_server(facts.get(self.on, self.snapshot.probe()))
        )

    def read(self, answer: Answer) -> State:
        found = backlog(self.server, answer)
        return {"alarm": str(found) if found.alarming else ""}

    def desired(self) -> State:
        return {}

    def notes(self, state: State) -> tuple[str, ...]:
        return (str(state["alarm"]),) if state["alarm"] else ()
