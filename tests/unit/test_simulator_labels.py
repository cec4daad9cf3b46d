"""Labels and selectors."""

import pytest

from pgprovision.lab.cloud.errors import ApiError
from pgprovision.lab.cloud.labels import check_labels, parse_selector

_LABELS = {"role": "db", "empty": "", "example.com/zone": "eu-1"}


@pytest.mark.parametrize(
    ("selector", "matches"),
    [
        ("role==db", True),
        ("role=db", True),
        ("role = db", True),
        ("role!=db", False),
        ("absent!=db", True),
        ("role", True),
        ("!role", False),
        ("!absent", True),
        ("empty=", True),
        ("role=", False),
        ("role in (web,db)", True),
        ("role in (web, db)", True),
        ("role notin (web,db)", False),
        ("absent notin (web,db)", True),
        ("role=db,empty,!absent", True),
        ("role in (web,db),role!=db", False),
        ("example.com/zone=eu-1", True),
    ],
)
def test_selector_when_matched_then_as_documented(selector: str, matches: bool) -> None:
    assert parse_selector(selector)(_LABELS) is matches


@pytest.mark.parametrize("selector", ["role db", "=db", "role in db", "role=a=b", "a,,b", "-a"])
def test_selector_when_malformed_then_invalid_input(selector: str) -> None:
    with pytest.raises(ApiError) as caught:
        parse_selector(selector)
    assert caught.value.code == "invalid_input"


@pytest.mark.parametrize(
    "labels",
    [{"": "x"}, {"a b": "x"}, {"a": "b c"}, {"a": "x" * 64}, {"hetzner.cloud/a": "b"}, {"a": 1}],
)
def test_labels_when_not_allowed_then_invalid_input(labels: dict[str, object]) -> None:
    with pytest.raises(ApiError):
        check_labels(labels)


def test_labels_when_allowed_then_returned() -> None:
    assert check_labels(_LABELS) == _LABELS
