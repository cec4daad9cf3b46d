"""The person at the keyboard, as the loop sees them: takes the machines, may interrupt."""

import getpass
import os
import signal
import socket
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from types import FrameType

from pgprovision.engine.model import Change, Report
from pgprovision.errors import Interrupted, PgprovisionError
from pgprovision.lock_owner import Holder
from pgprovision.record import Record, folder
from pgprovision.run.address_cache import remember
from pgprovision.run.controller_lock import Turn
from pgprovision.run.targets import Targets
from pgprovision.transport.lock import Claim

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Operator:
    """One run's. Before `begin` nothing was touched, and a signal ends the program at once; after
    it the first signal ends the run after the step that runs, a second one cuts the lines."""

    def __init__(
        self,
        targets: Targets,
        cluster: str,
        command: str,
        wait: float,
        *,
        keep: bool,
        turn: str = "lock",
    ) -> None:
        self._targets = targets
        self._cluster = cluster
        self._command = command
        self._wait = wait
        self._keep = keep
        self._turn = Turn(folder(cluster).parent / turn)
        self._before: dict[signal.Signals, object] = {}
        self.record: Record | None = None
        self.signal: int | None = None
        self._ended_by: int | None = None
        self._holder: Holder | None = None

    @property
    def stopping(self) -> bool:
        return self.signal is not None

    def begin(self, plan: Sequence[Change], waiting: Callable[[str], None]) -> Record:
        """It was approved: nobody else's turn, and a record. Raises Locked, Refused."""
        self._turn.take(self._cluster, self._wait, waiting)
        self.record = Record(self._cluster, self._command, plan=plan, copy=self._targets.note)
        holder = Holder(
            who=getpass.getuser(),
            host=socket.gethostname(),
            since=f"{datetime.now(UTC):%Y-%m-%d %H:%M:%S} UTC",
            doing=self._command,
            run=self.record.id,
        )
        self._turn.sign(holder)
        self._holder = holder
        if self._keep:
            self._targets.claim(Claim(holder, self._wait, waiting))
        if threading.current_thread() is threading.main_thread():
            self._before = {number: signal.signal(number, self._heard) for number in SIGNALS}
        return self.record

    def follow(self, targets: Targets, waiting: Callable[[str], None]) -> None:
        """What has to be done after the run in any case, on targets of its own: a signal of before
        does not count for it."""
        self._targets, self._ended_by, self.signal = targets, self.signal, None
        if self._holder is not None and self._keep:
            targets.claim(Claim(self._holder, self._wait, waiting))

    def hold(self) -> bool:
        return self._keep and self._targets.hold()

    def end(self, outcome: Report, failure: PgprovisionError | None) -> None:
        """The record's last word, then let go of everything."""
        heard = self.signal or self._ended_by
        if isinstance(failure, Interrupted) and heard and failure.exit_code == 130:
            failure.exit_code = 128 + heard
        result = "left" if outcome.left or outcome.failed else "done"
        if failure is not None:
            result = type(failure).__name__
        try:
            if self.record is not None:
                seconds = outcome.seconds
                self.record.end(result, seconds, left=outcome.left, failure=failure)
                remember(self._cluster, self._targets.found)
        finally:
            self._targets.end()
            self._turn.end()
            for number, handler in self._before.items():
                signal.signal(number, handler)  # type: ignore[arg-type]

    def _heard(self, number: int, frame: FrameType | None) -> None:
        again, self.signal = self.stopping, number
        if again:
            said, act = "stopping at once: the outcome of the step that runs is unknown", "cut"
        else:
            said, act = "finishing the step that runs; once more to stop at once", "stop"
        with suppress(OSError):
            os.write(2, f"{said}\n".encode())  # a handler must not wait for a printer's lock
        threading.Thread(target=getattr(self._targets, act), daemon=True).start()
