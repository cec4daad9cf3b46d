"""What is around the loop from the command line: progress, the record, the machines held."""

from collections.abc import Sequence
from types import TracebackType
from typing import Any, Self

from pgprovision import report
from pgprovision.engine.loop import Approve, RunObserver, converge
from pgprovision.engine.model import Change, Impact, Report, Tier
from pgprovision.errors import PgprovisionError
from pgprovision.run.observers import RunObservers
from pgprovision.run.signals import CommandController
from pgprovision.run.targets import Targets


class Session:
    """One run, however often it converges: one record, begun with the first approval. `failure` is
    what ended it; whoever sets it decides what the record says. `lock_name`: the file by which runs
    from this controller take turns; those on other machines than the cluster's have one of their
    own."""

    def __init__(
        self,
        command: str,
        cluster: str,
        targets: Targets,
        *,
        json: bool,
        wait: float = 0.0,
        lock_hosts: bool = True,
        observer: RunObserver | None = None,
        lock_name: str = "lock",
    ) -> None:
        self.progress = report.Progress(quiet=json)
        self.outcome = Report()
        self.failure: PgprovisionError | None = None
        self._targets = targets
        self._observers = RunObservers([self.progress, *([observer] if observer else [])])
        self._controller = CommandController(
            targets, cluster, command, wait, lock_hosts=lock_hosts, lock_name=lock_name
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        self.progress.close()
        self._targets.count_requests(self.outcome)
        self._controller.end(self.outcome, self.failure)

    @property
    def record_path(self) -> str | None:
        """The record's file, once something was approved."""
        record = self._controller.record
        return str(record.path) if record else None

    def converge(self, tiers: Sequence[Tier], approve: Approve, outcome: Report) -> None:
        """Make these true as far as `approve` allows; `outcome` tells what was done, also where
        this raises."""

        def approved(changes: Sequence[Change]) -> Impact | None:
            with self.progress.paused():
                answer = approve(changes)
            if answer is not None and self._controller.record is None:
                # Before anything is sent, it is written.
                self._observers.insert(
                    0, self._controller.begin(changes, self.progress.show_notice)
                )
            return answer

        self._targets.limit_to(tiers)
        converge(
            tiers,
            self._targets,
            approved,
            self._observers,
            controller=self._controller,
            report=outcome,
        )

    def record_event(self, event: str, **fields: Any) -> None:
        """A line of the verb's own for the record."""
        if self._controller.record is not None:
            self._controller.record.write_event(event, **fields)

    def continue_on(self, targets: Targets) -> None:
        """What comes after, whatever ended the run so far, is of the same record: on these targets,
        and no longer interrupted."""
        self._targets.release()
        self._targets = targets
        self._controller.continue_on(targets, self.progress.show_notice)
