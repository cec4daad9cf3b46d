"""How to undo: what there is a way back for, and honest where there is none."""

import importlib
import pkgutil
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import pytest

from pgprovision import resources
from pgprovision.engine.model import Action, Change, Diff, Impact, Resource, State, WithSecrets
from pgprovision.record.undo import BACKUP_KINDS, CLOUD_TARGET, DATA_KINDS, EFFECT_KINDS, undo_hint
from pgprovision.resources.hetzner import hetzner_resource
from tests.support.fake_resources import FakeResource


@dataclass(frozen=True, kw_only=True)
class Like(FakeResource, WithSecrets):
    """Of any kind, with keys that are secret."""

    secret: frozenset[str] = frozenset()

    @property
    def secret_keys(self) -> frozenset[str]:
        return self.secret


def way_back(
    before: State | None,
    after: State | None,
    *,
    kind: str = "thing",
    on: str = "db-1",
    impact: Impact = Impact.NONE,
    secret: Iterable[str] = (),
) -> str:
    sort: Any = type("Sort", (Like,), {"kind": kind})
    thing = sort(on=on, object_name="x", secret=frozenset(secret))
    return undo_hint(Change(thing, Diff(before, after), (Action("do it", "true", impact=impact),)))


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        ({"limit": 100, "b": 1}, {"limit": 500, "b": 1}, "set in the inventory: limit = 100; then"),
        ({"limit": None}, {"limit": 5}, "set in the inventory: limit = (absent);"),
        ({"names": ("a", "b")}, {"names": ()}, 'set in the inventory: names = ["a", "b"];'),
        (
            {"text": "line\n" * 50},
            {"text": ""},
            "set in the inventory: text = (what `before` shows);",
        ),
        ({"limit": 1}, None, "declare it in the inventory again"),
        (None, {"limit": 1}, "created by this run"),
    ],
)
def test_undo_when_something_was_changed_then_it_names_the_way_back(
    before: State | None, after: State | None, expected: str
) -> None:
    assert expected in way_back(before, after)


def test_undo_when_it_was_a_secret_then_it_says_that_it_is_not_in_the_record() -> None:
    changed = way_back({"content": "sha256:1"}, {"content": "sha256:2"}, secret=["content"])
    removed = way_back({"content": "sha256:1"}, None, secret=["content"])
    assert "content = (a secret: not in the record)" in changed
    assert "is not in the record" in removed
    assert "sha256" not in changed + removed


def test_undo_when_the_way_back_is_a_restart_then_it_says_so() -> None:
    assert "a restart again" in way_back({"a": 1}, {"a": 2}, impact=Impact.RESTART)
    assert "restart" not in way_back({"a": 1}, {"a": 2})


@pytest.mark.parametrize(
    ("before", "after", "kind", "on", "expected"),
    [
        ({"id": 7}, None, "deletion of", CLOUD_TARGET, "cannot be undone"),
        (None, {"role": "standby"}, "standby", "db-2", "aside"),
    ],
)
def test_undo_when_it_destroyed_something_then_it_says_what_is_left(
    before: State | None, after: State | None, kind: str, on: str, expected: str
) -> None:
    assert expected in way_back(before, after, kind=kind, on=on, impact=Impact.DESTROY)


@pytest.mark.parametrize(
    ("kind", "on", "expected"),
    [
        ("standby", "db-2", "no command deletes data"),
        ("PostgreSQL cluster", "db-1", "no command deletes data"),
        ("first backup", "db-1", "retention"),
        ("role", "db-1", "present: false"),
        ("server", CLOUD_TARGET, "pgprovision destroy"),
        ("postmaster", "db-1", "nothing to undo here"),
    ],
)
def test_undo_when_made_from_nothing_then_the_way_back_is_its_kinds(
    kind: str, on: str, expected: str
) -> None:
    assert expected in way_back(None, {"a": 1}, kind=kind, on=on)


def test_kinds_when_undo_knows_them_then_they_are_there() -> None:
    for module in pkgutil.walk_packages(resources.__path__, "pgprovision.resources."):
        importlib.import_module(module.name)
    kinds = {
        getattr(one, "kind", "") for first in Resource.__subclasses__() for one in below(first)
    }
    assert EFFECT_KINDS | DATA_KINDS | {*BACKUP_KINDS, "role"} <= kinds
    assert hetzner_resource.HETZNER == CLOUD_TARGET


def below(kind: type[Resource]) -> set[type[Resource]]:
    return {kind}.union(*(below(one) for one in kind.__subclasses__()))
