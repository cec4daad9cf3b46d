"""Records of small runs, for tests."""

import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pgprovision.engine.model import Change, Diff, Impact, State, Tier
from pgprovision.record import RecordWriter, records_folder
from tests.support.fake_resources import FakeResource

CLUSTER = "hcb-lab"


@pytest.fixture(autouse=True)
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the records of this test are."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setattr("sys.argv", ["pgprovision", "-i", "prod", "up", "--yes"])
    return records_folder(CLUSTER)


def make_change(
    name: str = "x",
    before: State | None = None,
    after: State | None = None,
    impact: Impact = Impact.NONE,
) -> Change:
    """Of a thing with actions of this impact."""
    after = {"a": "1"} if after is None else after
    thing = FakeResource(
        on="h", object_name=name, declared=tuple((k, str(v)) for k, v in after.items())
    )
    diff = Diff(before, after)
    return Change(thing, diff, tuple(FakeResource.change(with_impact(thing, impact), diff)))


def with_impact(thing: FakeResource, impact: Impact) -> FakeResource:
    return FakeResource(
        on=thing.on, object_name=thing.object_name, declared=thing.declared, impact=impact
    )


def finished_run(*names: str, result: str = "done") -> RecordWriter:
    """A finished run that made these things."""
    changes = [make_change(name) for name in names or ("x",)]
    record = RecordWriter(CLUSTER, "up", plan=changes)
    record.tier_started(Tier("things", ()))
    record.acting(changes)
    for one in changes:
        for action in one.actions:
            record.action_done(one, action)
    record.end(result, 1.5)
    return record


def read_lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


@pytest.fixture
def small_disk(state: Path) -> Iterator[Path]:
    """The records are on 2 MB of their own."""
    if os.getuid():
        pytest.skip("needs root, to mount a small tmpfs")
    state.mkdir(parents=True)
    mount = ["mount", "-t", "tmpfs", "-o", "size=2m,mode=0700", "tmpfs", str(state)]
    if subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("no tmpfs can be mounted here")
    yield state
    subprocess.run(["umount", str(state)], check=True)


def fill_disk(disk: Path) -> Path:
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
