"""Every kind of resource is under the laws: a hand breaks it, or the registry says why not."""

from pathlib import Path

from tests.support.cases import resource_classes
from tests.support.manual_changes import COMMON_CHANGES, NOT_TESTED_BY_HAND, RARE_CHANGES, Drift

ROOT = Path(__file__).parent.parent.parent
REGISTRY = "tests/support/manual_changes.py"


def test_every_kind_when_counted_is_broken_by_a_hand_or_shown_apart() -> None:
    kinds = {one.kind for one in resource_classes().values()}
    named: list[Drift] = [case.values[1] for case in (*COMMON_CHANGES, *RARE_CHANGES)]  # type: ignore[misc]
    broken = {kind for one in named for _, kind, _ in one}
    apart = set(NOT_TESTED_BY_HAND)
    missing = kinds - broken - apart
    assert not missing, f"add to {REGISTRY} (RARE_CHANGES or NOT_TESTED_BY_HAND): {missing}"
    assert apart - kinds == set(), "no such kind any more"
    assert broken - kinds == set(), "no such kind any more"
    assert broken & apart == set(), "broken by a hand, and said to be shown apart"


def test_every_kind_when_shown_apart_names_a_test_that_is_there() -> None:
    named = {
        word.rstrip(":")
        for text in NOT_TESTED_BY_HAND.values()
        for word in text.split()
        if word.startswith("tests/")
    }
    assert [path for path in sorted(named) if not (ROOT / path).exists()] == []
