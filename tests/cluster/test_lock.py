"""One run at a time on a host, and an end in order when somebody wants it."""

import shutil
import signal
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from pgprovision.lab.process import wait_until
from tests.cluster.conftest import PRIMARY, REPLICA
from tests.support.cli_user import CliUser, wait_for

pytestmark = pytest.mark.lab

LOCK_FOLDER = "/var/lib/pgprovision/hold"
SLOW = "/etc/apt/apt.conf.d/99-slow"  # installing takes as long as this file is there
BY_HAND = "echo '# by hand' >>/etc/postgresql/15/main/postgresql.conf"


@pytest.fixture
def slow(cluster: CliUser) -> Iterator[CliUser]:
    """Both hosts lack a package, and its installation lasts until `go_on`."""
    hook = f'DPkg::Pre-Invoke {{"while [ -e {SLOW} ]; do sleep 0.123; done";}};'
    for node in (PRIMARY, REPLICA):
        cluster.shell(node, f"apt-get -qy remove tmux >&2; echo '{hook}' >{SLOW}")
    yield cluster
    go_on(cluster)
    assert cluster.run_json("up", "--yes")["remaining"] == []
    assert cluster.drift() == {}


def go_on(person: CliUser) -> None:
    for node in (PRIMARY, REPLICA):
        person.shell(node, f"rm -f {SLOW}")


@contextmanager
def running(person: CliUser, *options: str) -> Iterator["subprocess.Popen[str]"]:
    """`up`, under way; whatever happens, it can end."""
    with person.start(*options, "up", "--yes") as process:
        try:
            yield process
        finally:
            go_on(person)
            process.send_signal(signal.SIGCONT)


def under_way(person: CliUser) -> bool:
    """Whether the slow step runs on both."""
    return wait_until(
        lambda: all(
            person.console(node, "pgrep -f 'sleep 0[.]123'").returncode == 0
            for node in (PRIMARY, REPLICA)
        ),
        60,
    )


@pytest.fixture
def elsewhere(cluster: CliUser, tmp_path: Path) -> CliUser:
    """The same inventory on another controller."""
    shutil.copytree(cluster.home, tmp_path / "home", symlinks=True)
    return replace(cluster, home=tmp_path / "home")


def records(person: CliUser) -> int:
    return len(list(person.home.rglob("runs/*.jsonl")))


@pytest.mark.covers("F6")
def test_up_when_run_twice_at_once_then_one_proceeds_and_one_says_who_holds_it(
    slow: CliUser, elsewhere: CliUser
) -> None:
    before = records(slow)
    with running(slow) as first:
        assert under_way(slow)
        here, there = slow.run("up", "--yes"), elsewhere.run("up", "--yes")
        go_on(slow)
        won = wait_for(first)
    assert won.code == 0, won.err
    run = max(path.stem for path in slow.home.rglob("runs/*.jsonl"))
    for loser, where in ((here, "hcb-lab"), (there, PRIMARY)):
        assert loser.code == 4
        assert f"{where}: locked by root on" in loser.err
        assert f"UTC: up (run {run})" in loser.err
        assert "--wait 600" in loser.err
    assert records(slow) == before + 1
    newest = max(elsewhere.home.rglob("runs/*.jsonl"), key=lambda path: path.stem)
    assert '"acting"' not in newest.read_text()


@pytest.mark.covers("F6")
def test_up_when_waiting_is_allowed_then_goes_on_after_the_other(
    slow: CliUser, elsewhere: CliUser
) -> None:
    with ExitStack() as both:
        first = both.enter_context(running(slow))
        assert under_way(slow)
        second = both.enter_context(running(elsewhere, "--wait", "120"))
        go_on(slow)
        ends = [wait_for(first), wait_for(second)]
    assert [end.code for end in ends] == [0, 0], ends


@pytest.mark.covers("F5", "F8")
def test_up_when_the_lock_owner_was_killed_then_waits_for_its_step_and_goes_on(
    slow: CliUser, elsewhere: CliUser
) -> None:
    with ExitStack() as both:
        first = both.enter_context(running(slow))
        assert under_way(slow)
        installing = slow.shell(PRIMARY, "pgrep -c apt-get")
        first.kill()
        second = both.enter_context(running(elsewhere))
        assert wait_until(lambda: fence(slow) > 0 and is_locked_by(slow, elsewhere), 10)
        assert slow.shell(PRIMARY, "pgrep -c apt-get") == installing
        go_on(slow)
        end = wait_for(second)
    assert end.code == 0, end.err
    assert "an action of a run that has ended is still running" in end.err


def fence(person: CliUser) -> int:
    return int(person.shell(PRIMARY, f"cut -d ' ' -f 1 {LOCK_FOLDER}/fence"))


def is_locked_by(person: CliUser, other: CliUser) -> bool:
    """Whether the newest run of the other controller holds the primary."""
    runs = sorted(path.stem for path in other.home.rglob("runs/*.jsonl"))
    return bool(runs) and runs[-1] in person.shell(PRIMARY, f"cat {LOCK_FOLDER}/holder || :")


@pytest.mark.covers("F10", "V11")
def test_lock_owner_when_it_wakes_up_late_then_the_hosts_refuse_it(
    slow: CliUser, elsewhere: CliUser
) -> None:
    with running(slow) as late:
        assert under_way(slow)
        late.send_signal(signal.SIGSTOP)
        for node in (PRIMARY, REPLICA):  # what the lease does after 20 s of silence
            slow.shell(node, f"kill $(cat {LOCK_FOLDER}/pid)")
        slow.shell(PRIMARY, BY_HAND)
        go_on(slow)
        taken = elsewhere.run("up", "--yes")
        assert taken.code == 0, taken.err
        slow.shell(PRIMARY, BY_HAND)
        late.send_signal(signal.SIGCONT)
        end = wait_for(late)
    assert end.code == 4, end.err
    assert "this run lost its lock" in end.err or "another run has locked this host" in end.err
    assert any(kind == "postgresql.conf" for _, kind, _ in slow.drift())  # it did not touch it


@pytest.mark.covers("F11")
@pytest.mark.parametrize("text", ["", "garbage", '{"version": 2, "who": "x"}'])
def test_lock_record_when_it_cannot_be_read_then_counts_as_locked(
    cluster: CliUser, text: str
) -> None:
    cluster.shell(PRIMARY, f"rm -f /root/.x; cat >{LOCK_FOLDER}/holder", text)
    cluster.shell(PRIMARY, BY_HAND)
    refused = cluster.run("up", "--yes")
    assert refused.code == 4
    assert "cannot be read, so the host counts as locked" in refused.err
    command = refused.err.rpartition("pgprovision ")[2].split()
    assert command[:2] == ["unlock", PRIMARY]
    wrong = cluster.run("unlock", PRIMARY, "wrong", "--yes")
    assert (wrong.code, command[2] in wrong.err) == (3, True)
    assert cluster.run(*command, "--yes").code == 0
    assert cluster.run_json("up", "--yes")["remaining"] == []


@pytest.mark.covers("F11")
def test_lock_record_when_another_user_owns_it_then_counts_as_locked(cluster: CliUser) -> None:
    cluster.shell(PRIMARY, f"echo x >{LOCK_FOLDER}/holder; chown postgres {LOCK_FOLDER}/holder")
    cluster.shell(PRIMARY, BY_HAND)
    assert "counts as locked" in cluster.run("up", "--yes").err
    cluster.shell(PRIMARY, f"rm {LOCK_FOLDER}/holder")
    assert cluster.run_json("up", "--yes")["remaining"] == []


@pytest.mark.covers("F4")
@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)]
)
def test_signal_when_it_comes_then_the_step_ends_and_the_lock_is_free(
    slow: CliUser, number: int, code: int
) -> None:
    with running(slow) as process:
        assert under_way(slow)
        slow.shell(PRIMARY, BY_HAND)
        process.send_signal(number)
        assert wait_until(lambda: "stopped" in slow.shell(PRIMARY, f"cat {LOCK_FOLDER}/fence"), 10)
        go_on(slow)
        end = wait_for(process)
    assert end.code == code, end.err
    assert "finishing the current action" in end.err
    assert "already done: 2 changes" in end.err
    assert "next: run the same command again" in end.err
    assert slow.shell(PRIMARY, f"ls {LOCK_FOLDER}/holder 2>&- || echo free") == "free"
    assert slow.shell(PRIMARY, "command -v tmux")


@pytest.mark.covers("F4")
def test_signal_when_it_comes_twice_then_stops_at_once_and_a_rerun_waits_for_the_step(
    slow: CliUser,
) -> None:
    with running(slow) as process:
        assert under_way(slow)
        process.send_signal(signal.SIGINT)
        assert wait_until(lambda: "stopped" in slow.shell(PRIMARY, f"cat {LOCK_FOLDER}/fence"), 10)
        process.send_signal(signal.SIGINT)
        end = wait_for(process)
    assert end.code == 7, end.err
    assert "outcome unknown" in end.err
    go_on(slow)
    again = slow.run("up", "--yes")
    assert again.code == 0, again.err


@pytest.mark.covers("F4")
def test_output_when_it_is_closed_then_the_run_goes_on_to_its_end(slow: CliUser) -> None:
    go_on(slow)
    with running(slow) as process:
        assert process.stdout
        assert process.stderr
        process.stdout.close()
        process.stderr.close()
        assert process.wait(120) == 0
    assert slow.drift() == {}


@pytest.mark.covers("row:G4")
def test_record_when_a_run_ends_then_its_copy_is_on_each_host(cluster: CliUser) -> None:
    cluster.shell(PRIMARY, BY_HAND)
    path = Path(cluster.run_json("up", "--yes")["record"])
    for node in (PRIMARY, REPLICA):
        copy = cluster.shell(node, f"cat /var/lib/pgprovision/runs/{path.name}")
        assert copy == path.read_text().strip()
