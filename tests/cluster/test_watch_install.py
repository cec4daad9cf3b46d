"""`watch install` on a machine that is not the cluster's: what it writes, and that it runs."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from pgprovision.engine.loop import converge
from pgprovision.engine.model import Change, Impact, Report
from pgprovision.inventory.watch_file import WatchFile
from pgprovision.operations.watch.install import watch_tiers
from pgprovision.tasks.timer import CONTROLLER, ScheduledCommand
from pgprovision.transport.host import Host
from pgprovision.transport.local import LocalConnection
from tests.cluster.conftest import PRIMARY
from tests.support.cli_user import CliUser
from tests.support.postgres_machine import SilentObserver

pytestmark = [pytest.mark.lab, pytest.mark.backups]

FILE = "/etc/pgprovision/watch/hcb-lab.json"
NAME = "pgprovision-watch-hcb-lab"


def yes(changes: object) -> Impact:
    return Impact.RELOAD


@pytest.fixture
def desired(cluster: CliUser, tmp_path: Path) -> WatchFile:
    file = tmp_path / "hcb-lab.watch"
    file.write_text(cluster.run("watch", "export").out)
    return WatchFile.read(file)


@pytest.fixture
def machine(cluster: CliUser) -> Iterator[Host]:
    """Some machine with systemd; all that is written there is taken away again."""
    yield Host(CONTROLLER, lambda: LocalConnection(cluster.lab.shell(PRIMARY, ["sh", "-s"])))
    units = f"{NAME}.timer {NAME}.service"
    cluster.shell(
        PRIMARY,
        f"systemctl stop {units}; systemctl disable -q {NAME}.timer\n"
        f"rm -r /etc/pgprovision/watch /etc/systemd/system/{NAME}.*; systemctl daemon-reload",
    )


def run(machine: Host, desired: WatchFile, tmp_path: Path) -> Report:
    words = ("/bin/cat", FILE)  # in the place of this program, which that machine does not have
    timer = ScheduledCommand(
        "watch", desired.cluster, tmp_path, words, "root", "*-*-* *:00/15:00", "1min"
    )
    tiers = watch_tiers(FILE, desired, timer.tiers())
    return converge(tiers, {CONTROLLER: machine}, yes, SilentObserver())


def test_watch_when_installed_has_its_file_for_root_alone_and_a_timer_that_runs(
    cluster: CliUser, machine: Host, desired: WatchFile, tmp_path: Path
) -> None:
    first = run(machine, desired, tmp_path)
    assert (first.remaining, first.failed) == ([], {})
    shown = cluster.shell(PRIMARY, f"stat -c '%a %U' {FILE} /etc/pgprovision/watch; cat {FILE}")
    assert shown.startswith("600 root\n700 root\n")
    assert shown.endswith(desired.text().text().strip())
    assert cluster.shell(PRIMARY, f"systemctl is-active {NAME}.timer") == "active"
    cluster.shell(PRIMARY, f"systemd-analyze verify /etc/systemd/system/{NAME}.service")
    cluster.shell(PRIMARY, f"systemctl start {NAME}.service")
    again: list[Change] = run(machine, desired, tmp_path).changed
    assert again == []


def test_watch_install_when_there_is_no_systemd_prints_units_and_a_line_for_cron(
    cluster: CliUser, tmp_path: Path
) -> None:
    file = tmp_path / "hcb-lab.watch"
    file.write_text(cluster.run("watch", "export").out)
    if Path("/run/systemd/system").is_dir():
        pytest.skip("this host has systemd: it would be installed")
    done = cluster.run("watch", "install", str(file))
    assert done.code == 0
    assert f"# --- /etc/systemd/system/{NAME}.timer" in done.out
    assert "# */15 * * * * " in done.out
    assert f"watch --file {FILE}" in done.out
    assert f"install -D -m 0600 {file} {FILE}" in done.err
