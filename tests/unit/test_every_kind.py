"""Every class of resource is under the laws: a hand breaks it, or it is said why not and where."""

from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from pkgutil import walk_packages

from pgprovision import resources
from pgprovision.engine.model import Resource
from tests.support.manual_changes import COMMON_CHANGES, NOT_TESTED_BY_HAND, RARE_CHANGES, Drift

ROOT = Path(__file__).parent.parent.parent


def classes(of: type) -> Iterator[type]:
    below: list[type] = of.__subclasses__()
    for one in below:
        yield one
        yield from classes(one)


def kinds() -> set[str]:
    for module in walk_packages(resources.__path__, f"{resources.__name__}."):
        import_module(module.name)
    ours = (one for one in classes(Resource) if one.__module__.startswith(resources.__name__))
    return {vars(one)["kind"] for one in ours if "kind" in vars(one)}


def test_every_kind_when_counted_is_broken_by_a_hand_or_shown_apart() -> None:
    named: list[Drift] = [case.values[1] for case in (*COMMON_CHANGES, *RARE_CHANGES)]  # type: ignore[misc]
    broken = {kind for one in named for _, kind, _ in one}
    assert kinds() - broken - set(NOT_TESTED_BY_HAND) == set()
    assert set(NOT_TESTED_BY_HAND) - kinds() == set(), "no such kind any more"
    assert broken & set(NOT_TESTED_BY_HAND) == set(), "broken by a hand, and said to be shown apart"


def test_every_kind_when_shown_apart_names_a_test_that_is_there() -> None:
    named = {
        word.rstrip(":")
        for text in NOT_TESTED_BY_HAND.values()
        for word in text.split()
        if word.startswith("tests/")
    }
    assert [path for path in sorted(named) if not (ROOT / path).exists()] == []
