"""`make trust`: what was shown, by id, from the suite's own report and the latest result files.

python -m tests.support.trust_report results/tests.xml results   writes docs/trust.md
"""

import json
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from tests.support.covers import programme, rows

TESTS_FOLDER = Path(__file__).parents[1]
PAGE = TESTS_FOLDER.parent / "docs" / "trust.md"


@dataclass
class Evidence:
    """The tests that carry one id."""

    passed: list[str] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)
    skipped: list[str] = field(default_factory=list)

    @property
    def state(self) -> str:
        if self.failed:
            return "FAILS"
        return "shown" if self.passed else "skipped" if self.skipped else "no test"


def ids_in(case: ElementTree.Element) -> list[str]:
    """What a test case of the report shows: its property `covers`, written by the marks' hook."""
    values = [p.get("value", "") for p in case.iter("property") if p.get("name") == "covers"]
    return [one for value in values for one in value.split()]


def evidence_by_id(report: Path) -> dict[str, Evidence]:
    """By id, from pytest's JUnit report."""
    found: dict[str, Evidence] = {}
    for case in ElementTree.parse(report).iter("testcase"):
        bad = case.find("failure") is not None or case.find("error") is not None
        skipped = case.find("skipped") is not None
        for id_ in ids_in(case):
            entry = found.setdefault(id_, Evidence())
            kind = entry.failed if bad else entry.skipped if skipped else entry.passed
            kind.append(f"{case.get('classname', '').removeprefix('tests.')}.{case.get('name')}")
    return found


def latest_results(folder: Path) -> dict[str, Mapping[str, Any]]:
    """The last result of each kind of run, by its name; of sweeps, of each walk."""
    found: dict[str, Mapping[str, Any]] = {}
    for path in sorted(folder.glob("*.json"), key=lambda path: path.stat().st_mtime):
        name, result = path.stem.split("-")[0], json.loads(path.read_text())
        found[name] = merge_sweeps(found.get(name, {}), result) if "walks" in result else result
    return found


def merge_sweeps(before: Mapping[str, Any], after: Mapping[str, Any]) -> Mapping[str, Any]:
    """Two sweeps as one: kinds may be walked on different days. Each walk names its commit."""
    shared = {name: after.get(name) for name in ("commit", "stride")}
    new = [{**shared, **walk} for walk in after["walks"]]
    replaced = {(walk["scenario"], walk["kind"]) for walk in new}
    remaining = [w for w in before.get("walks", ()) if (w["scenario"], w["kind"]) not in replaced]
    walks = [*remaining, *new]
    return {
        "points": sum(walk["points"] for walk in walks),
        "converged": sum(walk["points"] for walk in walks if not walk["wrong"]),
        "walks": walks,
    }


def render_page(
    tests: Mapping[str, Evidence], results: Mapping[str, Mapping[str, Any]], commit: str
) -> str:
    lines = [
        "# What was shown",
        "",
        f"Made by `make trust` or its parts, at commit {commit}. An id is",
        "of the trust programme: F a fault, B a bad input, S a security assertion, V an invariant;",
        "a test that shows one carries its id.",
        "",
        "| section | shown | of | not shown |",
        "|---|---|---|---|",
    ]
    for section, section_ids in programme().items():
        good = [one for one in section_ids if tests.get(one, Evidence()).state == "shown"]
        bad = [
            f"{one} ({tests.get(one, Evidence()).state})" for one in section_ids if one not in good
        ]
        lines.append(f"| {section} | {len(good)} | {len(section_ids)} | {', '.join(bad) or '-'} |")
    lines += ["", "## Runs of their own", "", *_runs(results), "", "## Tests by id", ""]
    lines += ["| id | tests that passed | one of them |", "|---|---|---|"]
    known = [one for ids in programme().values() for one in ids]
    for id_ in known:
        entry = tests.get(id_, Evidence())
        if entry.passed:
            example = entry.passed[0].partition("[")[0].rpartition(".")[2]
            lines.append(f"| {id_} | {len(entry.passed)} | `{example}` |")
    lines += ["", "## Rows of the runbook", "", "| row | tests that passed | what it is |"]
    lines.append("|---|---|---|")
    for row, text in rows().items():
        if passed := tests.get(row, Evidence()).passed:
            lines.append(f"| {row.removeprefix('row:')} | {len(passed)} | {text} |")
    rest = [r.removeprefix("row:") for r in rows() if not tests.get(r, Evidence()).passed]
    lines += ["", f"Rows that no test carries, or none passed: {', '.join(rest) or '-'}."]
    return "\n".join(lines) + "\n"


def _runs(results: Mapping[str, Mapping[str, Any]]) -> Iterable[str]:
    for name, found in sorted(results.items()):
        plain = {k: v for k, v in found.items() if isinstance(v, str | int | float)}
        yield f"- **{name}**: " + ", ".join(f"{k} {v}" for k, v in plain.items() if k != "version")
        for walk in found.get("walks", ()):
            state = "converged" if not walk["wrong"] else f"WRONG: {walk['wrong'][0][:120]}"
            yield (
                f"  - {walk['scenario']}, {walk['kind']}: {walk['points']} points,"
                f" a fault every {walk.get('stride') or 1}, {walk['seconds']} s,"
                f" commit {walk.get('commit', '?')}, {state}"
            )


def main(report: str, folder: str, commit: str) -> int:
    evidence = evidence_by_id(Path(report))
    PAGE.write_text(render_page(evidence, latest_results(Path(folder)), commit))
    return 1 if any(entry.failed for entry in evidence.values()) else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:4]))
