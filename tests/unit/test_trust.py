"""The page of figures says what the suite's report says."""

import json
import os
from pathlib import Path

from tests.support.covers import programme
from tests.support.trust_report import evidence_by_id, latest_results, render_page

REPORT = """<testsuites><testsuite>
<testcase classname="tests.unit.test_x" name="test_run_when_killed_then_goes_on">
<properties><property name="covers" value="F1 F5"/></properties>
</testcase>
<testcase classname="tests.unit.test_x" name="test_job_when_orphan">
<properties><property name="covers" value="F5"/></properties>
<failure/></testcase>
<testcase classname="tests.unit.test_y" name="test_bad_input[B4-key-twice]">
<properties><property name="covers" value="B4"/></properties>
</testcase>
<testcase classname="tests.unit.test_y" name="test_kernel">
<properties><property name="covers" value="row:B4 S2"/></properties>
</testcase>
<testcase classname="tests.unit.test_y" name="test_argv">
<properties><property name="covers" value="S1"/></properties>
<skipped/></testcase>
<testcase classname="tests.unit.test_y" name="test_F23_is_a_word_of_its_name">
</testcase>
</testsuite></testsuites>"""


def test_page_when_made_then_counts_shown_failed_and_skipped(tmp_path: Path) -> None:
    (tmp_path / "tests.xml").write_text(REPORT)
    found = evidence_by_id(tmp_path / "tests.xml")
    assert {one: entry.state for one, entry in found.items()} == {
        "F1": "shown",
        "F5": "FAILS",
        "B4": "shown",
        "row:B4": "shown",
        "S2": "shown",
        "S1": "skipped",
    }
    text = render_page(found, {"sweep": {"points": 3, "walks": []}}, "abc")
    total = len(programme()["faults"])
    assert f"| faults | 1 | {total} |" in text
    assert "F5 (FAILS)" in text and "S1 (skipped)" in text and "F2 (no test)" in text
    assert "- **sweep**: points 3" in text
    assert "| B4 | 1 | kernel: " in text


def test_sweeps_when_kinds_were_walked_on_different_days_then_each_walks_last_counts(
    tmp_path: Path,
) -> None:
    def save_sweep(number: int, commit: str, *walks: tuple[str, str, int, list[str]]) -> None:
        keys = ("scenario", "kind", "points", "wrong")
        found = [{**dict(zip(keys, walk, strict=True)), "seconds": 1.0} for walk in walks]
        path = tmp_path / f"sweep-{number}.json"
        sweep = {"commit": commit, "stride": 2 * number - 1, "points": 0, "walks": found}
        path.write_text(json.dumps(sweep))
        os.utime(path, (number, number))

    save_sweep(1, "one", ("install", "host", 3, ["no next command"]), ("install", "network", 3, []))
    save_sweep(2, "two", ("install", "host", 4, []))
    sweep = latest_results(tmp_path)["sweep"]
    assert (sweep["points"], sweep["converged"]) == (7, 7)
    text = render_page({}, {"sweep": sweep}, "abc")
    assert "install, host: 4 points, a fault every 3, 1.0 s, commit two, converged" in text
    assert "install, network: 3 points, a fault every 1, 1.0 s, commit one, converged" in text
