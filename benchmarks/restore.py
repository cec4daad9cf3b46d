"""Our restore and our first replica seed against the bare tools, of the same database in one run.

    make bench-restore SIZE=5        # GB; on a lab machine of its own

Each round does all four, one after the other, so that all meet the same machine; which of two goes
first takes turns, as the first one meets colder caches (a second or two of the time), so a ratio is
of two rounds. Ours is the whole loop: its looks, the unit, the checks before and after. The bare
ones are `pg_basebackup` and `pgbackrest restore`, the latter followed by the recovery to the end of
the WAL that ours includes.
"""

import os
import statistics
import time
from collections.abc import Callable, Mapping, Sequence

import pytest

from pgprovision.engine.loop import converge
from pgprovision.engine.model import Action, Answer, Probe, Resource, Tier
from pgprovision.engine.observe import Target
from pgprovision.lab.console import enter_command
from pgprovision.resources.data_directory.restore import RestoredDataDirectory
from pgprovision.resources.data_directory.source import BaseBackup
from pgprovision.resources.data_directory.standby import Standby
from pgprovision.resources.postgres.server.instance import Instance
from pgprovision.transport.host import Host
from pgprovision.transport.local import LocalConnection
from tests.laws.backup.conftest import World, booted, world
from tests.support.backup_machine import MACHINE_NAME, approve_restart
from tests.support.postgres_machine import SilentObserver

__all__ = ["booted", "world"]
pytestmark = pytest.mark.lab

SIZE = float(os.environ.get("PGP_SIZE", "5"))  # GB
ROUNDS = int(os.environ.get("PGP_ROUNDS", "8"))  # an even number
MOST = 1.10
SCALE_PER_GB = 67  # of pgbench: 15 MB each
PARENT = "/var/lib/postgresql/15"
CONNINFO = "host=/var/run/postgresql port=5432 user=postgres"
POSTGRES = "cd /; runuser -u postgres --"
BIN = "/usr/lib/postgresql/15/bin"


class Primary:
    """The other machine, of which only the system identifier is probed."""

    name = "primary"

    def __init__(self, identifier: str) -> None:
        self._answer = Answer(out=identifier.encode())

    def observe(self, probes: Sequence[Probe]) -> Mapping[Probe, Answer]:
        return dict.fromkeys(probes, self._answer)

    def act(self, actions: Sequence[Action], done: Callable[[Action], None]) -> None:
        raise AssertionError("nothing is done to the primary")


def timed(work: Callable[[], object]) -> float:
    os.sync()
    began = time.monotonic()
    work()
    return time.monotonic() - began


def in_turns(ours: Sequence[float], bare: Sequence[float]) -> list[float]:
    """A ratio for every two rounds, in which each of the two went first once."""
    pairs = zip(ours[::2], ours[1::2], bare[::2], bare[1::2], strict=True)
    return [(a + b) / (bare_a + bare_b) for a, b, bare_a, bare_b in pairs]


def test_restore_and_clone_when_timed_beside_the_bare_tools_are_as_fast(world: World) -> None:
    machine = world.machine

    def ours(resource: Resource) -> None:
        host = Host(
            MACHINE_NAME, lambda: LocalConnection(enter_command(machine.folder, ["sh", "-s"]))
        )
        targets: dict[str, Target] = {MACHINE_NAME: host, "primary": Primary(identifier)}
        report = converge([Tier("bench", (resource,))], targets, approve_restart, SilentObserver())
        assert not report.failed, report.failed
        assert report.changed

    def bare_restore() -> None:
        """pg_ctl waits for the begin of a recovery that nobody can watch, not for its end."""
        there = f"{PARENT}/bare"
        words = f"pgbackrest --stanza=main --pg1-path={there} --type=default restore"
        machine.shell(f"install -d -o postgres -m 0700 {there}; {POSTGRES} {words}")
        options = "-c config_file=/tmp/conf -c hba_file=/tmp/hba -c port=5998 -c archive_mode=off"
        quiet = "-c listen_addresses= -c unix_socket_directories=/tmp -c hot_standby=off"
        recovered = f"until sed -n 8p {there}/postmaster.pid | grep -q ready; do sleep 0.05; done"
        control = f"{POSTGRES} {BIN}/pg_ctl -s -w -t 3600 -D {there}"
        start = f'{control} -l /tmp/bare.log -o "{options} {quiet}" start'
        machine.shell(f"{start}; {recovered}; {control} stop")

    def bare_clone() -> None:
        words = f"{BIN}/pg_basebackup -d '{CONNINFO}' -D {PARENT}/bare -S bench -X stream -c fast"
        machine.shell(f"{POSTGRES} {words}")

    def cleared(name: str, work: Callable[[], object]) -> float:
        took = timed(work)
        machine.shell(f"rm -rf {PARENT}/{name} {PARENT}/{name}.*")
        return took

    machine.run(world.conf())
    machine.shell("echo 'local all postgres peer' >/tmp/hba; : >/tmp/conf; chmod 644 /tmp/[hc]o*")
    machine.shell("chmod 644 /tmp/hba")
    scale = max(1, round(SIZE * SCALE_PER_GB))
    machine.shell(f"{POSTGRES} {BIN}/pgbench -i -q -s {scale} postgres")
    query = "select pg_create_physical_replication_slot('bench', true)"
    machine.shell(f'{POSTGRES} psql -XAtqc "{query}"')
    machine.shell(f"{POSTGRES} pgbackrest --stanza=main --type=full backup")
    size = machine.shell(f"du -sm {PARENT}/main | cut -f 1")
    identifier = machine.shell(f"od -An -t u8 -N 8 {PARENT}/main/global/pg_control").strip()
    restored = RestoredDataDirectory(
        on=MACHINE_NAME, instance=Instance(name="ours", port=5999), stanza="main"
    )
    standby = Standby(
        on=MACHINE_NAME,
        instance=Instance(name="ours", port=5999),
        primary="primary",
        data_source=BaseBackup("primary", CONNINFO, "bench"),
    )
    took: dict[str, list[float]] = {}
    pairs: list[list[tuple[str, str, Callable[[], None]]]] = [
        [
            ("pgbackrest restore", "bare", bare_restore),
            ("our restore", "ours", lambda: ours(restored)),
        ],
        [("pg_basebackup", "bare", bare_clone), ("our clone", "ours", lambda: ours(standby))],
    ]
    for number in range(ROUNDS):
        for pair in pairs:
            for word, name, work in pair[:: -1 if number % 2 else 1]:
                took.setdefault(word, []).append(cleared(name, work))
    print(f"\ndata directory {size} MB, {ROUNDS} rounds, load {os.getloadavg()[0]:.1f}")
    middle = {word: statistics.median(times) for word, times in took.items()}
    for word, times in took.items():
        print(f"{word:<20} {middle[word]:7.1f} s   {', '.join(f'{t:.1f}' for t in times)}")
    ratios = {
        "restore": in_turns(took["our restore"], took["pgbackrest restore"]),
        "clone": in_turns(took["our clone"], took["pg_basebackup"]),
    }
    for word, of in ratios.items():
        each = ", ".join(f"{ratio:.3f}" for ratio in of)
        print(
            f"{word}: {statistics.median(of):.3f} of the bare tool's time (at most {MOST}); {each}"
        )
    machine.shell(f"{POSTGRES} psql -XAtqc \"select pg_drop_replication_slot('bench')\"")
    assert all(statistics.median(of) <= MOST for of in ratios.values()), ratios
