"""Restores to a point in time, on a real machine with a real store: cut exactly to the row (F118).

A canary writes numbered rows, each a transaction of its own, and keeps what it was acknowledged.
Every cut goes into an instance of its own beside the running server, and its rows are compared one
by one. PGP_PITR=100 makes a hundred cuts (`make pitr`).
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from pgprovision.model import Report
from pgprovision.resources.instance import Instance
from pgprovision.resources.restored import Restored
from pgprovision.restore_target import Kind, Target, target
from tests.laws.backup.conftest import World
from tests.laws.backup.machine import NAME, Machine

pytestmark = pytest.mark.lab

CUT = Instance(name="cut", port=5499)
MAIN = Instance()
SWITCH = "select pg_switch_wal()"
ZONES = ("Europe/Berlin", "America/New_York", "Asia/Kolkata", "UTC")


@dataclass(frozen=True)
class Row:
    """One acknowledged row: its transaction, when it was committed, where the WAL was then."""

    number: int
    xid: str
    committed: datetime
    lsn: str


def sql(machine: Machine, query: str, instance: Instance = MAIN) -> str:
    psql = f"runuser -u postgres -- psql -XAtq -v ON_ERROR_STOP=1 -p {instance.port}"
    return machine.shell(f"cd /; {psql} <<'SQL'\n{query}\nSQL")


def write(machine: Machine, first: int, count: int) -> list[Row]:
    """The canary: one session, a transaction a row."""
    one = (
        "insert into canary values ({n}) returning pg_current_xact_id() as xid \\gset\n"
        "select {n}, :'xid', to_char(pg_xact_commit_timestamp(:'xid'::xid) at time zone 'UTC',"
        " 'YYYY-MM-DD HH24:MI:SS.US') || '+00:00', pg_current_wal_lsn();\n"
        "select pg_sleep(0.01) \\g /dev/null\n"
    )
    text = "".join(one.format(n=n) for n in range(first, first + count))
    lines = (line.split("|") for line in sql(machine, text).splitlines())
    return [
        Row(int(n), xid, datetime.fromisoformat(committed), lsn) for n, xid, committed, lsn in lines
    ]


def archived(machine: Machine) -> None:
    """Everything written so far is in the repository."""
    segment = sql(machine, f"select pg_walfile_name(pg_current_wal_lsn()); {SWITCH}").split()[0]
    look = "runuser -u postgres -- psql -XAtc 'select last_archived_wal from pg_stat_archiver'"
    machine.shell(
        f'cd /; for i in $(seq 200); do l=$({look}); [ "$l" \\< {segment} ] || exit 0;'
        " sleep 0.1; done; exit 1".replace("\\<", "'<'")
    )
    machine.shell("sleep 1.1")  # the store's times are whole seconds


@dataclass(frozen=True)
class Canary:
    """Rows before and after each of two backups, and a restore point after row 60."""

    world: World
    rows: tuple[Row, ...]
    before: datetime

    def restored(self, wish: Target, **given: object) -> Restored:
        made = Restored(on=NAME, instance=CUT, stanza="main", target=wish)
        return replace(made, **given)  # type: ignore[arg-type]

    def cut(self, wish: Target, **given: object) -> list[int]:
        """The rows of a restore to there."""
        self.run(wish, **given)
        return self.numbers()

    def run(self, wish: Target, **given: object) -> Report:
        """The cut before is moved away first, as a person would."""
        machine, data = self.world.machine, CUT.data_directory
        machine.shell(f"rm -rf /tmp/cuts; mkdir /tmp/cuts; mv {data}* /tmp/cuts/ 2>/dev/null; true")
        return machine.run(self.restored(wish, **given))

    def numbers(self) -> list[int]:
        machine, data = self.world.machine, CUT.data_directory
        own = f"-p {CUT.port} -c hba_file=/tmp/hba -c config_file=/tmp/conf -c fsync=off"
        control = f"cd /; runuser -u postgres -- {CUT.bin}/pg_ctl -D {data} -s -w"
        start = f'-l /tmp/cut.log -o "{own} -c listen_addresses= -c archive_mode=off" start'
        machine.shell(f"{control} {start}")
        found = sql(machine, "select n from canary order by n", CUT)
        machine.shell(f"{control} -m immediate stop")
        return [int(line) for line in found.split()]

    def upto(self, number: int) -> list[int]:
        return [row.number for row in self.rows if row.number <= number]

    def row(self, number: int) -> Row:
        return self.rows[number - 1]


@pytest.fixture(scope="module")
def canary(world: World) -> Iterator[Canary]:
    machine = world.machine
    machine.run(world.conf())
    more = f"{MAIN.config_directory}/conf.d/canary.conf"
    machine.shell(f"echo 'track_commit_timestamp = on' >{more}; systemctl restart {MAIN.unit}")
    machine.shell(
        "echo 'local all postgres peer' >/tmp/hba; : >/tmp/conf; chmod 644 /tmp/hba /tmp/conf"
    )
    before = datetime.now(UTC) - timedelta(days=1)
    sql(machine, "create table canary(n int primary key)")
    rows = write(machine, 1, 30)
    machine.shell("systemctl start pgbackrest-backup@diff.service")
    machine.shell("sleep 1.1")
    rows += write(machine, 31, 30)
    sql(machine, "select pg_create_restore_point('sixty')")
    rows += write(machine, 61, 40)
    archived(machine)
    yield Canary(world, tuple(rows), before)
    machine.shell(f"rm {more}; systemctl restart {MAIN.unit}")


def spelled(moment: datetime, zone: str) -> str:
    """As a person in that zone would write it."""
    return f"{moment.astimezone(ZoneInfo(zone)):%Y-%m-%d %H:%M:%S.%f} {zone}"


def test_D6_restore_when_without_a_target_has_every_acknowledged_row(canary: Canary) -> None:
    assert canary.cut(target({})) == canary.upto(100)


@pytest.mark.parametrize("zone", ZONES[:3])
def test_F118_restore_to_a_time_when_in_any_zone_is_exact(canary: Canary, zone: str) -> None:
    moment = spelled(canary.row(45).committed, zone)
    assert canary.cut(target({"time": moment})) == canary.upto(45)


def test_F118_restore_when_right_before_a_time_leaves_that_row_out(canary: Canary) -> None:
    moment = spelled(canary.row(70).committed, "UTC")
    assert canary.cut(target({"time": moment}, inclusive=False)) == canary.upto(69)


@pytest.mark.parametrize("kind", ["lsn", "xid"])
def test_F118_restore_to_a_place_or_transaction_is_exact(canary: Canary, kind: Kind) -> None:
    row = canary.row(52)
    assert canary.cut(target({kind: getattr(row, kind)})) == canary.upto(52)


def test_F118_restore_to_a_named_point_is_exact(canary: Canary) -> None:
    assert canary.cut(target({"name": "sixty"})) == canary.upto(60)
