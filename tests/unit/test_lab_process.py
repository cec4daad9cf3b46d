"""Processes known by their record: never taken for another, never mistaken for alive."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from pgprovision.lab.command import file_lock
from pgprovision.lab.process import Daemon, write_own_pid_file

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="records come from Linux's /proc")


@pytest.fixture
def daemon(tmp_path: Path) -> Iterator[Daemon]:
    made = Daemon(tmp_path / "d.pid", tmp_path / "d.log")
    yield made
    made.kill()


def test_daemon_when_started_twice_is_one_process(daemon: Daemon) -> None:
    first = daemon.start(["sleep", "60"])
    assert daemon.start(["sleep", "60"]) == first == daemon.pid()


def test_daemon_when_its_starter_ends_lives_on(daemon: Daemon) -> None:
    script = (
        "import sys; from pathlib import Path; from pgprovision.lab.process import Daemon\n"
        "Daemon(Path(sys.argv[1]), Path(sys.argv[2])).start(['sleep', '60'])"
    )
    command = [sys.executable, "-c", script, str(daemon.pid_file), str(daemon.log)]
    subprocess.run(command, check=True)
    assert daemon.pid() is not None


def test_daemon_when_stopped_has_ended_and_stopping_again_is_fine(daemon: Daemon) -> None:
    daemon.start(["sleep", "60"])
    daemon.stop()
    daemon.stop()
    assert daemon.pid() is None


def test_daemon_when_it_ignores_the_request_is_killed(daemon: Daemon) -> None:
    daemon.start(["sh", "-c", "trap '' TERM; while :; do sleep 1; done"])
    daemon.stop(grace=0.2)
    assert daemon.pid() is None


def test_record_when_the_pid_is_another_process_names_nobody(daemon: Daemon) -> None:
    write_own_pid_file(daemon.pid_file)
    assert daemon.pid() == os.getpid()
    boot, stat = daemon.pid_file.read_text().split("\n", 1)
    head, _, fields = stat.rpartition(")")
    later = fields.split()
    later[19] = str(int(later[19]) + 1)
    daemon.pid_file.write_text(f"{boot}\n{head}) {' '.join(later)}")
    assert daemon.pid() is None
    daemon.kill()  # must not end this test


def test_record_when_of_an_earlier_boot_names_nobody(daemon: Daemon) -> None:
    write_own_pid_file(daemon.pid_file)
    stat = daemon.pid_file.read_text().split("\n", 1)[1]
    daemon.pid_file.write_text(f"0f0f0f0f-0000-0000-0000-000000000000\n{stat}")
    assert daemon.pid() is None


def test_lock_when_its_file_is_removed_by_its_owner_can_be_taken_again(tmp_path: Path) -> None:
    with file_lock(tmp_path / "lock"):
        (tmp_path / "lock").unlink()
    with file_lock(tmp_path / "lock"):
        assert (tmp_path / "lock").exists()
