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
from pgprovision.lock_owner import LockOwner
from pgprovision.record import RecordWriter, records_folder
from pgprovision.run.address_cache import cache_addresses
from pgprovision.run.controller_lock import ControllerLock
from pgprovision.run.targets import Targets
from pgprovision.transport.lock import LockRequest

HANDLED_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class CommandController:
    """One run's. Before `begin` nothing was changed, and a signal ends the program at once; after
    it the first signal ends the run after the step that runs, a second one cuts the lines."""

    def __init__(
        self,
        targets: Targets,
        cluster: str,
        command: str,
        wait: float,
        *,
        lock_hosts: bool,
        lock_name: str = "lock",
    ) -> None:
        self._targets = targets
        self._cluster = cluster
        self._command = command
        self._wait = wait
        self._locks_enabled = lock_hosts
        self._controller_lock = ControllerLock(records_folder(cluster).parent / lock_name)
        self._old_handlers: dict[signal.Signals, object] = {}
        self.record: RecordWriter | None = None
        self.signal: int | None = None
        self._ended_by: int | None = None
        self._lock_owner: LockOwner | None = None

    @property
    def stop_requested(self) -> bool:
        return self.signal is not None

    def begin(self, plan: Sequence[Change], on_wait: Callable[[str], None]) -> RecordWriter:
        """It was approved: nobody else's turn, and a record. Raises Locked, Refused."""
        self._controller_lock.acquire(self._cluster, self._wait, on_wait)
        self.record = RecordWriter(
            self._cluster, self._command, plan=plan, on_line=self._targets.append_record
        )
        lock_owner = LockOwner(
            who=getpass.getuser(),
            host=socket.gethostname(),
            since=f"{datetime.now(UTC):%Y-%m-%d %H:%M:%S} UTC",
            doing=self._command,
            run=self.record.id,
        )
        self._controller_lock.write_owner(lock_owner)
        self._lock_owner = lock_owner
        if self._locks_enabled:
            self._targets.require_locks(LockRequest(lock_owner, self._wait, on_wait))
        if threading.current_thread() is threading.main_thread():
            self._old_handlers = {
                number: signal.signal(number, self._on_signal) for number in HANDLED_SIGNALS
            }
        return self.record

    def continue_on(self, targets: Targets, on_wait: Callable[[str], None]) -> None:
        """What has to be done after the run in any case, on targets of its own: a signal of before
        does not count for it."""
        self._targets, self._ended_by, self.signal = targets, self.signal, None
        if self._lock_owner is not None and self._locks_enabled:
            targets.require_locks(LockRequest(self._lock_owner, self._wait, on_wait))

    def lock_hosts(self) -> bool:
        return self._locks_enabled and self._targets.lock_hosts()

    def end(self, outcome: Report, failure: PgprovisionError | None) -> None:
        """The record's last word, then let go of everything."""
        received = self.signal or self._ended_by
        if isinstance(failure, Interrupted) and received and failure.exit_code == 130:
            failure.exit_code = 128 + received
        result = "left" if outcome.remaining or outcome.failed else "done"
        if failure is not None:
            result = type(failure).__name__
        try:
            if self.record is not None:
                seconds = outcome.seconds
                self.record.end(result, seconds, left=outcome.remaining, failure=failure)
                cache_addresses(self._cluster, self._targets.known_addresses)
        finally:
            self._targets.release()
            self._controller_lock.release()
            for number, handler in self._old_handlers.items():
                signal.signal(number, handler)  # type: ignore[arg-type]

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        again, self.signal = self.stop_requested, number
        if again:
            message = "stopping immediately: the outcome of the current action is unknown"
            act = self._targets.disconnect
        else:
            message = "finishing the current action; interrupt again to stop immediately"
            act = self._targets.stop
        with suppress(OSError):
            os.write(2, f"{message}\n".encode())  # a handler must not wait for a printer's lock
        threading.Thread(target=act, daemon=True).start()
