"""Ids on tests: known, selected by, written into the report."""

import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest

from tests.seeded import mistakes
from tests.support import covers

ROOT = Path(__file__).parents[2]
TESTS = """\
import pytest


@pytest.mark.covers("B4")
def test_key_when_twice() -> None: ...


@pytest.mark.covers("row:B4", "F67")
@pytest.mark.parametrize("n", [pytest.param(1, marks=pytest.mark.covers("V9", "F67")), 2])
def test_kernel(n: int) -> None: ...


def test_nothing_of_the_programme() -> None: ...
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "pytest.ini").write_text("[pytest]\nmarkers = covers: ids\naddopts = -q\n")
    (tmp_path / "test_few.py").write_text(TESTS)
    return tmp_path


def run(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """pytest with the hooks, in a folder of its own."""
    command = [sys.executable, "-m", "pytest", "-p", "tests.support.covers", "--strict-markers"]
    command += ["-c", f"{folder}/pytest.ini", "-p", "no:cacheprovider", *words, f"{folder}"]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60)


def test_report_when_tests_carry_ids_then_each_has_its_own_once(folder: Path) -> None:
    assert run(folder, f"--junitxml={folder}/tests.xml").returncode == 0
    found = {
        case.get("name"): [p.get("value") for p in case.iter("property")]
        for case in ElementTree.parse(folder / "tests.xml").iter("testcase")
    }
    assert found == {
        "test_key_when_twice": ["B4"],
        "test_kernel[1]": ["row:B4 F67 V9"],
        "test_kernel[2]": ["row:B4 F67"],
        "test_nothing_of_the_programme": [],
    }


@pytest.mark.parametrize(
    ("ids", "names"),
    [
        ("B4", ["test_key_when_twice"]),
        ("row:B4", ["test_kernel[1]", "test_kernel[2]"]),
        ("V9", ["test_kernel[1]"]),
        ("B4,V9", ["test_key_when_twice", "test_kernel[1]"]),
    ],
)
def test_selection_when_by_id_then_a_row_and_a_bad_input_are_distinguished(
    folder: Path, ids: str, names: list[str]
) -> None:
    lines = run(folder, "--collect-only", "--covers", ids).stdout.splitlines()
    assert [line.partition("::")[2] for line in lines if "::" in line] == names


def test_collection_when_an_id_is_unknown_then_says_which_and_where(folder: Path) -> None:
    (folder / "test_few.py").write_text(TESTS.replace('"F67")\n@', '"F999")\n@'))
    for words in ((), ("-n", "1")):
        done = run(folder, *words)
        assert done.returncode != 0
        assert "test_few.py::test_kernel[1]: no id F999" in done.stdout


def test_selection_when_an_id_is_unknown_then_says_so(folder: Path) -> None:
    done = run(folder, "--covers", "F67,row:Z9")
    assert done.returncode == pytest.ExitCode.USAGE_ERROR
    assert "--covers: no id row:Z9" in done.stderr


def test_case_files_when_called_by_ids_then_carry_them() -> None:
    made = covers.cases([Path("B26-B34-same-address.yml"), Path("role.yml")])
    found = [[mark.args for mark in one.marks] for one in made]  # type: ignore[attr-defined]
    assert found == [[("B26", "B34")], []]


def test_ids_when_read_then_rows_and_programme_share_none() -> None:
    known = [one for section in covers.programme().values() for one in section]
    assert len(known) == len(set(known)) > 200
    assert covers.rows()["row:B4"].startswith("kernel")
    assert not {*known} & {*covers.rows()}


def test_seeded_mistakes_when_they_name_ids_then_there_are_such() -> None:
    named = {one for mistake in mistakes() for one in mistake.ids.split(", ")}
    assert covers.unknown(tuple(sorted(named))) == []
