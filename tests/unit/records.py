"""Records of small runs, for tests."""

import json
from pathlib import Path
from typing import Any

import pytest

from pgprovision.model import Change, Diff, Impact, State
from pgprovision.record import Record, folder
from tests.unit.world import Thing

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
