"""The record: on disk before each act, private, append-only, and a full disk stops the run."""

import json
import os
import re
import stat
import subprocess
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from pgprovision.engine.loop import converge
from pgprovision.engine.model import Action, Impact, Tier
from pgprovision.errors import PgprovisionError, Refused
from pgprovision.record import RecordWriter, chain, read_runs, verify, verifying
from pgprovision.run.observers import RunObservers
from tests.support import reference_docs
from tests.support.fake_resources import FakeResource, FakeTarget, RecordingObserver
from tests.support.run_records import (
    CLUSTER,
    fill_disk,
    finished_run,
    make_change,
    read_lines,
    small_disk,
    state,
)

__all__ = ["small_disk", "state"]


@dataclass
class Reading(FakeTarget):
    """A world that looks into the record at the moment it is acted on."""

    record: Path | None = None
    inside: str = ""

    def act(self, actions: Sequence[Action], on_done: Callable[[Action], None]) -> None:
        assert self.record
        self.inside = self.record.read_text()
        super().act(actions, on_done)


def run(world: FakeTarget, record: RecordWriter) -> None:
    things = (FakeResource(on="h", object_name="x"), FakeResource(on="h", object_name="y"))
    watchers = RunObservers([record, RecordingObserver()])
    converge([Tier("things", things)], {"h": world}, lambda changes: Impact.RESTART, watchers)


@pytest.mark.covers("V19")
def test_act_when_it_is_sent_then_it_is_in_the_record_and_not_yet_done() -> None:
    record = RecordWriter(CLUSTER, "up")
    world = Reading("h", record=record.path)
    run(world, record)
    events = [json.loads(line) for line in world.inside.splitlines()]
    assert [e["resource"] for e in events if e["event"] == "acting"] == ["thing x", "thing y"]
    assert not [e for e in events if e["event"] == "done"]
    assert record.path.read_text().startswith(world.inside)  # nothing written is rewritten


@pytest.mark.covers("V19")
def test_record_when_a_run_ends_then_one_line_per_event_in_order() -> None:
    record = finished_run("x", "y")
    events = [line["event"] for line in read_lines(record.path)]
    assert events == ["begin", "tier", "acting", "acting", "done", "done", "end"]
    assert [line["n"] for line in read_lines(record.path)] == [1, 2, 3, 4, 5, 6, 7]


def test_record_when_written_then_every_line_is_handed_to_the_copy_after_it_is_on_disk() -> None:
    copied: list[tuple[str, bool]] = []

    def copy(line: str) -> None:
        on_disk = any(f"{line}\n" in run.read_text() for run in folder.glob("*.jsonl"))
        copied.append((line, on_disk))

    folder = read_folder()
    record = RecordWriter(CLUSTER, "up", on_line=copy)
    record.acting([make_change()])
    record.end("done", 0.1)
    assert [line for line, _ in copied] == record.path.read_text().splitlines()
    assert all(on_disk for _, on_disk in copied)


def read_folder() -> Path:
    return finished_run().path.parent


def test_begin_when_read_then_it_says_who_from_where_what_and_how_it_was_approved(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("SSH_CLIENT", "10.0.0.5 50000 22")
    monkeypatch.setenv("SUDO_USER", "alice")
    before = finished_run()
    begin = read_lines(finished_run("x", "y").path)[0]
    assert begin["who"].endswith("(sudo by alice)")
    assert (begin["ssh_client"], begin["approved"]) == ("10.0.0.5", "--yes")
    assert (begin["argv"], begin["scope"]) == (["-i", "prod", "up", "--yes"], ["h"])
    assert [one["resource"] for one in begin["plan"]] == ["thing x", "thing y"]
    assert begin["after"] == before.id


@pytest.mark.parametrize(
    ("argv", "approved"),
    [
        (["up"], "prompt"),
        (["up", "-y"], "-y"),
        (["re-clone", "db-2", "--confirm=db-2"], "--confirm"),
        (["up", "--plan", "tonight"], "--plan"),
    ],
)
def test_approval_when_the_command_line_tells_then_it_is_recorded(
    argv: list[str], approved: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.argv", ["pgprovision", *argv])
    assert read_lines(finished_run().path)[0]["approved"] == approved


def test_end_when_something_is_left_then_both_files_say_what_and_why() -> None:
    record = RecordWriter(CLUSTER, "up")
    record.target_failed("h", PgprovisionError("no answer"))
    record.end("left", 2.0, left=[make_change("y")], failure=PgprovisionError("it broke"))
    end = read_lines(record.path)[-1]
    assert [one["resource"] for one in end["left"]] == ["thing y"]
    text = record.text_path.read_text()
    assert "remaining: + h: thing y" in text
    assert "it broke" in text
    assert "FAILED: h: PgprovisionError: no answer" in text


def test_readable_when_the_run_ends_then_it_is_what_runs_show_prints() -> None:
    record = finished_run("x")
    [run] = read_runs(record.path.parent)
    assert record.text_path.read_text() == run.text
    for words in (
        "approved  --yes",
        "applying: + h: thing x",
        "action: set x.a",
        "to undo: created by this run",
    ):
        assert words in run.text


@pytest.mark.covers("S50")
def test_folders_and_files_when_written_then_nobody_else_can_enter(state: Path) -> None:
    old = os.umask(0)
    try:
        finished_run()
    finally:
        os.umask(old)
    every = subprocess.run(
        ["find", str(state.parents[2]), "-perm", "/go=rwx"], capture_output=True, check=True
    )
    assert every.stdout == b""
    assert len(list(state.iterdir())) == 3


@pytest.mark.covers("F13")
def test_disk_when_full_then_the_run_is_refused_before_the_first_act(small_disk: Path) -> None:
    before = finished_run().id
    fill_disk(small_disk)
    with pytest.raises(Refused, match=r"(?s)No space left.*nothing was changed.*free disk space"):
        RecordWriter(CLUSTER, "up")
    assert [run.id for run in read_runs(small_disk)] == [before]
    assert all(verdict.valid for verdict in verify(small_disk))


@pytest.mark.covers("F13")
def test_disk_when_it_fills_in_mid_run_then_nothing_more_is_sent(small_disk: Path) -> None:
    record = RecordWriter(CLUSTER, "up")
    ballast = fill_disk(small_disk)
    world = FakeTarget("h")
    # The page that was begun has room yet: the lines of these names have not.
    things = [FakeResource(on="h", object_name=name * 3000) for name in ("x", "y")]
    with pytest.raises(PgprovisionError, match="nothing more is changed"):
        converge(
            [Tier("things", tuple(things))],
            {"h": world},
            lambda changes: Impact.RESTART,
            RunObservers([record, RecordingObserver()]),
        )
    assert world.acts == []
    record.end("PgprovisionError", 0.1)  # reported already: raises nothing, hides nothing
    ballast.unlink()
    finished_run()
    assert all(verdict.valid for verdict in verify(small_disk)), verify(small_disk)


@pytest.mark.covers("F13")
def test_disk_when_there_is_room_again_then_no_half_line_is_left(small_disk: Path) -> None:
    record = RecordWriter(CLUSTER, "up")
    ballast = fill_disk(small_disk)
    with pytest.raises(PgprovisionError, match="nothing more is changed"):
        record.acting([make_change("x" * 9000)])
    ballast.unlink()
    record.end("PgprovisionError", 0.1)
    assert [line["event"] for line in read_lines(record.path)] == ["begin", "end"]
    assert [verdict.state for verdict in verify(small_disk)] == ["ok"]


@pytest.mark.covers("F13")
def test_disk_when_it_takes_only_a_part_then_that_is_an_error(small_disk: Path) -> None:
    ballast = fill_disk(small_disk)
    os.truncate(ballast, ballast.stat().st_size - 4096)
    file = os.open(small_disk / "file", os.O_WRONLY | os.O_CREAT)
    try:
        with pytest.raises(OSError, match="No space left"):
            chain.write_all(file, b"x" * 4097)
    finally:
        os.close(file)


def test_files_when_made_then_they_are_private_whatever_the_umask() -> None:
    record = finished_run()
    for path in (record.path, record.text_path, record.path.parent / "head"):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_page_when_a_record_is_written_then_every_field_of_it_is_explained() -> None:
    page = (reference_docs.DOCS / "records.md").read_text()
    record = RecordWriter(CLUSTER, "up", plan=[make_change()])
    record.tier_started(Tier("things", ()))
    record.acting([make_change()])
    record.action_done(make_change(), make_change().actions[0])
    record.target_failed("h", PgprovisionError("no answer"))
    record.end("PgprovisionError", 0.1, failure=PgprovisionError("no answer"))
    for line in read_lines(record.path):
        [row] = [row for row in page.splitlines() if row.startswith(f"| `{line['event']}` |")]
        unsaid = line.keys() - set(re.findall(r"`(\w+)`", row))
        assert unsaid == {"at", "event", "n", "prev"}
    judge = Path(verifying.__file__).read_text()
    states = {*verifying.VALID_STATES, *re.findall(r'(?:return |HEAD, |run, )"(\w+)"', judge)}
    assert states <= set(re.findall(r"(?m)^\| `([\w ]+)` \| (?:yes|no) \|", page))
    assert len(states) > 6
