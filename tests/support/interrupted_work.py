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
from tests.support.cli_user import Person, Run, finished
from tests.support.host_state import DATA, NOTE


def moments(few: Sequence[float], most: float) -> tuple[float, ...]:
    """Seconds after a piece of work began."""
    return tuple(n * most / 20 for n in range(20)) if os.environ.get("PGP_SWEEP") else tuple(few)


@dataclass(frozen=True)
class Kills:
    """What a piece of work left behind each time it was killed, and how its last run ended."""

    codes: list[int]
    halves: list[int]
    end: Run


@contextmanager
def watcher(person: Person, node: str, text: str) -> Iterator[None]:
    """Shell text that runs on a machine meanwhile; it has ended when this ends."""
    words = person.lab.shell(node, ["sh", "-c", text])
    with subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as waiting:
        try:
            yield
        finally:
            waiting.terminate()


def killed(
    person: Person, node: str, moments: Sequence[float], kill: str, *words: str, first: str = "true"
) -> Kills:
    """A command, and at each moment after its work began on the machine that work is killed; then
    the command once more. `kill`: what waits for the work, and at {seconds} kills it; `first`:
    shell text for the machine as soon as it is there."""
    codes: list[int] = []
    halves: list[int] = []
    for seconds in moments:
        running = person.begin(*words)
        if not codes:
            assert wait_until(lambda: _booted(person, node), seconds=60)
            person.shell(node, first)
        with watcher(person, node, kill.format(seconds=seconds)):
            codes.append(finished(running).code)
        count = f"ls -A {DATA} 2>/dev/null | wc -l; [ ! -e {NOTE} ] || echo making"
        left = person.shell(node, count).split()
        halves.append(int(left[0]) if "making" in left else -1)
    return Kills(codes, halves, person.run(*words))


def _booted(person: Person, node: str) -> bool:
    try:
        return person.console(node, "[ -d /run/systemd/system ]").returncode == 0
    except LabError:
        return False


INITDB = """\
f() {{ pgrep -f '[p]g_createcluster|[b]in/initdb|[p]ostgres. --'; }}
until pgrep -f '[b]in/initdb'; do sleep 0.01; done; sleep {seconds}; kill -9 $(f)"""
SEED = (
    "until systemctl is-active -q pgprovision-seed; do sleep 0.01; done; sleep {seconds};"
    " systemctl kill -s KILL pgprovision-seed"
)
