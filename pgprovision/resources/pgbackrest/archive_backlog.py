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

    pending_segments: int = 0
    """Segments that wait."""
    pending_bytes: int = 0
    """Their size."""
    oldest_pending_seconds: int | None = None
    """The age of the oldest one."""
    hours_until_disk_full: float | None = None
    """At the rate of the last hour, where nothing is archived; None where nothing is written."""
    failing: bool = False
    """The last attempt failed."""
    last_archived_at: str | None = None
    """When the last segment was archived; None: none ever was."""
    last_error: str = ""
    """The reason, in pgBackRest's words."""

    @property
    def alarming(self) -> bool:
        late = (
            self.oldest_pending_seconds is not None
            and self.oldest_pending_seconds > LATE_AFTER_SECONDS
        )
        return self.pending_segments > 0 and (self.failing or late)

    def __str__(self) -> str:
        size = f"{self.pending_bytes / 1e6:.0f} MB"
        text = f"{self.pending_segments} WAL segments ({size}) are not archived, the oldest for"
        text += f" {(self.oldest_pending_seconds or 0) / 60:.0f} min"
        if self.last_archived_at:
            text += f"; the last one arrived {self.last_archived_at}"
        if self.last_error:
            text += f"; {self.last_error}"
        if self.hours_until_disk_full is not None:
            text += (
                f"; at the last hour's rate the disk is full in {self.hours_until_disk_full:.1f} h"
            )
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
        pending_segments=waiting,
        pending_bytes=waiting * segment,
        oldest_pending_seconds=found.get("oldest_seconds") if waiting else None,
        hours_until_disk_full=free / hourly if waiting and hourly and free is not None else None,
        failing=waiting > 0
        and bool(failed)
        and (not last_archived or str(failed) > str(last_archived)),
        last_archived_at=last_archived,
        last_error=_error_text(error.out.decode(errors="replace")) if error and waiting else "",
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

    kind: ClassVar[str] = "archive backlog"
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
