"""The page of figures says what the suite's report says."""

import json
import os
from pathlib import Path

from tests.support.trust_report import ids, newest, page, programme, shown

REPORT = """<testsuites><testsuite>
<testcase classname="tests.unit.test_x" name="test_F1_F5_run_when_killed_then_goes_on"/>
<testcase classname="tests.unit.test_x" name="test_F5_job_when_orphan"><failure/></testcase>
<testcase classname="tests.unit.test_y" name="test_bad_input[B19_level]"/>
<testcase classname="tests.unit.test_y" name="test_S1_argv"><skipped/></testcase>
</testsuite></testsuites>"""


def test_ids_when_in_a_name_or_a_case_then_found_and_nothing_else() -> None:
    assert ids("test_F5_F8_up_when_killed[S24 clear text]") == {"F5", "F8", "S24"}
    assert ids("test_sha256_when_UTF8_then_PG15_holds") == set()


def test_page_when_made_then_counts_shown_failed_and_skipped(tmp_path: Path) -> None:
    (tmp_path / "tests.xml").write_text(REPORT)
    found = shown(tmp_path / "tests.xml")
    assert {one: entry.state for one, entry in found.items()} == {
        "F1": "shown",
        "F5": "FAILS",
        "B19": "shown",
        "S1": "skipped",
    }
    text = page(found, {"sweep": {"points": 3, "walks": []}}, "abc")
    total = len(programme()["faults"])
    assert f"| faults | 1 | {total} |" in text
    assert "F5 (FAILS)" in text and "S1 (skipped)" in text and "F2 (no test)" in text
    assert "- **sweep**: points 3" in text


def test_programme_when_read_then_no_id_stands_twice() -> None:
    known = [one for wanted in programme().values() for one in wanted]
    assert len(known) == len(set(known)) > 200


def test_sweeps_when_kinds_were_walked_on_different_days_then_each_walks_last_counts(
    tmp_path: Path,
) -> None:
    def kept(number: int, commit: str, *walks: tuple[str, str, int, list[str]]) -> None:
        keys = ("scenario", "kind", "points", "wrong")
        found = [{**dict(zip(keys, walk, strict=True)), "seconds": 1.0} for walk in walks]
        path = tmp_path / f"sweep-{number}.json"
        whole = {"commit": commit, "stride": 2 * number - 1, "points": 0, "walks": found}
        path.write_text(json.dumps(whole))
        os.utime(path, (number, number))

    kept(1, "one", ("install", "host", 3, ["no next command"]), ("install", "network", 3, []))
    kept(2, "two", ("install", "host", 4, []))
    sweep = newest(tmp_path)["sweep"]
    assert (sweep["points"], sweep["converged"]) == (7, 7)
    text = page({}, {"sweep": sweep}, "abc")
    assert "install, host: 4 points, a fault every 3, 1.0 s, commit two, converged" in text
    assert "install, network: 3 points, a fault every 1, 1.0 s, commit one, converged" in text
