"""The lock of a machine, on this one: the real shell, in a folder of the test's own."""

import json
import os
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from pgprovision.engine.model import Action
from pgprovision.errors import Interrupted, Locked, OutcomeUnknown
from pgprovision.lab.process import wait_until
from pgprovision.lock_owner import LockOwner, is_parsable, parse_fence, unlock_token
from pgprovision.transport import lock
from pgprovision.transport.connection import Channel
from pgprovision.transport.host import Host
from pgprovision.transport.local import LocalChannel, LocalConnection
from pgprovision.transport.lock import HostLock, LockRequest
from pgprovision.transport.lock_keeper import LockKeeper


def owner(run: str = "r1") -> LockOwner:
    return LockOwner("ann", "laptop", "2026-11-20 13:00:00 UTC", "up", run)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "pgprovision" / "hold"


@pytest.fixture
def lines(folder: Path) -> Iterator[list[LocalChannel]]:
    """Whatever a test opened, closed at its end."""
    opened: list[LocalChannel] = []
    yield opened
    for line in opened:
        line.close()


def take(folder: Path, lines: list[LocalChannel], run: str = "r1", **more: float) -> HostLock:
    lease = more.pop("lease", lock.LEASE_SECONDS)
    number = int(more.pop("number")) if "number" in more else None
    claim = LockRequest(owner(run), wait_seconds=more.get("wait", 0.0))
    line = LocalChannel(lock.lock_command(str(folder), claim.wait_seconds, lease))
    lines.append(line)
    return lock.acquire(line, "db-1", claim, number)


@pytest.mark.covers("F6")
def test_machine_when_locked_then_the_next_is_refused_and_names_the_owner(
    folder: Path, lines: list[LocalChannel]
) -> None:
    take(folder, lines)
    with pytest.raises(Locked) as refused:
        take(folder, lines, "r2")
    assert (
        refused.value.what == "locked by ann on laptop since 2026-11-20 13:00:00 UTC: up (run r1)"
    )
    assert "unlock db-1 r1" in refused.value.next


@pytest.mark.covers("F8")
def test_machine_when_its_lock_owner_ended_then_free_with_a_higher_number(
    folder: Path, lines: list[LocalChannel]
) -> None:
    first = take(folder, lines)
    lines[0].close()  # what the kernel does to a connection after its process died
    second = take(folder, lines, "r2")
    second.release()
    third = take(folder, lines, "r3")
    assert [first.fencing_token, second.fencing_token, third.fencing_token] == [1, 2, 3]


@pytest.mark.covers("F10")
def test_machine_when_its_lock_owner_is_silent_past_the_lease_then_free(
    folder: Path, lines: list[LocalChannel]
) -> None:
    take(folder, lines, lease=0.2)
    assert wait_until(lambda: lines[0]._program.poll() is not None, 10)
    assert take(folder, lines, "r2").fencing_token == 2


@pytest.mark.covers("F10")
def test_lock_when_lost_then_taken_again_only_where_nobody_was_in_between(
    folder: Path, lines: list[LocalChannel]
) -> None:
    first = take(folder, lines)
    lines[0].close()
    again = take(folder, lines, number=first.fencing_token)
    lines[1].close()
    take(folder, lines, "r2").release()
    with pytest.raises(Locked, match="lost its lock, and another run has locked the host since"):
        take(folder, lines, number=again.fencing_token)


def test_wait_when_the_other_ends_in_time_then_taken(
    folder: Path, lines: list[LocalChannel]
) -> None:
    first = take(folder, lines)
    waiting = LocalChannel(lock.lock_command(str(folder), 30))
    lines.append(waiting)
    first.release()
    assert (
        lock.acquire(waiting, "db-1", LockRequest(owner("r2"), wait_seconds=30)).fencing_token == 2
    )


def test_machine_when_its_owner_ends_while_the_record_is_read_then_no_record_is_made_of_an_error(
    folder: Path, lines: list[LocalChannel], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    take(folder, lines)
    program = tmp_path / "bin" / "base64"
    program.parent.mkdir()
    program.write_text('#!/bin/sh\nrm -f holder\nexec /usr/bin/base64 "$@"\n')
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}:{os.environ['PATH']}")
    with pytest.raises(Locked):
        take(folder, lines, "r2")


@pytest.mark.parametrize("line", ["base64: holder: No such file or directory", "===", "a"])
def test_record_when_it_is_no_base64_then_counts_as_locked(line: str) -> None:
    class OneLine(Channel):
        def send_line(self, text: str) -> None: ...
        def close(self) -> None: ...
        def _receive_bytes(self, seconds: float) -> bytes:
            return f"{line}\n".encode()

    assert lock._receive_file(OneLine()) == line


@pytest.mark.covers("F11")
@pytest.mark.parametrize("text", ["", "garbage", '{"version": 2}', "{}", "[1]"])
@pytest.mark.parametrize("file", ["holder", "fence"])
def test_record_when_it_cannot_be_read_then_counts_as_locked(
    folder: Path, lines: list[LocalChannel], file: str, text: str
) -> None:
    folder.mkdir(parents=True)
    (folder / file).write_text(text)
    with pytest.raises(Locked, match="cannot be read, so the host counts as locked"):
        take(folder, lines)
    assert (folder / file).read_text() == text


def test_token_when_the_record_can_be_read_then_the_run_else_a_digest() -> None:
    known = owner().text()
    assert (unlock_token(known, "3"), unlock_token(known, "3 stopped")) == ("r1", "r1")
    assert (
        len(
            {
                unlock_token("x", "3"),
                unlock_token("x", "4"),
                unlock_token(known, "x"),
                unlock_token(None, ""),
            }
        )
        == 4
    )
    assert is_parsable(None, None) and not is_parsable(None, "") and parse_fence("4 stopped") == 4


@pytest.fixture
def host(folder: Path) -> Iterator[Host]:
    machine = Host("db-1", LocalConnection)
    machine.lock_keeper = LockKeeper("db-1", LocalConnection, str(folder))
    machine.lock_keeper.require_lock(LockRequest(owner()))
    yield machine
    machine.release()


@pytest.mark.covers("V11")
def test_step_when_another_took_over_then_refused_and_nothing_done(
    host: Host, folder: Path, tmp_path: Path
) -> None:
    took_over = Action("another takes over", f"echo 9 >{folder}/fence")
    late = Action("late", f"touch {tmp_path}/late")
    done: list[Action] = []
    with pytest.raises(Locked, match="another run has locked this host; refused: late"):
        host.act([took_over, late], done.append)
    assert (done, (tmp_path / "late").exists()) == ([took_over], False)


@pytest.mark.covers("F6")
def test_machine_when_another_run_was_there_before_it_was_locked_then_looked_at_again(
    host: Host, folder: Path
) -> None:
    folder.mkdir(parents=True)
    (folder / "fence").write_text("5\n")
    done: list[Action] = []
    with pytest.raises(OutcomeUnknown, match="another run acted on it before it was locked"):
        host.act([Action("act", "true")], done.append)
    assert done == []
    host.act([Action("act", "true")], done.append)
    assert len(done) == 1


@pytest.mark.covers("F4")
def test_step_when_the_run_is_stopped_then_is_the_last(host: Host, tmp_path: Path) -> None:
    mark = tmp_path / "under-way"
    slow = Action("slow", f"touch {mark}; while [ -e {mark} ]; do sleep 0.05; done")
    after = Action("after", f"touch {tmp_path}/after")
    done: list[Action] = []

    def stop() -> None:
        assert wait_until(mark.exists, 10)
        host.stop()
        mark.unlink()

    stopping = threading.Thread(target=stop)
    stopping.start()
    with pytest.raises(Interrupted, match="stopped before: after"):
        host.act([slow, after], done.append)
    stopping.join()
    assert (done, (tmp_path / "after").exists()) == ([slow], False)


@pytest.mark.covers("row:G4", "V19")
def test_note_when_a_step_runs_then_is_on_the_machine_already(host: Host, folder: Path) -> None:
    notes = [json.dumps({"event": "acting", "text": "ü" * n}) for n in (1, 70_000)]
    for note in notes:
        host.lock_keeper.append_record(note)
    copy = folder.parent / "runs" / "r1.jsonl"
    out: list[Action] = []
    host.act([Action("look", f"[ $(wc -l <{copy}) = 2 ]")], out.append)
    assert copy.read_text().splitlines() == notes
    assert copy.stat().st_mode & 0o77 == 0


@pytest.mark.covers("F5")
def test_step_when_its_run_ended_then_the_next_waits_for_its_end(
    folder: Path, tmp_path: Path
) -> None:
    folder.mkdir(parents=True)
    orphan = subprocess.Popen(
        ["sh", "-c", f"exec 8>>{folder}/busy; flock 8; echo; sleep 60"], stdout=subprocess.PIPE
    )
    assert orphan.stdout and orphan.stdout.readline()
    messages: list[str] = []

    def waiting(text: str) -> None:
        messages.append(text)
        subprocess.run(["pkill", "-P", str(orphan.pid)], check=False)  # while it still has a parent
        orphan.kill()

    lock_keeper = LockKeeper("db-1", LocalConnection, str(folder))
    lock_keeper.require_lock(LockRequest(owner(), on_wait=waiting))
    try:
        assert lock_keeper.acquire()
    finally:
        orphan.kill()
        orphan.wait()
        lock_keeper.release()
    expected = "an action of a run that has ended is still running: s"
    assert messages and messages[0].startswith(expected)
