"""Every case file of tests/cases: the loop compares what is declared with what a look shows."""

from pathlib import Path
from typing import Any

import pytest

from pgprovision.engine.model import Diff
from tests.support.case_values import CaseError
from tests.support.cases import Case, case_files
from tests.support.covers import cases

CASE: dict[str, Any] = {"resource": "Clock", "observed": {"answer": {"code": 3}}, "differs": []}


@pytest.mark.parametrize("file", cases(case_files()))
def test_case_when_compared_then_exactly_this_follows(file: Path) -> None:
    case = Case.read(file)
    assert case.outcome() == case.expected()


@pytest.mark.parametrize("file", cases(case_files()))
def test_case_when_its_host_is_not_there_yet_then_the_plan_can_be_made(file: Path) -> None:
    resource = Case.read(file).resource()
    if (after := resource.desired()) is not None:
        assert all(action.why for action in resource.change(Diff(None, after)))


def test_cases_when_collected_then_each_file_of_a_room_is_one() -> None:
    """What is called otherwise would never run; `inputs` has its own test."""
    folder = Path(__file__).parents[1] / "cases"
    apart = {*folder.glob("*/_defaults.yml"), *folder.glob("inputs/*"), *folder.glob("*.yml")}
    files = {path for path in folder.rglob("*") if path.is_file()}
    assert files - apart == {*case_files()}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"remarks": []}, "a case has no remarks; it has: resource, desired"),
        ({"resource": "Clocks"}, "resource: no class Clocks in pgprovision.resources"),
        (
            {"resource": "Slot"},
            "resource: Slot is of postgres: its cases go into tests/cases/p",
        ),
        ({"observed": {"look": {}}}, "observed has no look; it has: answer, objects"),
        ({"observed": {"answer": {"exit": 3}}}, "answer has no exit; it has: code, out, err"),
        ({"desired": {"port": 1}}, "desired: Clock has no port; it has: on"),
        ({"resource": "Unit", "desired": {"unit": 5}}, "desired: unit: expected str, not 5"),
        ({"resource": "File", "desired": {}}, "desired: File needs path: str"),
        ({"facts": {"uptime": "1"}}, "facts: Clock needs no uptime"),
    ],
)
def test_case_when_a_key_or_class_is_not_known_then_it_says_which(
    tmp_path: Path, change: dict[str, Any], message: str
) -> None:
    file = tmp_path / "system" / "a.yml"
    file.parent.mkdir()
    file.write_text(str({**CASE, **change}))  # YAML reads it too
    with pytest.raises(CaseError) as caught:
        Case.read(file).outcome()
    assert str(caught.value).startswith(f"{file}: {message}")


def test_case_when_another_thing_follows_then_it_fails() -> None:
    case = Case(Path("system/a.yml"), {**CASE, "differs": ["daemon"]})
    assert case.outcome() != case.expected()


def test_case_when_refused_otherwise_then_it_shows_the_refusal() -> None:
    content = {"resource": "Unit", "observed": {"answer": {"code": 1}}, "refused": "another reason"}
    case = Case(Path("system/a.yml"), content)
    assert "systemd" in case.outcome()["refused"]
    with pytest.raises(AssertionError):
        assert case.outcome() == case.expected()
