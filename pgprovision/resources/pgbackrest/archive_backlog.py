"""How the WAL archive does: what waits, since when, why, and when the disk will be full of it.

A database that rests has nothing waiting, and raises no alarm however long ago its last segment
was archived.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Self

from pgprovision.engine.model import Answer, Ask, Diff, Do, Facts, Need, Resource, State
from pgprovision.quote import sh
from pgprovision.resources.pgbackrest.error_hints import cause
from pgprovision.resources.pgbackrest.info import SPOOL
from pgprovision.resources.postgres.server.snapshot import Server, Snapshot

LATE_SECONDS = 300  # five times archive_timeout: what waits longer is not on its way any more


@dataclass(frozen=True)
class Backlog:
    """WAL that waits for the archive. `hours_until_full`: at the rate of the last hour, where
    nothing is archived; None where nothing is written. `failing`: the last attempt failed;
    `since`: when the last segment arrived, None where none did."""

    waiting: int = 0
    waiting_bytes: int = 0
    oldest_seconds: int | None = None
    hours_until_full: float | None = None
    failing: bool = False
    since: str | None = None
    why: str = ""

    @property
    def alarming(self) -> bool:
        late = self.oldest_seconds is not None and self.oldest_seconds > LATE_SECONDS
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


def look(stanza: str) -> Ask:
    """The latest error that pgBackRest keeps beside the segments it has to send."""
    folder = sh(f"{SPOOL}/archive/{stanza}/out")
    newest = 'f=$(ls -t -- *.error 2>/dev/null | head -n 1) && [ -n "$f" ] && head -c 2000 "$f"'
    return Ask(f"cd {folder} 2>/dev/null && {newest}; true")


def backlog(server: Server | None, error: Answer | None) -> Backlog:
    """From one look at a server, and `look`'s answer."""
    found: Mapping[str, Any] = server.archiver if server else {}
    waiting = int(found.get("waiting") or 0)
    failed, good = found.get("last_failed_time"), found.get("last_archived_time")
    segment = int(found.get("segment_bytes") or 0)
    hourly = int(found.get("written_last_hour") or 0) * segment
    free = server.wal_free if server else None
    return Backlog(
        waiting=waiting,
        waiting_bytes=waiting * segment,
        oldest_seconds=found.get("oldest_seconds") if waiting else None,
        hours_until_full=free / hourly if waiting and hourly and free is not None else None,
        failing=waiting > 0 and bool(failed) and (not good or str(failed) > str(good)),
        since=good,
        why=_why(error.out.decode(errors="replace")) if error and waiting else "",
    )


def _why(text: str) -> str:
    """pgBackRest's error file: a code on the first line, then who failed, then what."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    said = [line for line in lines if not line.isdigit() and not line.startswith("raised from")]
    first = said[0][:160].rstrip(":") if said else ""
    found = cause(text)
    return f"{found} ({first})" if found else first


@dataclass(frozen=True, kw_only=True)
class Archiver(Resource):
    """The archiving of a primary. Only reported."""

    kind: ClassVar[str] = "archiver"
    snapshot: Snapshot
    stanza: str
    server: Server | None = None

    @property
    def name(self) -> str:
        return self.stanza

    def probe(self) -> Ask:
        return look(self.stanza)

    def needs(self) -> tuple[Need, ...]:
        return (Need(self.on, self.snapshot.ask()),)

    def settled(self, facts: Facts) -> Self:
        return replace(self, server=self.snapshot.running(facts.get(self.on, self.snapshot.ask())))

    def read(self, answer: Answer) -> State:
        found = backlog(self.server, answer)
        return {"alarm": str(found) if found.alarming else ""}

    def desired(self) -> State:
        return {}

    def change(self, diff: Diff) -> Iterable[Do]:
        return ()

    def remarks(self, state: State) -> tuple[str, ...]:
        return (str(state["alarm"]),) if state["alarm"] else ()
