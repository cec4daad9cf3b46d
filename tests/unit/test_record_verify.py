"""Records that were tampered with are found out; records that were not are left in peace."""

import hashlib
import json
import random
from collections.abc import Callable
from pathlib import Path

import pytest

from pgprovision.engine.model import Tier
from pgprovision.record import RecordWriter, find_runs, read_runs, verify
from tests.support.run_records import CLUSTER, finished_run, make_change, state

__all__ = ["state"]

Tamper = Callable[[Path], None]


def states(folder: Path) -> dict[str, str]:
    return {verdict.id: verdict.state for verdict in verify(folder)}


def edit(old: bytes, new: bytes) -> Tamper:
    def tamper(path: Path) -> None:
        data = path.read_bytes()
        assert old in data
        path.write_bytes(data.replace(old, new))

    return tamper


def order(*lines: int) -> Tamper:
    """The lines that are kept, in this order."""

    def tamper(path: Path) -> None:
        every = path.read_bytes().splitlines(keepends=True)
        path.write_bytes(b"".join(every[n - 1] for n in lines))

    return tamper


def renumbered(path: Path) -> None:
    """Cut in the middle by somebody who puts the numbers right."""
    every = [json.loads(line) for line in path.read_bytes().splitlines()]
    del every[2]
    for number, line in enumerate(every, 1):
        line["n"] = number
    path.write_text("".join(json.dumps(line) + "\n" for line in every))


def goes_on(path: Path) -> None:
    """After its end, with everything right."""
    last = path.read_bytes().splitlines()[-1]
    line = {"n": 6, "prev": hashlib.sha256(last).hexdigest(), "event": "done"}
    with path.open("a") as file:
        file.write(json.dumps(line) + "\n")


def half_a_line(path: Path) -> None:
    with path.open("ab") as file:
        file.write(b"half")


def without_digests(path: Path) -> None:
    every = [json.loads(line) for line in path.read_bytes().splitlines()]
    for line in every:
        del line["prev"]
    path.write_text("".join(json.dumps(line) + "\n" for line in every))


def test_records_when_nobody_touched_them_then_all_are_ok(state: Path) -> None:
    made = [finished_run().id, finished_run().id, finished_run().id]
    assert states(state) == dict.fromkeys(made, "ok")


@pytest.mark.covers("F138")
@pytest.mark.parametrize("which", [0, 1, 2], ids=["oldest", "middle", "newest"])
@pytest.mark.parametrize(
    ("tamper", "expected"),
    [
        (edit(b'"text": "x {', b'"text": "z {'), "modified: line 3"),
        (edit(b'"set x.a"', b'"set y.a"'), "modified: line 3 or 4"),
        (edit(b'"n": 2', b'"n":2'), "modified: line 2"),
        (edit(b'"result": "done"', b'"result": "left"'), "modified: line 5"),
        (edit(b'"event": "tier"', b"garbage"), "modified: line 2 is no record line"),
        (order(1, 2, 4, 5), "truncated: lines are missing or invalid from line 3 on"),
        (order(2, 3, 4, 5), "replaced: it is the record of run None"),
        (order(1, 2, 3), "truncated: after line 3, or that line is edited"),
        (order(), "truncated: after line 0, or that line is edited"),
        (order(1, 2, 4, 3, 5), "reordered: from line 3 on"),
        (order(1, 2, 3, 3, 4, 5), "truncated: lines are missing or invalid from line 4 on"),
        (order(1, 2, 3, 4, 5, 5), "truncated: lines are missing or invalid from line 6 on"),
        (renumbered, "modified: line 2 or 3"),
        (goes_on, "modified: line 6 comes after the end"),
        (half_a_line, "modified: line 6 comes after the end"),
        (without_digests, "modified: "),
    ],
)
def test_line_when_edited_cut_or_moved_then_it_is_named(
    tamper: Tamper, expected: str, which: int, state: Path
) -> None:
    made = [finished_run().path, finished_run().path, finished_run().path]
    tamper(made[which])
    broken = [verdict for verdict in verify(state) if not verdict.valid]
    assert broken, f"not caught: {expected}"
    reports = [f"{v.state}: {v.detail}" for v in broken if v.id == made[which].stem]
    assert reports[0].startswith(expected)


@pytest.mark.covers("S61")
def test_files_when_edited_cut_or_swapped_then_caught_three_of_three(state: Path) -> None:
    caught = 0
    for number, tamper in enumerate((edit(b"set x.a", b"set z.a"), order(1, 2, 3), swap)):
        folder = RecordWriter(f"{CLUSTER}-{number}", "up").path.parent  # one not ended, too
        made = [_done_in(f"{CLUSTER}-{number}") for _ in range(3)]
        assert all(verdict.valid for verdict in verify(folder))
        tamper(made[1])
        caught += not all(verdict.valid for verdict in verify(folder))
    assert caught == 3


def _done_in(cluster: str) -> Path:
    record = RecordWriter(cluster, "up")
    one = make_change()
    record.acting([one])
    record.action_done(one, one.actions[0])
    record.end("done", 0.1)
    return record.path


def swap(path: Path) -> None:
    other = max(path.parent.glob("*.jsonl"), key=lambda p: (p != path, p.name))
    first, second = path.read_bytes(), other.read_bytes()
    path.write_bytes(second)
    other.write_bytes(first)


@pytest.mark.covers("F138")
@pytest.mark.parametrize("which", [0, 1, 2], ids=["oldest", "middle", "newest"])
def test_run_when_its_record_is_removed_then_it_is_named_as_missing(
    which: int, state: Path
) -> None:
    made = [finished_run().path, finished_run().path, finished_run().path]
    made[which].unlink()
    assert states(state)[made[which].stem] == "missing"
    finished_run()  # and the next run does not hide it
    assert states(state)[made[which].stem] == "missing"


@pytest.mark.covers("F138")
def test_tail_when_cut_from_a_run_that_was_killed_then_it_is_noticed(state: Path) -> None:
    record = RecordWriter(CLUSTER, "up")
    record.tier_started(Tier("things", ()))
    record.acting([make_change()])
    assert states(state) == {record.id: "unfinished"}
    order(1, 2)(record.path)
    assert states(state) == {record.id: "truncated"}


def test_run_when_killed_then_it_is_not_ended_and_the_chain_is_whole(state: Path) -> None:
    killed = RecordWriter(CLUSTER, "up")
    killed.acting([make_change()])
    with killed.path.open("ab") as file:
        file.write(b'{"at": "2026-11-20T')  # in the middle of a line
    after = finished_run()
    assert states(state) == {killed.id: "unfinished", after.id: "ok"}
    assert [run.summary["result"] for run in read_runs(state)] == ["unfinished", "done"]


def test_run_when_killed_before_its_first_line_then_it_is_not_ended(state: Path) -> None:
    first = finished_run()
    (state / "20991231T000000Z-abcdef.jsonl").touch()
    assert states(state) == {first.id: "ok", "20991231T000000Z-abcdef": "unfinished"}


def test_runs_when_two_are_under_way_at_once_then_both_are_ok(state: Path) -> None:
    one, two = RecordWriter(CLUSTER, "up"), RecordWriter(CLUSTER, "up")
    one.tier_started(Tier("a", ()))
    two.tier_started(Tier("b", ()))
    two.end("done", 0.1)
    one.end("done", 0.1)
    assert states(state) == {one.id: "ok", two.id: "ok"}


def test_readable_file_when_edited_then_it_is_named(state: Path) -> None:
    record = finished_run()
    edit(b"thing x", b"thing y")(record.text_path)
    [verdict] = verify(state)
    assert (verdict.state, verdict.detail) == ("modified", record.text_path.name)


@pytest.mark.parametrize(
    ("head", "expected"),
    [(None, "missing"), (b"", "unreadable"), (b"[1]", "unreadable"), (b"\xff{", "unreadable")],
)
def test_head_when_missing_or_garbage_then_it_is_reported_and_the_next_run_goes_on(
    head: bytes | None, expected: str, state: Path
) -> None:
    first = finished_run()
    (state / "head").unlink() if head is None else (state / "head").write_bytes(head)
    assert states(state) == {first.id: "ok", "head": expected}
    second = finished_run()
    assert states(state) == {first.id: "ok", second.id: "ok"}


def older(state: Path, name: str) -> None:
    """As the first version wrote them."""
    state.mkdir(parents=True, exist_ok=True)
    begin = {"at": "2026-01-01T00:00:00+00:00", "event": "begin", "command": "up", "who": "eve"}
    end = {"at": "2026-01-01T00:01:00+00:00", "event": "end", "result": "done", "seconds": 60.0}
    (state / f"{name}.jsonl").write_text(f"{json.dumps(begin)}\n{json.dumps(end)}\n")


def test_records_when_of_before_the_chain_then_distinguished_and_the_last_is_verified(
    state: Path,
) -> None:
    older(state, "20260101T000000Z-000000")
    older(state, "20260102T000000Z-000000")
    new = finished_run()
    old = {"20260101T000000Z-000000": "unchained", "20260102T000000Z-000000": "unchained"}
    assert states(state) == {**old, new.id: "ok"}
    edit(b'"done"', b'"left"')(state / "20260102T000000Z-000000.jsonl")
    assert states(state)["20260102T000000Z-000000"] == "modified"


def test_records_when_without_digests_after_the_chain_then_they_are_edited(state: Path) -> None:
    new = finished_run()
    older(state, "20990101T000000Z-000000")
    assert states(state) == {new.id: "ok", "20990101T000000Z-000000": "modified"}


@pytest.mark.covers("F11")
def test_garbage_when_read_then_never_a_traceback(state: Path) -> None:
    content = finished_run("x", "y").path.read_bytes()
    chance = random.Random(11)
    deep = b"[" * 100_000 + b"\n"
    strange = [
        b"\x00\xff\n",
        b"[]\n",
        b"7\n",
        b'{"event": "\\ud800"}\n',
        b'{"event": {}}\n',
        deep,
        b"\n" * 9,
    ]
    strange += [b'{"event": "begin", "plan": 7, "argv": {}, "run": [], "prev": 1, "at": 5}\n']
    strange += [b'{"event": "acting", "before": {"a": 1}, "after": {"b": []}, "actions": [1]}\n']
    strange += [b'{"event": "done", "on": [], "resource": {}, "seconds": "x"}\n']
    strange += [b'{"event": "end", "seconds": [], "left": {"a": 1}, "result": {}}\n']
    strange += [b'{"event": "\\u001b[2J", "at": "", "n": {"a": []}}\n', b"9" * 5000 + b"\n"]
    for number in range(300):
        data = bytearray(content)
        for _ in range(chance.randrange(1, 6)):
            place = chance.randrange(len(data))
            data[place : place + chance.randrange(9)] = chance.randbytes(chance.randrange(4))
        strange.append(bytes(data))
        (state / f"{number:04}.jsonl").write_bytes(strange[number])
    for run in read_runs(state):
        assert "\x1b" not in run.text
        json.dumps(run.as_json(), ensure_ascii=False).encode()
        assert run.summary["id"] == run.id
    assert len(verify(state)) > 300


def test_file_when_of_a_newer_version_then_it_is_shown_and_its_chain_is_checked(
    state: Path,
) -> None:
    record = RecordWriter(CLUSTER, "up")
    record.write_event("interrupted", signal="SIGINT", held=["db-1"])
    record.write_event("begin-2", format=99)
    record.end("interrupted", 0.1)
    [run] = read_runs(state)
    assert 'interrupted: signal: "SIGINT", held: ["db-1"]' in run.text
    assert states(state) == {record.id: "ok"}
    edit(b'"format": 99', b'"format": 98')(record.path)
    assert states(state) == {record.id: "modified"}


def test_file_when_it_may_not_be_read_then_it_is_reported(state: Path) -> None:
    finished_run()
    (state / "20260101T000000Z-000000.jsonl").symlink_to("/proc/self/mem")  # a file, unreadable
    found = states(state)
    assert found["20260101T000000Z-000000"] == "unreadable"


def test_run_when_named_by_its_beginning_or_as_latest_then_it_is_found(state: Path) -> None:
    first, second = finished_run(), finished_run()
    runs = read_runs(state)
    assert [run.id for run in find_runs(runs, "latest")] == [second.id]
    assert [run.id for run in find_runs(runs, first.id)] == [first.id]
    assert len(find_runs(runs, "20")) == 2
    assert find_runs(runs, "nothing") == []
