"""F79: a file that is written while everything dies is the old one or the new one."""

import os
import random
import signal
import sys
import time
from pathlib import Path

import pytest

from pgprovision.engine.model import Action, Diff
from pgprovision.resources.system.file import File
from pgprovision.transport.host import Host
from pgprovision.transport.local import LocalConnection

RUNS = 100
OLD, NEW = "old\n" * 2_000, "new\n" * 4_000

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="coreutils' sync")


def desired_file(path: Path, content: str) -> File:
    me = {"owner": str(os.getuid()), "group": str(os.getgid())}
    return File(on="controller", path=str(path), content=content, **me)


def write(file: File) -> None:
    (action,) = file.change(Diff(None, file.desired()))
    Host("controller", LocalConnection).act([action], _silent)


def _silent(action: Action) -> None: ...


def write_and_die(file: File, seconds: float) -> None:
    """The write, its shell and all it started get SIGKILL that long after the beginning."""
    child = os.fork()
    if child == 0:
        try:
            os.setpgid(0, 0)
            write(file)
        finally:
            os._exit(0)
    os.setpgid(child, child)  # whoever comes first
    time.sleep(seconds)
    os.killpg(child, signal.SIGKILL)
    os.waitpid(child, 0)


@pytest.mark.covers("F79")
@pytest.mark.parametrize("name", ["marker.json", "postgresql.conf"])
def test_file_when_killed_between_write_and_rename_is_the_old_or_the_new_one(
    tmp_path: Path, name: str
) -> None:
    path, moments = tmp_path / name, random.Random(79)
    began = time.monotonic()
    for _ in range(3):
        write(desired_file(path, OLD))
    longest = (time.monotonic() - began) / 3 * 2  # seconds: twice what one write takes here and now
    found: list[str] = []
    for _ in range(RUNS // 2):
        write_and_die(desired_file(path, NEW), moments.uniform(0.0, longest))
        found.append(path.read_text())
        if found[-1] == NEW:
            write(desired_file(path, OLD))  # over whatever the killed one left beside it
    assert set(found) == {OLD, NEW}
