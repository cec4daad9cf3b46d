"""Keeps a host locked through a run, also when the connection is lost."""

from collections.abc import Callable

from pgprovision.engine.model import Waiting
from pgprovision.errors import OutcomeUnknown, Unreachable
from pgprovision.lock_owner import LOCK_FOLDER
from pgprovision.transport.connection import Connection
from pgprovision.transport.lock import HostLock, LockRequest, acquire, fence_guard, lock_command


class LockKeeper:
    """Keeps one host locked through a run: from when it can first be reached, over a connection
    of its own, and locked again where that was lost and no other run came in between."""

    def __init__(
        self,
        where: str,
        connect: Callable[[], Connection | Waiting | None],
        folder: str = LOCK_FOLDER,
    ) -> None:
        self._where = where
        self._folder = folder
        self._connect = connect
        self._request: LockRequest | None = None
        self._connection: Connection | None = None
        self._lock: HostLock | None = None
        self._fencing_token: int | None = None
        self._record_lines: list[str] = []
        self._synced = 0

    def require_lock(self, request: LockRequest) -> None:
        """From now on no action runs on the host unless it is locked."""
        self._request = request

    def append_record(self, text: str) -> None:
        """For the run's record on the machine, once it can be reached."""
        self._record_lines.append(text)

    def ensure_connected(self) -> None:
        """Connect, where the host exists. Raises Unreachable."""
        if self._lock is not None and not self._lock.alive:
            self.disconnect()
        if self._connection is None:
            connection = self._connect()
            self._connection = None if isinstance(connection, Waiting) else connection

    def acquire(self) -> bool:
        """Take the lock; False where the host does not exist yet. Raises Locked, Unreachable."""
        self.ensure_connected()
        if self._request is None or self._connection is None:
            return False
        if self._lock is not None:
            return True
        try:
            channel = self._connection.open_channel(
                *lock_command(self._folder, self._request.wait_seconds)
            )
            self._lock = acquire(channel, self._where, self._request, self._fencing_token)
        except (OSError, EOFError) as error:
            raise Unreachable(
                f"its lock cannot be acquired: {error}",
                where=self._where,
                next="fix that on the host, then run the same command again: it probes first",
            ) from error
        self._fencing_token = self._lock.fencing_token
        return True

    def batch_guard(self) -> tuple[str, str]:
        """The guard of a batch: locked, and what is to be done is in the record there. Raises
        Locked, Unreachable; OutcomeUnknown where the host came up during this run and another
        run acted on it before it was locked: what was observed of it may be old."""
        if self._request is None:
            return ("", "")
        first = self._fencing_token is None
        for _ in range(2):  # a lost lock is noticed by talking, and taken once more
            self.acquire()
            if self._lock is None or self._fencing_token is None:
                raise Unreachable(
                    "it became unreachable before its lock was acquired", where=self._where
                )
            if first and self._fencing_token > 1:
                raise OutcomeUnknown(
                    "another run acted on it before it was locked", where=self._where
                )
            if self._sync_record():
                return fence_guard(self._fencing_token, self._folder)
        raise Unreachable("its lock was lost twice", where=self._where)

    def stop(self) -> None:
        """The current action is the last."""
        if self._lock is not None:
            self._lock.stop()

    def release(self) -> None:
        """Release it; what is still to be recorded is recorded first."""
        if self._lock is not None and self._lock.alive and self._sync_record():
            self._lock.release()
        self.disconnect()

    def disconnect(self) -> None:
        """Disconnect without releasing it: the host goes down."""
        if self._connection is not None:
            self._connection.close()
        self._lock = self._connection = None

    def _sync_record(self) -> bool:
        """Everything noted is on disk there, and the host is still locked."""
        assert self._lock
        end = len(self._record_lines)
        for text in self._record_lines[self._synced : end]:
            self._lock.append_record(text)
        if self._lock.sync_record():
            self._synced = end
            return True
        return False
