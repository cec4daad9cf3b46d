"""`drill install` on a machine with systemd: the units as it writes them, fired and failing."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from pgprovision.engine.loop import converge
from pgprovision.engine.model import Impact, Report
from pgprovision.lab.process import wait_until
from pgprovision.tasks.timer import CONTROLLER, UNIT_DIRECTORY, ScheduledCommand
from pgprovision.transport.host import Host
from pgprovision.transport.local import LocalConnection
from tests.cluster.conftest import PRIMARY
from tests.support.cli_user import CliUser
from tests.support.postgres_machine import SilentObserver

pytestmark = [pytest.mark.lab, pytest.mark.backups]

NAME = "pgprovision-drill-hcb-lab"
RESULT_FILE = "/run/drilled"
# That machine has no pgprovision.
DRILL = ("/bin/sh", "-c", f'echo "$HOME $KEY 100%" >{RESULT_FILE}')
OFTEN = "*-*-* *:*:0/5"
FIRES = 90  # systemd may be late by AccuracySec, a minute


def yes(changes: object) -> Impact:
    return Impact.RELOAD


@pytest.fixture
def machine(cluster: CliUser) -> Iterator[Host]:
    """Some machine with systemd; all that is written there is taken away again."""
    yield Host(CONTROLLER, lambda: LocalConnection(cluster.lab.shell(PRIMARY, ["sh", "-s"])))
    units = f"{NAME}.timer {NAME}.service"
    cluster.shell(
        PRIMARY,
        f"systemctl stop {units}; systemctl disable -q {NAME}.timer; systemctl reset-failed\n"
        f"rm -f {UNIT_DIRECTORY}/{NAME}.* {RESULT_FILE} "
        "/etc/pgprovision/hcb-lab.env; systemctl daemon-reload",
    )


def installed(machine: Host, folder: Path, calendar: str, *words: str) -> Report:
    timer = ScheduledCommand("drill", "hcb-lab", folder, words, "root", calendar, "0")
    report = converge(timer.tiers(), {CONTROLLER: machine}, yes, SilentObserver())
    assert (report.remaining, report.failed) == ([], {})
    return report


@pytest.mark.covers("row:D7")
def test_drill_when_installed_is_started_by_its_timer_and_again_changes_nothing(
    cluster: CliUser, machine: Host, tmp_path: Path
) -> None:
    cluster.shell(PRIMARY, "echo KEY=of-the-file >/etc/pgprovision/hcb-lab.env")
    installed(machine, tmp_path, OFTEN, *DRILL)
    cluster.shell(
        PRIMARY,
        f"systemd-analyze verify {UNIT_DIRECTORY}/{NAME}.service {UNIT_DIRECTORY}/{NAME}.timer",
    )
    assert cluster.shell(PRIMARY, f"systemctl is-enabled {NAME}.timer") == "enabled"
    show = f"cat {RESULT_FILE} 2>/dev/null || :"
    assert wait_until(lambda: cluster.shell(PRIMARY, show) != "", seconds=FIRES)
    assert cluster.shell(PRIMARY, show) == "/root of-the-file 100%"
    assert installed(machine, tmp_path, OFTEN, *DRILL).changed == []
    installed(machine, tmp_path, "monthly", *DRILL)
    shown = cluster.shell(PRIMARY, f"systemctl show -P NextElapseUSecRealtime {NAME}.timer")
    assert "-01 00:00:00" in shown


@pytest.mark.covers("row:D7")
def test_drill_when_it_fails_on_schedule_leaves_the_service_failed(
    cluster: CliUser, machine: Host, tmp_path: Path
) -> None:
    words = ("/bin/sh", "-c", "echo the restore is not proven >&2; exit 1")
    installed(machine, tmp_path, OFTEN, *words)
    failed = f"systemctl is-failed {NAME}.service || :"
    assert wait_until(lambda: cluster.shell(PRIMARY, failed) == "failed", seconds=FIRES)
    assert NAME in cluster.shell(PRIMARY, "systemctl --failed --plain --no-legend")
    journal = f"journalctl -u {NAME}.service -o cat"
    assert "the restore is not proven" in cluster.shell(PRIMARY, journal)
