"""Drills in the records of runs: each is an event of its run, chained like every line."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from pgprovision.record.readable import format_event
from pgprovision.record.reading import NOT_ENDED, RunRecord, read_runs

DRILL_EVENT = "drill"
PROVEN = "proven"
FAILED = "failed"
SHOWN_EVENTS = ("failed", DRILL_EVENT, "end")
JSON_KEYS = {
    "lost_seconds": "data_loss_seconds",
    "lost_by": "data_loss_measured_by",
    "left": "leftovers",
}
"""A key of the record's line, and the same in JSON documents; others are the same in both."""
CHECK_KEYS = {"ok": "passed", "found": "detail"}
"""The same of one check."""


@dataclass(frozen=True)
class DrillRecord:
    """One drill. `event`: what its run says of it; empty where it was killed, or is under way."""

    run: RunRecord
    event: Mapping[str, Any]

    @property
    def result(self) -> str:
        """`proven`, `failed`, or what the record lacks."""
        return str(self.event.get("result") or self.run.problem or self._result_without_event())

    def _result_without_event(self) -> str:
        return FAILED if self.run.ended else NOT_ENDED

    @property
    def started_at(self) -> datetime | None:
        """When it began; None where that cannot be read."""
        try:
            return datetime.fromisoformat(str(self.run.begin.get("at")))
        except ValueError:
            return None

    @property
    def text(self) -> str:
        """For people: how it began, what it proved, how it ended."""
        events = [
            event for event in self.run.events if event and event.get("event") in SHOWN_EVENTS
        ]
        return "".join(format_event(event) for event in events)

    @property
    def summary(self) -> dict[str, Any]:
        """One line of `drill list`, and `last_drill` of `status`."""
        event = self.event
        what = ("target", "repository", "backup", "machine")
        keys = (*what, "lost_seconds", "lost_by", "seconds", "phases")
        return {
            "id": self.run.id,
            "started_at": self.run.begin.get("at"),
            "result": self.result,
            **drill_document({key: event.get(key) for key in keys}),
        }

    def as_json(self) -> dict[str, Any]:
        """`drill show`: the summary, and what was checked."""
        keys = ("last_commit", "checks", "failures", "left")
        more = drill_document({key: self.event.get(key) for key in keys})
        return {**self.summary, **more, "record": str(self.run.path)}


def drill_document(event: Mapping[str, Any]) -> dict[str, Any]:
    """Fields of a drill's event by the keys of the JSON documents."""
    found = {JSON_KEYS.get(key, key): value for key, value in event.items()}
    if isinstance(checks := found.get("checks"), list):
        found["checks"] = [
            {CHECK_KEYS.get(key, key): value for key, value in check.items()}
            for check in checks
            if isinstance(check, Mapping)
        ]
    return found


def drill_records(runs: Iterable[RunRecord]) -> Iterator[DrillRecord]:
    """Those among these runs, in their order."""
    for run in runs:
        if run.begin.get("command") != DRILL_EVENT:
            continue
        events = [event for event in run.events if event and event.get("event") == DRILL_EVENT]
        yield DrillRecord(run, events[-1] if events else {})


def last_proven_drill(runs_folder: Path) -> DrillRecord | None:
    """The newest drill of a cluster that proved a restore."""
    candidates = [
        one
        for one in drill_records(read_runs(runs_folder))
        if one.result == PROVEN and one.started_at
    ]
    return candidates[-1] if candidates else None
