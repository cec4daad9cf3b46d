"""Drills in the records of runs: each is an event of its run, chained like every line."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from pgprovision.record.readable import readable
from pgprovision.record.reading import NOT_ENDED, Run, read

EVENT = "drill"
PROVEN = "proven"
FAILED = "failed"
TOLD = ("failed", EVENT, "end")


@dataclass(frozen=True)
class Drill:
    """One drill. `event`: what its run says of it; empty where it was killed, or is under way."""

    run: Run
    event: Mapping[str, Any]

    @property
    def result(self) -> str:
        """`proven`, `failed`, or what the record lacks."""
        return str(self.event.get("result") or self.run.trouble or self._without())

    def _without(self) -> str:
        return FAILED if self.run.ended else NOT_ENDED

    @property
    def at(self) -> datetime | None:
        """When it began; None where that cannot be read."""
        try:
            return datetime.fromisoformat(str(self.run.begin.get("at")))
        except ValueError:
            return None

    @property
    def text(self) -> str:
        """For people: how it began, what it proved, how it ended."""
        told = [event for event in self.run.events if event and event.get("event") in TOLD]
        return "".join(readable(event) for event in told)

    @property
    def summary(self) -> dict[str, Any]:
        """One line of `drill list`, and `last_drill` of `status`."""
        found = self.event
        what = ("target", "repository", "backup", "machine")
        keys = (*what, "lost_seconds", "lost_by", "seconds", "phases")
        return {
            "id": self.run.id,
            "at": self.run.begin.get("at"),
            "result": self.result,
            **{key: found.get(key) for key in keys},
        }

    def as_json(self) -> dict[str, Any]:
        """`drill show`: the summary, and what was checked."""
        keys = ("last_commit", "checks", "failures", "left")
        more = {key: self.event.get(key) for key in keys}
        return {**self.summary, **more, "record": str(self.run.path)}


def drills(runs: Iterable[Run]) -> Iterator[Drill]:
    """Those among these runs, in their order."""
    for run in runs:
        if run.begin.get("command") != EVENT:
            continue
        told = [event for event in run.events if event and event.get("event") == EVENT]
        yield Drill(run, told[-1] if told else {})


def last_proven(runs_folder: Path) -> Drill | None:
    """The newest drill of a cluster that proved a restore."""
    proven = [one for one in drills(read(runs_folder)) if one.result == PROVEN and one.at]
    return proven[-1] if proven else None
