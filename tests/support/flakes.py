"""Tell flaky tests from failing ones: `python -m tests.support.flakes PYTEST-OPTIONS`.

Runs pytest, then once more what failed, alone. A test that passes then is a flake: it is counted
and named, and fails the run unless tests/flaky.toml lists it with a reason. So a second try never
turns a run green without a word. The report of the first run (--junitxml) stays as it was.
"""

import json
import os
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import pytest

FLAKY_LIST = Path(__file__).parents[1] / "flaky.toml"
OUTCOMES_VARIABLE = "PGP_TEST_OUTCOMES"  # the file that a run's outcomes are written to
FAILED_TESTS = 1  # pytest's exit code where tests ran and some failed
KEYS = {"test": str, "reason": str, "since": date}


@dataclass(frozen=True)
class KnownFlake:
    """A test that may fail once."""

    test: str
    """Its node id; without [parameters] it stands for all of them."""
    reason: str
    """Why it fails at times."""
    since: date
    """When it was listed."""

    def matches(self, node_id: str) -> bool:
        return self.test in (node_id, node_id.partition("[")[0])


@dataclass(frozen=True)
class Outcomes:
    """How the tests of one run ended, by node id."""

    failed: frozenset[str]
    """Failed, or had an error before or after."""
    passed: frozenset[str]
    """Passed, with everything around them."""


@dataclass(frozen=True)
class Verdict:
    """What two runs say."""

    failed: tuple[str, ...]
    """Did not pass the second time either."""
    unlisted: tuple[str, ...]
    """Passed the second time, and are not in the list."""
    listed: Mapping[str, KnownFlake]
    """Passed the second time, and are in the list."""

    @property
    def flaky(self) -> tuple[str, ...]:
        return tuple(sorted({*self.unlisted, *self.listed}))

    @property
    def exit_code(self) -> int:
        return 1 if self.failed or self.unlisted else 0

    def lines(self) -> Iterable[str]:
        """For people."""
        yield f"{len(self.flaky)} flaky: {', '.join(self.flaky) or 'none'}"
        for test, known in sorted(self.listed.items()):
            yield f"  {test}: listed since {known.since}: {known.reason}"
        for test in self.unlisted:
            yield f"  {test}: failed, passed alone, and is not listed in tests/flaky.toml"
        if self.failed:
            yield f"{len(self.failed)} failed twice: {', '.join(self.failed)}"


def judge(first: Outcomes, second: Outcomes, known: Sequence[KnownFlake]) -> Verdict:
    """What failed in the first run, by how it ended in the second. A test that did not run there,
    or was skipped, has not passed."""
    flaky = first.failed & (second.passed - second.failed)
    listed = {test: k for test in flaky for k in known if k.matches(test)}
    return Verdict(
        failed=tuple(sorted(first.failed - flaky)),
        unlisted=tuple(sorted(flaky - listed.keys())),
        listed=listed,
    )


def read_known_flakes(path: Path = FLAKY_LIST) -> tuple[KnownFlake, ...]:
    """The list. Raises ValueError for an entry without a test, a reason or a date."""
    entries = tomllib.loads(path.read_text()).get("flaky", [])
    for entry in entries:
        wrong = [key for key, kind in KEYS.items() if not isinstance(entry.get(key), kind)]
        wrong += [key for key in ("test", "reason") if entry.get(key) == ""]
        if wrong or entry.keys() - KEYS:
            raise ValueError(f"{path}: {entry}: expected test, reason and since (a date)")
    return tuple(KnownFlake(**entry) for entry in entries)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Writes the outcomes of this run, where somebody asked for them."""
    if path := os.environ.get(OUTCOMES_VARIABLE):
        ids = {
            kind: [report.nodeid for report in terminalreporter.getreports(kind)]
            for kind in ("failed", "error", "passed")
        }
        failed = sorted({*ids["failed"], *ids["error"]})
        passed = sorted({*ids["passed"]} - {*failed})
        Path(path).write_text(json.dumps({"failed": failed, "passed": passed}))


RunPytest = Callable[[Sequence[str]], tuple[int, Outcomes]]


def run_pytest(arguments: Sequence[str]) -> tuple[int, Outcomes]:
    """pytest's exit code, and how its tests ended."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "outcomes.json")
        command = [sys.executable, "-m", "pytest", "-p", "tests.support.flakes", *arguments]
        done = subprocess.run(command, env={**os.environ, OUTCOMES_VARIABLE: str(path)})
        content = json.loads(path.read_text()) if path.exists() else {}
    sets = {key: frozenset(content.get(key, ())) for key in ("failed", "passed")}
    return done.returncode, Outcomes(**sets)


def main(
    arguments: Sequence[str],
    run: RunPytest = run_pytest,
    known: Sequence[KnownFlake] | None = None,
) -> int:
    """The exit code of both runs: 0 where all passed, or failed once and are listed."""
    known = read_known_flakes() if known is None else known
    code, first = run(arguments)
    if code != FAILED_TESTS or not first.failed:
        return code
    print(f"once more, alone: the {len(first.failed)} that failed", flush=True)
    _, second = run(["-rs", *sorted(first.failed)])
    verdict = judge(first, second, known)
    print("\n".join(verdict.lines()), flush=True)
    return verdict.exit_code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
