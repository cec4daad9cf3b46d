"""What a machine's kernel was asked to keep: files renamed into place, synced before and after."""

import re
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.support.cli_user import CliUser

SYSCALLS = "fsync,fdatasync,syncfs,rename,renameat,renameat2"
SYNC_CALL = re.compile(r"(?:fsync|fdatasync|syncfs)\(\d+<([^>]+)>")
RENAME_CALL = re.compile(r'rename\w*\([^"]*"([^"]+)"[^"]*"([^"]+)"')
TRACE_FILE = "/run/trace"


@contextmanager
def syscall_trace(person: CliUser, node: str, pids: str) -> Iterator[list[str]]:
    """The calls of these processes (shell words) and of all they start; filled at the end."""
    if person.console(node, "command -v strace || apt-get -qq install -y strace").returncode:
        pytest.skip("no strace for the machine")
    lines: list[str] = []
    words = f'for p in {pids}; do set -- "$@" -p $p; done'
    run = f'exec strace -f -y -qq -e trace={SYSCALLS} -o {TRACE_FILE} "$@"'
    tracer = subprocess.Popen(person.lab.shell(node, ["sh", "-c", f"{words}; {run}"]))
    attached = f"for p in {pids}; do grep -q 'TracerPid:.[1-9]' /proc/$p/status || exit 1; done"
    while person.console(node, attached).returncode:
        assert tracer.poll() is None
    try:
        yield lines
    finally:
        person.shell(node, "kill -INT $(pgrep -x strace)")
        tracer.wait(30)
        lines += person.shell(node, f"cat {TRACE_FILE}").splitlines()


def durable_renames(trace: list[str]) -> set[str]:
    """What was renamed into place so that it outlasts a power failure: its content was synced
    before, its directory after."""
    synced: list[tuple[int, str]] = []
    renamed: list[tuple[int, str, str]] = []
    for number, line in enumerate(trace):
        if found := SYNC_CALL.search(line):
            synced.append((number, found[1]))
        elif found := RENAME_CALL.search(line):
            renamed.append((number, found[1], found[2]))
    return {
        new
        for at, old, new in renamed
        if any(number < at and _matches(path, old, below=True) for number, path in synced)
        and any(number > at and _matches(path, str(Path(new).parent)) for number, path in synced)
    }


def _matches(path: str, named: str, *, below: bool = False) -> bool:
    """Relative names are those of PostgreSQL, in its data directory."""
    end = r"(/.*)?" if below else ""
    start = "" if named.startswith("/") else ".*/"
    return re.fullmatch(f"{start}{re.escape(named)}{end}", path) is not None
