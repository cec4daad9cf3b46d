"""Processes that outlive the one that started them, and how to find and stop them safely.

A record is the boot id and the `/proc/PID/stat` line a process wrote about itself before it
became the command. Pid, start time and boot together name one process for ever, so a recycled
pid is never taken for ours and never killed.
"""

import os
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from pgprovision.lab.command import LabError, write_atomically

_PACKAGES = Path(__file__).parents[2]  # `python -m` finds this very pgprovision from there
_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
_RECORD_AND_EXEC = f'cat {_BOOT_ID} /proc/$$/stat >"$0.new" && mv "$0.new" "$0" && exec "$@"'


@dataclass(frozen=True)
class Daemon:
    """A process known by its record file; `log` gets its output."""

    pid_file: Path
    log: Path

    def start(self, command: Sequence[str], env: Mapping[str, str] | None = None) -> int:
        """Start in a session of its own unless it runs already; returns the pid."""
        if (pid := self.pid()) is not None:
            return pid
        for path in (self.pid_file, self.log):
            path.parent.mkdir(parents=True, exist_ok=True)
        self.pid_file.unlink(missing_ok=True)
        with self.log.open("ab") as log:
            subprocess.run(
                ["setsid", "--fork", "sh", "-c", _RECORD_AND_EXEC, str(self.pid_file), *command],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env={**os.environ, **(env or {})},
                cwd=_PACKAGES,
                check=True,
            )
        if not wait_until(self.pid_file.exists, seconds=10):
            raise LabError(f"`{command[0]}` did not start; its log is {self.log}")
        return int(self.pid_file.read_text().split()[1])

    def pid(self) -> int | None:
        """The pid if this very process still runs."""
        process = read_pid_file(self.pid_file)
        if process is None:
            return None
        pid, started = process
        return pid if start_time(pid) == started else None

    def signal(self, number: int) -> bool:
        """Send a signal to this very process; whether it was there to get it."""
        pid = self.pid()
        if pid is None:
            return False
        try:
            handle = os.pidfd_open(pid)
        except ProcessLookupError:
            return False
        try:
            if self.pid() != pid:
                return False
            signal.pidfd_send_signal(handle, number)
        except ProcessLookupError:
            return False
        finally:
            os.close(handle)
        return True

    def stop(self, grace: float = 5) -> None:
        """Ask it to end, make it end after `grace` seconds, and forget it."""
        if self.signal(signal.SIGTERM):
            wait_until(self._has_ended, seconds=grace)
        self.kill()

    def kill(self) -> None:
        """End it at once and forget it."""
        if self.signal(signal.SIGKILL) and not wait_until(self._has_ended, seconds=5):
            raise LabError(f"process {self.pid()} ({self.pid_file}) does not end")
        self.pid_file.unlink(missing_ok=True)

    def _has_ended(self) -> bool:
        return self.pid() is None

    def log_tail(self) -> str:
        """The end of its log."""
        return tail(self.log)


def tail(path: Path, lines: int = 5) -> str:
    """The last lines of a log, on one."""
    if not path.exists():
        return "(no log)"
    return " / ".join(path.read_text(errors="replace").splitlines()[-lines:])


def read_pid_file(pid_file: Path) -> tuple[int, int] | None:
    """Pid and start time in a record of this boot."""
    try:
        boot, stat = pid_file.read_text().split("\n", 1)
    except (FileNotFoundError, ValueError):
        return None
    if boot != _BOOT_ID.read_text().strip():
        return None
    return int(stat.split(" ", 1)[0]), _start_field(stat)


def start_time(pid: int) -> int | None:
    """When a running process started, in clock ticks since boot; a zombie does not run."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return None
    return None if stat.rpartition(")")[2].split()[0] in "ZX" else _start_field(stat)


def write_own_pid_file(pid_file: Path) -> None:
    """Write the record of the calling process."""
    write_atomically(pid_file, _BOOT_ID.read_text() + Path(f"/proc/{os.getpid()}/stat").read_text())


def children(pid: int) -> list[int]:
    """The pids of a process's children."""
    try:
        return [int(p) for p in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except (FileNotFoundError, ProcessLookupError):
        return []


def wait_until(ready: Callable[[], bool], seconds: float) -> bool:
    """Poll until `ready()`; whether it was in time."""
    end = time.monotonic() + seconds
    while not ready():
        if time.monotonic() > end:
            return False
        time.sleep(0.02)
    return True


def _start_field(stat: str) -> int:
    # proc(5): field 22; the command name in field 2 may hold blanks and parentheses.
    return int(stat.rpartition(")")[2].split()[19])
