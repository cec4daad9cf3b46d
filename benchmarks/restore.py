"""Our restore and our first replica seed against the bare tools, of the same database in one run.

    make bench-restore SIZE=2        # GB; on a lab machine of its own

Each round does all four, one after the other, so that all meet the same machine. Ours is the whole
loop: its looks, the unit, the checks before and after. The bare ones are `pg_basebackup` and
`pgbackrest restore`, the latter followed by the recovery to the end of the WAL that ours includes.
"""

import os
import statistics
import time
from collections.abc import Callable, Mapping, Sequence

import pytest

from pgprovision.backends.host import Host
from pgprovision.backends.local import LocalWire
from pgprovision.engine import converge
from pgprovision.lab.console import enter
from pgprovision.model import Answer, Ask, Do, Resource, Tier
from pgprovision.observe import Target
from pgprovision.resources.instance import Instance
from pgprovision.resources.restored import Restored
from pgprovision.resources.seed import BaseBackup
from pgprovision.resources.standby import Standby
from tests.laws.backup.conftest import World, booted, world
from tests.laws.backup.machine import NAME, yes
from tests.laws.postgres.server import Silent

__all__ = ["booted", "world"]
pytestmark = pytest.mark.lab

SIZE = float(os.environ.get("PGP_SIZE", "2"))  # GB
ROUNDS = int(os.environ.get("PGP_ROUNDS", "3"))
MOST = 1.10
SCALE_PER_GB = 67  # of pgbench: 15 MB each
PARENT = "/var/lib/postgresql/15"
CONNINFO = "host=/var/run/postgresql port=5432 user=postgres"
POSTGRES = "cd /; runuser -u postgres --"
BIN = "/usr/lib/postgresql/15/bin"


class Primary:
    """The other machine, of which only the system identifier is asked."""

    name = "primary"

    def __init__(self, identifier: str) -> None:
        self._answer = Answer(out=identifier.encode())

    def look(self, asks: Sequence[Ask]) -> Mapping[Ask, Answer]:
        return dict.fromkeys(asks, self._answer)

    def act(self, actions: Sequence[Do], done: Callable[[Do], None]) -> None:
        raise AssertionError("nothing is done to the primary")


def timed(work: Callable[[], object]) -> float:
    os.sync()
    began = time.monotonic()
    work()
    return time.monotonic() - began


def test_restore_and_seed_when_timed_beside_the_bare_tools_are_as_fast(world: World) -> None:
    machine = world.machine

    def ours(resource: Resource) -> None:
        host = Host(NAME, lambda: LocalWire(enter(machine.folder, ["sh", "-s"])))
        targets: dict[str, Target] = {NAME: host, "primary": Primary(identifier)}
        report = converge([Tier("bench", (resource,))], targets, yes, Silent())
        assert not report.failed, report.failed
        assert report.changed

    def bare_restore() -> None:
        there = f"{PARENT}/bare"
        words = f"pgbackrest --stanza=main --pg1-path={there} --type=default restore"
        machine.shell(f"install -d -o postgres -m 0700 {there}; {POSTGRES} {words}")
        options = "-c config_file=/tmp/conf -c hba_file=/tmp/hba -c port=5998 -c archive_mode=off"
        quiet = "-c listen_addresses= -c unix_socket_directories=/tmp -c hot_standby=off"
        control = f"{POSTGRES} {BIN}/pg_ctl -s -w -t 3600 -D {there}"
        machine.shell(f'{control} -l /tmp/bare.log -o "{options} {quiet}" start; {control} stop')

    def bare_seed() -> None:
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
    restored = Restored(on=NAME, instance=Instance(name="ours", port=5999), stanza="main")
    standby = Standby(
        on=NAME,
        instance=Instance(name="ours", port=5999),
        primary="primary",
        seed=BaseBackup("primary", CONNINFO, "bench"),
    )
    took: dict[str, list[float]] = {}
    for _ in range(ROUNDS):
        for word, name, work in (
            ("pgbackrest restore", "bare", bare_restore),
            ("our restore", "ours", lambda: ours(restored)),
            ("pg_basebackup", "bare", bare_seed),
            ("our seed", "ours", lambda: ours(standby)),
        ):
            took.setdefault(word, []).append(cleared(name, work))
    print(f"\ndata directory {size} MB, {ROUNDS} rounds, load {os.getloadavg()[0]:.1f}")
    middle = {word: statistics.median(times) for word, times in took.items()}
    for word, times in took.items():
        print(f"{word:<20} {middle[word]:7.1f} s   {', '.join(f'{t:.1f}' for t in times)}")
    ratios = {
        "restore": middle["our restore"] / middle["pgbackrest restore"],
        "seed": middle["our seed"] / middle["pg_basebackup"],
    }
    for word, ratio in ratios.items():
        print(f"{word}: {ratio:.3f} of the bare tool's time (at most {MOST:.2f})")
    machine.shell(f"{POSTGRES} psql -XAtqc \"select pg_drop_replication_slot('bench')\"")
    assert all(ratio <= MOST for ratio in ratios.values()), ratios
