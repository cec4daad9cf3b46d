"""What is around the loop from the command line: progress, the record, the machines held."""

from collections.abc import Sequence
from types import TracebackType
from typing import Any, Self

from pgprovision import report
from pgprovision.engine.loop import Approve, Watcher, converge
from pgprovision.engine.model import Change, Impact, Report, Tier
from pgprovision.errors import PgprovisionError
from pgprovision.run.observers import Watchers
from pgprovision.run.signals import Operator
from pgprovision.run.targets import Targets


class Session:
    """One run, however often it converges: one record, begun with the first approval. `failure` is
    what ended it; whoever sets it decides what the record says. `turn`: the file by which runs from
    this controller take turns; those on other machines than the cluster's have one of their own.
    """

    def __init__(
        self,
        command: str,
        cluster: str,
        targets: Targets,
        *,
        json: bool,
        wait: float = 0.0,
        keep: bool = True,
        watcher: Watcher | None = None,
        turn: str = "lock",
    ) -> None:
        self.progress = report.Progress(quiet=json)
        self.outcome = Report()
        self.failure: PgprovisionError | None = None
        self._targets = targets
        self._watchers = Watchers([self.progress, *([watcher] if watcher else [])])
        self._operator = Operator(targets, cluster, command, wait, keep=keep, turn=turn)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        self.progress.close()
        self._targets.count(self.outcome)
        self._operator.end(self.outcome, self.failure)

    @property
    def record(self) -> str | None:
        """The record's file, once something was approved."""
        begun = self._operator.record
        return str(begun.path) if begun else None

    def converge(self, tiers: Sequence[Tier], approve: Approve, outcome: Report) -> None:
        """Make these true as far as `approve` allows; `outcome` tells what was done, also where
        this raises."""

        def asked(changes: Sequence[Change]) -> Impact | None:
            with self.progress.paused():
                answer = approve(changes)
            if answer is not None and self._operator.record is None:
                # Before anything is sent, it is written.
                self._watchers.insert(0, self._operator.begin(changes, self.progress.note))
            return answer

        self._targets.only(tiers)
        converge(
            tiers, self._targets, asked, self._watchers, operator=self._operator, report=outcome
        )

    def write(self, event: str, **fields: Any) -> None:
        """A line of the verb's own for the record."""
        if self._operator.record is not None:
            self._operator.record.write(event, **fields)

    def follow(self, targets: Targets) -> None:
        """What comes after, whatever ended the run so far, is of the same record: on these targets,
        and no longer interrupted."""
        self._targets.end()
        self._targets = targets
        self._operator.follow(targets, self.progress.note)
