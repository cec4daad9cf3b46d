"""The lock on this controller: one run at a time for a cluster.

Two runs from one machine never get as far as the hosts' own locks, also where no host exists yet.
"""

import fcntl
import os
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from pgprovision.errors import Locked, Refused
from pgprovision.lock_owner import LockOwner
from pgprovision.record import make_private_folder


class ControllerLock:
    """Taken by the first, freed by the kernel when its process is gone."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file: int | None = None

    def acquire(self, cluster: str, wait: float, on_wait: Callable[[str], None]) -> None:
        """Raises Locked where another run of this cluster is going on here, Refused where the
        file cannot be written. `wait`: seconds."""
        deadline = time.monotonic() + wait
        try:
            make_private_folder(self._path.parent)
            self._file = os.open(self._path, os.O_RDWR | os.O_CREAT, 0o600)
            while not _try_lock(self._file):
                lock_owner = LockOwner.parse(self._path.read_text(errors="replace"))
                what = f"locked by {lock_owner or 'another run on this machine'}"
                if time.monotonic() >= deadline:
                    raise Locked(
                        what,
                        where=cluster,
                        done="nothing was changed",
                        next="wait for that run with: pgprovision --wait 600 ...",
                    )
                on_wait(what)
                time.sleep(0.2)
            os.ftruncate(self._file, 0)
        except OSError as error:
            raise Refused(
                f"the lock of this cluster cannot be written: {error}",
                where=str(self._path),
                done="nothing was changed",
                next="free disk space there, or set XDG_STATE_HOME to a folder on another disk",
            ) from error

    def write_owner(self, lock_owner: LockOwner) -> None:
        """For those who come meanwhile."""
        assert self._file is not None
        with suppress(OSError):
            os.pwrite(self._file, lock_owner.text().encode(), 0)

    def release(self) -> None:
        """The next one's."""
        if self._file is not None:
            os.close(self._file)
            self._file = None


def _try_lock(file: int) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
