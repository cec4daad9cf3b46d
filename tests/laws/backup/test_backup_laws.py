"""The laws of the loop over packages, units and backups, on a real machine with a real store."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import pytest

from pgprovision.engine.model import Answer, Probe, Resource, Waiting
from pgprovision.errors import PgprovisionError, Refused, StepFailed
from pgprovision.resources.pgbackrest.info import CONFIG_FILE
from pgprovision.resources.postgres.server.instance import Instance
from pgprovision.resources.system.transient_unit import NOT_PROBED, Job
from pgprovision.resources.system.unit import Unit
from tests.laws.backup.conftest import World
from tests.support.backup_machine import MACHINE_NAME
from tests.support.postgres_machine import SilentObserver

pytestmark = pytest.mark.lab

JOB = "pgprovision-backup-full.service"
DIFFERENTIAL = "pgbackrest-backup@diff.service"
INSTANCE_UNIT = Instance().unit


def edit(old: str, new: str) -> str:
    return f"sed -i 's|{old}|{new}|' {CONFIG_FILE}"


@dataclass(frozen=True)
class Case:
    """A resource, and for each key the shell text that breaks it by hand."""

    resource: Callable[[World], Resource]
    breaks: Mapping[str, str]


CASES: Mapping[str, Case] = {
    "packages": Case(
        lambda world: world.packages,
        {
            "less": "apt-get -q -y remove less",
            "dpkg": "cd /tmp && apt-get -q download less && dpkg --unpack less_*.deb",
        },
    ),
    "timer": Case(
        lambda world: world.timer,
        {
            "active": "systemctl stop pgbackrest-full.timer",
            "enabled": "systemctl disable pgbackrest-full.timer",
            "needs_daemon_reload": "touch -d +1min /etc/systemd/system/pgbackrest-full.timer",
        },
    ),
    "pgbackrest.conf": Case(
        lambda world: world.conf(),
        {
            "process-max": edit("process-max=2", "process-max=3"),
            "repo1-cipher-pass": edit("correct horse", "other"),
            "repo1-s3-key-secret": edit("^repo1-s3-key-secret=.*", "repo1-s3-key-secret=x"),
            "[main] pg1-port": edit("^pg1-port=.*", "pg1-port=1"),
            "start-fast": edit("^start-fast=y$", ""),
            "unmanaged options": f"echo pg1-database=x >>{CONFIG_FILE}",
            "mode": f"chmod 0644 {CONFIG_FILE}",
            "owner": f"chown root:postgres {CONFIG_FILE}",
        },
    ),
    "stanza": Case(lambda world: world.stanza(), {}),
    "first backup": Case(lambda world: world.first_backup, {}),
}
BREAKS = [(name, key) for name, case in CASES.items() for key in case.breaks]


@pytest.mark.parametrize("name", CASES)
def test_look_after_apply_finds_nothing_and_apply_writes_nothing(world: World, name: str) -> None:
    resource = CASES[name].resource(world)
    assert not world.machine.plan(resource)
    assert not world.machine.run(resource).changed


@pytest.mark.parametrize(("name", "key"), BREAKS)
def test_one_key_when_broken_is_named_alone_and_repaired(world: World, name: str, key: str) -> None:
    resource = CASES[name].resource(world)
    world.machine.shell(CASES[name].breaks[key])
    left = world.machine.plan(resource)
    assert [change.keys for change in left] == [(key,)]
    assert [change.keys for change in world.machine.plan(resource)] == [(key,)]
    world.machine.run(resource)
    assert not world.machine.plan(resource)


@pytest.mark.covers("row:D4", "F110", "B97")
def test_stanza_of_another_cluster_when_met_is_refused_and_left_alone(
    world: World,
) -> None:
    world.machine.shell("pg_createcluster 15 other")
    with pytest.raises(Refused, match="belongs to another cluster"):
        world.machine.plan(world.stanza(instance=Instance(name="other")))
    world.machine.shell("pg_dropcluster 15 other")
    assert not world.machine.plan(world.stanza())


class Killed(Exception):
    """The controller goes away."""


class Deserter(SilentObserver):
    """Goes away at the first sign of long work."""

    def waiting(self, resource: Resource, waiting: Waiting, seconds: float) -> None:
        raise Killed


@pytest.mark.covers("F5")
def test_first_backup_when_the_controller_is_killed_is_attached_to(world: World) -> None:
    machine, path = world.machine, "/attached"
    machine.run(world.conf(path), world.stanza(path))
    with pytest.raises(Killed):
        machine.run(world.first_backup, watcher=Deserter())
    first = machine.shell(f"systemctl show -p InvocationID --value {JOB}")
    report = machine.run(world.first_backup)
    assert first
    assert not report.changed
    full = "runuser -u postgres -- pgbackrest info | grep -c 'full backup:'"
    assert machine.shell(full) == "1"
    machine.run(world.conf())


def test_first_backup_when_it_fails_says_why_and_is_started_again_by_the_next_run(
    world: World,
) -> None:
    machine, path = world.machine, "/failing"
    machine.run(world.conf(path), world.stanza(path))
    machine.shell(f"systemctl stop {INSTANCE_UNIT}")
    with pytest.raises(StepFailed) as caught:
        machine.run(world.first_backup)
    assert "unable to find primary cluster" in str(caught.value)
    machine.shell(f"systemctl start {INSTANCE_UNIT}")
    assert machine.run(world.first_backup).changed
    machine.run(world.conf())


@pytest.mark.covers("row:D5")
def test_scheduled_backup_on_a_standby_is_a_recorded_skip(world: World) -> None:
    signal = f"{Instance().data_directory}/standby.signal"
    world.machine.shell(f"touch {signal}; systemctl restart {INSTANCE_UNIT}")
    world.machine.shell(f"systemctl start {DIFFERENTIAL}")
    output = world.machine.shell(f"journalctl -u {DIFFERENTIAL} -o cat")
    assert "skipped: not the primary" in output
    assert "Skipped due to 'exec-condition'" in output
    world.machine.shell(f"rm {signal}; systemctl restart {INSTANCE_UNIT}")


def test_scheduled_backup_when_it_cannot_tell_the_role_fails(world: World) -> None:
    world.machine.shell(f"systemctl stop {INSTANCE_UNIT}")
    world.machine.shell(f"systemctl start {DIFFERENTIAL}", fails=True)
    assert world.machine.shell(f"systemctl is-failed {DIFFERENTIAL}") == "failed"
    assert "cannot tell" in world.machine.shell(f"journalctl -u {DIFFERENTIAL} -o cat")
    world.machine.shell(f"systemctl reset-failed; systemctl start {INSTANCE_UNIT}")


@pytest.mark.covers("row:D5")
def test_scheduled_backup_on_the_primary_takes_one(world: World) -> None:
    world.machine.shell(f"systemctl start {DIFFERENTIAL}")
    assert "diff backup:" in world.machine.shell("runuser -u postgres -- pgbackrest info")


def test_unit_when_it_cannot_start_shows_its_last_words(world: World) -> None:
    text = "[Service]\\nType=oneshot\\nExecStart=/bin/sh -c 'echo on fire; exit 3'\\n"
    world.machine.shell(f'printf "{text}" >/etc/systemd/system/fire.service')
    with pytest.raises(PgprovisionError, match="on fire"):
        world.machine.run(Unit(on=MACHINE_NAME, unit="fire.service", enabled=None))
    world.machine.shell("rm /etc/systemd/system/fire.service; systemctl reset-failed")


@pytest.mark.covers("F66")
def test_unit_when_systemd_has_counted_its_starts_is_started_all_the_same(
    world: World,
) -> None:
    """A quick rerun does not count as a crash, after which a server is left alone."""
    text = "[Unit]\\nStartLimitIntervalSec=600\\nStartLimitBurst=1\\n"
    text += "[Service]\\nExecStart=/bin/sleep 3600\\n[Install]\\nWantedBy=multi-user.target\\n"
    path, machine = "/etc/systemd/system/counted.service", world.machine
    machine.shell(
        f'printf "{text}" >{path}; systemctl enable --now counted; systemctl stop counted'
    )
    machine.run(Unit(on=MACHINE_NAME, unit="counted.service"))
    assert machine.shell("systemctl is-active counted") == "active"
    machine.shell(f"systemctl disable --now counted; rm {path}; systemctl daemon-reload")


@pytest.mark.covers("row:A7")
def test_job_when_its_end_is_awaited_is_reported_at_it_and_else_after_the_time_given(
    world: World,
) -> None:
    machine, job = world.machine, Job("pgprovision-law.service")
    free = job.unless_running(Probe("echo asked"))

    def begin(seconds: str) -> None:
        machine.shell(job.start("a law", "sleep", seconds).text)

    begin("3600")
    assert machine.probe(free) == Answer(NOT_PROBED)
    assert machine.probe(job.end_probe(0.5)).code == 0
    assert job.read(machine.probe(job.probe())).state == "running"
    machine.shell(f"systemctl stop {job.unit}")
    begin("1")
    while job.read(machine.probe(job.probe())).state == "running":  # each ask ends with it, or soon
        assert machine.probe(job.end_probe(50.0)).code == 0
    assert machine.probe(free).text == "asked\n"
    assert machine.probe(job.end_probe(50.0)).code == 0


@pytest.mark.covers("F53")
def test_packages_when_dpkg_is_locked_wait_and_name_the_lock_owner(world: World) -> None:
    world.machine.shell("apt-get -q -y remove less")
    program = "import fcntl, time; f = open('/var/lib/dpkg/lock-frontend', 'w')"
    program += "; fcntl.lockf(f, fcntl.LOCK_EX); print('held', flush=True); time.sleep(3)"
    world.machine.shell(
        f'setsid python3 -c "{program}" >/tmp/held 2>&1 </dev/null &'
        " until grep -q held /tmp/held; do sleep 0.1; done"
    )
    observed: list[str] = []

    class Listener(SilentObserver):
        def waiting(self, resource: Resource, waiting: Waiting, seconds: float) -> None:
            observed.append(waiting.reason)

    world.machine.run(world.packages, watcher=Listener())
    assert "locked by python3" in observed[0]
    assert not world.machine.plan(world.packages)
