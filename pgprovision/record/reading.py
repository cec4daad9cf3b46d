"""Reading records: whatever is in the files, also a newer version's, an older one's or garbage."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from pgprovision.record.chain import ChainLink, digest, read_head, split_lines
from pgprovision.record.readable import Event, format_event

NOT_ENDED = "unfinished"


@dataclass(frozen=True)
class RunRecord:
    """One run's record. `partial_line`: bytes of a last line that was cut off; `problem`: why it
    could not be read."""

    path: Path
    lines: tuple[bytes, ...] = ()
    partial_line: bytes = b""
    problem: str = ""

    @property
    def id(self) -> str:
        return self.path.stem

    @cached_property
    def digests(self) -> tuple[str, ...]:
        return tuple(map(digest, self.lines))

    @cached_property
    def events(self) -> tuple[Event | None, ...]:
        """Line by line; None where it is none."""
        return tuple(map(_event, self.lines))

    @property
    def begin(self) -> Event:
        first = self.events[0] if self.events else None
        return first or {}

    @property
    def ended(self) -> Event | None:
        """The last line, where it says that the run is over."""
        last = self.events[-1] if self.events else None
        return last if last and last.get("event") == "end" else None

    @property
    def text(self) -> str:
        """For people."""
        return "".join(format_event(event) for event in self._events_or_unreadable())

    @property
    def summary(self) -> dict[str, Any]:
        """One line of the list. `changes` counts the resources that something was done to."""
        end = self.ended or {}
        done = [e for e in self.events if e and e.get("event") == "done"]
        begin = self.begin
        return {
            "id": self.id,
            "started_at": begin.get("at"),
            "user": begin.get("who"),
            "host": begin.get("host"),
            "command": begin.get("command"),
            "result": end.get("result") if self.ended else (self.problem or NOT_ENDED),
            "changes": len({(str(e.get("on")), str(e.get("resource"))) for e in done}),
            "seconds": end.get("seconds"),
            "path": str(self.path),
        }

    def as_json(self) -> dict[str, Any]:
        return {
            **self.summary,
            "events": list(self._events_or_unreadable()),
        }

    def _events_or_unreadable(self) -> Iterator[Event]:
        for number, event in enumerate(self.events, 1):
            yield event or {"event": "unreadable", "line": number}
        if self.partial_line:
            yield {"event": "unreadable", "line": len(self.lines) + 1, "why": "cut off"}
        if self.problem:
            yield {"event": "unreadable", "why": self.problem}


def load_run(path: Path) -> RunRecord:
    """Never raises: what is wrong is in it."""
    try:
        return RunRecord(path, *split_lines(path.read_bytes()))
    except OSError as error:
        return RunRecord(path, problem=f"cannot be read: {error.strerror}")


def read_runs(runs: Path) -> list[RunRecord]:
    """All of a cluster's, the newest last."""
    runs_found = [load_run(path) for path in runs.glob("*.jsonl") if path.is_file()]
    return sorted(runs_found, key=lambda run: (run.id[:16], str(run.begin.get("at")), run.id))


def last_link(runs: Path) -> ChainLink | None:
    """The last line so far. What the head names and is not there stays named: it is missing."""
    try:
        head = read_head(runs)
    except ValueError:
        head = None  # `verify` tells until the next head is written
    if head is None:
        nonempty = [run for run in read_runs(runs) if run.lines]
        return ChainLink(nonempty[-1].id, nonempty[-1].digests[-1]) if nonempty else None
    run = load_run(runs / f"{head.run}.jsonl")
    return ChainLink(run.id, run.digests[-1]) if head.digest in run.digests else head


def find_runs(runs: list[RunRecord], name: str) -> list[RunRecord]:
    """The ones that are meant: by ID, by its beginning, or by `latest`."""
    if name == "latest":
        return runs[-1:]
    same_id = [run for run in runs if run.id == name]
    return same_id or [run for run in runs if run.id.startswith(name)]


def _event(line: bytes) -> Event | None:
    try:
        found = json.loads(line)
        json.dumps(found, ensure_ascii=False).encode()  # text of half characters is none
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, Mapping) else None
