"""Records of small runs, for tests."""

import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pgprovision.engine.model import Change, Diff, Impact, State
from pgprovision.record import Record, folder
from tests.support.fake_resources import Thing

CLUSTER = "hcb-lab"


@pytest.fixture(autouse=True)
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the records of this test lie."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setattr("sys.argv", ["pgprovision", "-i", "prod", "up", "--yes"])
    return folder(CLUSTER)


def change(
    called: str = "x",
    before: State | None = None,
    after: State | None = None,
    impact: Impact = Impact.NONE,
) -> Change:
    """Of a thing whose actions have this impact."""
    after = {"a": "1"} if after is None else after
    thing = Thing(on="h", called=called, wish=tuple((k, str(v)) for k, v in after.items()))
    diff = Diff(before, after)
    return Change(thing, diff, tuple(Thing.change(replaced(thing, impact), diff)))


def replaced(thing: Thing, impact: Impact) -> Thing:
    return Thing(on=thing.on, called=thing.called, wish=thing.wish, impact=impact)


def done(*names: str, result: str = "done") -> Record:
    """A finished run that made these things."""
    changes = [change(name) for name in names or ("x",)]
    record = Record(CLUSTER, "up", plan=changes)
    record.tier("things")
    record.acting(changes)
    for one in changes:
        for action in one.actions:
            record.done(one, action)
    record.end(result, 1.5)
    return record


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


@pytest.fixture
def small_disk(state: Path) -> Iterator[Path]:
    """The records lie on 2 MB of their own."""
    if os.getuid():
        pytest.skip("needs root, to mount a small tmpfs")
    state.mkdir(parents=True)
    mount = ["mount", "-t", "tmpfs", "-o", "size=2m,mode=0700", "tmpfs", str(state)]
    if subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("no tmpfs can be mounted here")
    yield state
    subprocess.run(["umount", str(state)], check=True)


def fill(disk: Path) -> Path:
    """Not a byte is left."""
    ballast = disk / "ballast"
    with ballast.open("wb", buffering=0) as file:
        for size in (4096, 1):
            try:
                while file.write(b"x" * size):
                    pass
            except OSError:
                continue
    return ballast
