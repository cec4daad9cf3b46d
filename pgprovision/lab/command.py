"""Run a host command and turn its failure into one sentence."""

import fcntl
import os
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from pgprovision.lab.hypervisor import HypervisorError


class LabError(HypervisorError):
    """The lab could not do what was asked; the text says what, where and what to do next."""


class LabNotFound(LabError):
    """A lab, a server or an image that is not there, or a name that cannot be one."""


class LabUnsupported(LabError):
    """This host, or this user, cannot run a lab at all."""


def run(*command: str, stdin: str | None = None) -> str:
    """Run to the end and return stdout; raises LabError with the command's own last words."""
    completed = _run(command, stdin)
    if completed.returncode:
        message = (
            completed.stderr.strip()
            or completed.stdout.strip()
            or f"exit status {completed.returncode}"
        )
        raise LabError(f"`{' '.join(command)}` failed: {message[-600:]}")
    return completed.stdout


def succeeds(*command: str, stdin: str | None = None) -> bool:
    """Run to the end; whether it went well. For what may be gone or there already."""
    return _run(command, stdin).returncode == 0


def _run(command: Sequence[str], stdin: str | None) -> subprocess.CompletedProcess[str]:
    try:
        return subprocess.run(command, input=stdin or "", capture_output=True, text=True)
    except FileNotFoundError:
        raise LabError(
            f"`{command[0]}` is not installed; `pgprovision lab up` installs what the lab needs"
        ) from None


@contextmanager
def file_lock(path: Path) -> Iterator[None]:
    """Lock `path` exclusively; the kernel frees it when the owner dies.

    The owner may remove the file: who waited for it meanwhile locks the new one.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    while True:
        with path.open("w") as handle:
            fcntl.flock(handle, fcntl.LOCK_EX)
            if _same(path, handle.fileno()):
                yield
                return


def _same(path: Path, handle: int) -> bool:
    try:
        return os.path.samestat(path.stat(), os.fstat(handle))
    except FileNotFoundError:
        return False


def write_atomically(path: Path, text: str, mode: int = 0o644) -> None:
    """Replace a file whole: a reader sees the old or the new text, never a half."""
    path.parent.mkdir(parents=True, exist_ok=True)
    fresh = path.with_name(f".{path.name}.new")
    fresh.unlink(missing_ok=True)
    fresh.touch(mode=mode)
    fresh.write_text(text)
    fresh.chmod(mode)
    fresh.rename(path)
