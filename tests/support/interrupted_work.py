"""Work on data that is killed at chosen moments, and what it leaves behind.

PGP_SWEEP=1 tries twenty moments of each kind instead of a few.
"""

import os
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from pgprovision.lab.command import LabError
from pgprovision.lab.process import wait_until
from tests.support.cli_user import CliUser, CommandResult, wait_for
from tests.support.host_state import CLAIM_FILE, DATA_DIRECTORY


def kill_delays(short_list: Sequence[float], longest: float) -> tuple[float, ...]:
    """Seconds after a piece of work began."""
    return (
        tuple(n * longest / 20 for n in range(20))
        if os.environ.get("PGP_SWEEP")
        else tuple(short_list)
    )


@dataclass(frozen=True)
class KillResult:
    """What a piece of work left behind each time it was killed, and how its last run ended."""

    codes: list[int]
    partial_files: list[int]
    last_result: CommandResult


@contextmanager
def background_script(person: CliUser, node: str, text: str) -> Iterator[None]:
    """Shell text that runs on a machine meanwhile; it has ended when this ends."""
    words = person.lab.shell(node, ["sh", "-c", text])
    with subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as waiting:
        try:
            yield
        finally:
            waiting.terminate()


def kill_repeatedly(
    person: CliUser, node: str, delays: Sequence[float], kill: str, *words: str, first: str = "true"
) -> KillResult:
    """A command, and at each moment after its work began on the machine that work is killed; then
    the command once more. `kill`: what waits for the work, and at {seconds} kills it; `first`:
    shell text for the machine as soon as it is there."""
    codes: list[int] = []
    partial_files: list[int] = []
    for seconds in delays:
        running = person.start(*words)
        if not codes:
            assert wait_until(lambda: _booted(person, node), seconds=60)
            person.shell(node, first)
        with background_script(person, node, kill.format(seconds=seconds)):
            codes.append(wait_for(running).code)
        count = f"ls -A {DATA_DIRECTORY} 2>/dev/null | wc -l; [ ! -e {CLAIM_FILE} ] || echo making"
        counted = person.shell(node, count).split()
        partial_files.append(int(counted[0]) if "making" in counted else -1)
    return KillResult(codes, partial_files, person.run(*words))


def _booted(person: CliUser, node: str) -> bool:
    try:
        return person.console(node, "[ -d /run/systemd/system ]").returncode == 0
    except LabError:
        return False


KILL_INITDB = """\
f() {{ pgrep -f '[p]g_createcluster|[b]in/initdb|[p]ostgres. --'; }}
until pgrep -f '[b]in/initdb'; do sleep 0.01; done; sleep {seconds}; kill -9 $(f)"""
KILL_BASE_BACKUP = (
    "until systemctl is-active -q pgprovision-seed; do sleep 0.01; done; sleep {seconds};"
    " systemctl kill -s KILL pgprovision-seed"
)
