"""What failed and then passed is a flake: counted, named, and green only where it is listed."""

import os
import subprocess
import sys
from collections.abc import Sequence
from datetime import date
from pathlib import Path

import pytest

from tests.support import flakes
from tests.support.flakes import KnownFlake, Outcomes, Verdict, judge, read_known_flakes

ROOT = Path(__file__).parents[2]
SLOW = KnownFlake("tests/a.py::test_slow", "the disk", date(2026, 12, 1))


def outcomes(failed: str = "", passed: str = "") -> Outcomes:
    return Outcomes(
        frozenset(f"tests/a.py::{name}" for name in failed.split()),
        frozenset(f"tests/a.py::{name}" for name in passed.split()),
    )


class TestJudge:
    @pytest.mark.parametrize(
        ("first", "second", "exit_code", "first_line"),
        [
            (
                outcomes("test_slow"),
                outcomes(passed="test_slow"),
                0,
                "1 flaky: tests/a.py::test_slow",
            ),
            (
                outcomes("test_slow[1] test_slow[2]"),
                outcomes(passed="test_slow[1] test_slow[2]"),
                0,
                "2 flaky: tests/a.py::test_slow[1], tests/a.py::test_slow[2]",
            ),
            (outcomes("test_x"), outcomes(passed="test_x"), 1, "1 flaky: tests/a.py::test_x"),
            (
                outcomes("test_slow test_x"),
                outcomes(passed="test_slow test_x"),
                1,
                "2 flaky: tests/a.py::test_slow, tests/a.py::test_x",
            ),
            (outcomes("test_slow"), outcomes("test_slow"), 1, "0 flaky: none"),
            (
                outcomes("test_slow test_x"),
                outcomes("test_x", passed="test_slow"),
                1,
                "1 flaky: tests/a.py::test_slow",
            ),
        ],
    )
    def test_judge_when_run_twice_then_only_listed_flakes_are_green(
        self, first: Outcomes, second: Outcomes, exit_code: int, first_line: str
    ) -> None:
        verdict = judge(first, second, [SLOW])
        assert (verdict.exit_code, next(iter(verdict.lines()))) == (exit_code, first_line)

    @pytest.mark.parametrize(
        "second", [outcomes(), outcomes("test_slow", passed="test_slow"), outcomes(passed="test_y")]
    )
    def test_judge_when_it_did_not_pass_the_second_time_then_is_a_failure(
        self, second: Outcomes
    ) -> None:
        """Not collected, skipped, or an error in its teardown."""
        verdict = judge(outcomes("test_slow"), second, [SLOW])
        assert (verdict.exit_code, verdict.failed) == (1, ("tests/a.py::test_slow",))

    def test_lines_when_there_are_all_kinds_then_each_is_named_with_its_reason(self) -> None:
        verdict = Verdict(failed=("c",), unlisted=("b",), listed={"a": SLOW})
        assert list(verdict.lines()) == [
            "2 flaky: a, b",
            "  a: listed since 2026-12-01: the disk",
            "  b: failed, passed alone, and is not listed in tests/flaky.toml",
            "1 failed twice: c",
        ]


class TestList:
    def test_list_when_it_ships_then_every_entry_names_a_test_that_exists(self) -> None:
        for known in read_known_flakes():
            path, _, name = known.test.partition("::")
            function = name.rpartition("::")[2].partition("[")[0]
            assert f"def {function}(" in (ROOT / path).read_text(), known.test

    @pytest.mark.parametrize(
        "entry",
        [
            'test = "a"\nsince = 2026-12-01',
            'test = "a"\nreason = ""\nsince = 2026-12-01',
            'test = "a"\nreason = "b"\nsince = "lately"',
            'test = "a"\nreason = "b"\nsince = 2026-12-01\nuntil = 2027-01-01',
        ],
    )
    def test_list_when_an_entry_has_no_reason_or_date_then_is_refused(
        self, entry: str, tmp_path: Path
    ) -> None:
        path = tmp_path / "flaky.toml"
        path.write_text(f"[[flaky]]\n{entry}\n")
        with pytest.raises(ValueError, match="expected test, reason and since"):
            read_known_flakes(path)

    def test_list_when_an_entry_is_whole_then_is_read(self, tmp_path: Path) -> None:
        path = tmp_path / "flaky.toml"
        path.write_text('[[flaky]]\ntest = "a"\nreason = "b"\nsince = 2026-12-01\n')
        assert read_known_flakes(path) == (KnownFlake("a", "b", date(2026, 12, 1)),)


class TestMain:
    def run(
        self, *results: tuple[int, Outcomes], known: Sequence[KnownFlake] = ()
    ) -> tuple[int, list[list[str]]]:
        left, calls = list(results), list[list[str]]()

        def run(arguments: Sequence[str]) -> tuple[int, Outcomes]:
            calls.append(list(arguments))
            return left.pop(0)

        return flakes.main(["-n", "3", "--junitxml=x"], run, known), calls

    def test_main_when_all_pass_then_there_is_no_second_run(self) -> None:
        assert self.run((0, outcomes(passed="test_x"))) == (0, [["-n", "3", "--junitxml=x"]])

    def test_main_when_pytest_itself_fails_then_its_exit_code_stays(self) -> None:
        assert self.run((4, outcomes()))[0] == 4
        assert self.run((2, outcomes("test_x")))[0] == 2

    def test_main_when_some_fail_then_those_alone_run_again_and_the_report_stays(
        self, capsys: pytest.CaptureFixture[str]
    ) -> None:
        code, calls = self.run((1, outcomes("test_x")), (0, outcomes(passed="test_x")))
        assert (code, calls[1:]) == (1, [["-rs", "tests/a.py::test_x"]])
        assert "1 flaky: tests/a.py::test_x" in capsys.readouterr().out

    def test_main_when_all_that_failed_are_listed_and_pass_then_is_green(self) -> None:
        results = ((1, outcomes("test_slow")), (0, outcomes(passed="test_slow")))
        assert self.run(*results, known=[SLOW])[0] == 0
        assert self.run(*results)[0] == 1


FLAKY_TEST = """
from pathlib import Path

import pytest


@pytest.mark.parametrize("n", [1, 2])
def test_flaky(n):
    marker = Path(__file__).with_name(f"ran{n}")
    if not marker.exists():
        marker.touch()
        raise AssertionError("the first time")


def test_steady():
    pass
"""


def test_flakes_when_real_tests_fail_once_then_they_are_named_and_the_run_is_red(
    tmp_path: Path,
) -> None:
    (tmp_path / "test_it.py").write_text(FLAKY_TEST)
    report = tmp_path / "report.xml"
    options = ["--rootdir", str(tmp_path), "-p", "no:cacheprovider", f"--junitxml={report}"]
    done = subprocess.run(
        [sys.executable, "-m", "tests.support.flakes", *options, str(tmp_path / "test_it.py")],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
    )
    assert "2 flaky: test_it.py::test_flaky[1], test_it.py::test_flaky[2]" in done.stdout
    assert done.returncode == 1
    assert 'tests="3"' in report.read_text()
    assert 'failures="2"' in report.read_text()
