"""Restores to a point in time, on a real machine with a real store: cut exactly to the row (F118).

A canary writes numbered rows, each a transaction of its own, and keeps what it was acknowledged.
Every cut goes into an instance of its own beside the running server, and its rows are compared one
by one. `make pitr` makes a hundred of them.
"""

import os
import random
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from pgprovision.engine.model import Answer, Report
from pgprovision.errors import InventoryError, Refused, StepFailed
from pgprovision.recovery_target import RecoveryTarget, TargetKind, recovery_target
from pgprovision.resources.data_directory import drill_cleanup
from pgprovision.resources.data_directory.empty_host import EmptyHostCheck
from pgprovision.resources.data_directory.restore import RESTORE_UNIT, RestoredDataDirectory
from pgprovision.resources.pgbackrest.info import BackupInfo, parse
from pgprovision.resources.postgres.server.instance import Instance, in_progress_file
from tests.laws.backup.conftest import World
from tests.laws.backup.test_backup_laws import Deserter, Killed
from tests.support.backup_machine import MACHINE_NAME, BackupMachine
from tests.support.postgres_machine import SilentObserver

pytestmark = pytest.mark.lab
long = pytest.mark.backups  # the others are in `make test`, too

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


def sql(machine: BackupMachine, query: str, instance: Instance = MAIN) -> str:
    psql = f"runuser -u postgres -- psql -XAtq -v ON_ERROR_STOP=1 -p {instance.port}"
    return machine.shell(f"cd /; {psql} <<'SQL'\n{query}\nSQL")


def write(machine: BackupMachine, first: int, count: int) -> list[Row]:
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


def archived(machine: BackupMachine) -> None:
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

    def restored(self, target: RecoveryTarget) -> RestoredDataDirectory:
        return RestoredDataDirectory(on=MACHINE_NAME, instance=CUT, stanza="main", target=target)

    def cut(self, target: RecoveryTarget) -> list[int]:
        """The rows of a restore to there."""
        self.run(target)
        return self.numbers()

    def run(self, target: RecoveryTarget, watcher: SilentObserver | None = None) -> Report:
        """The cut before is moved away first, as a person would."""
        machine, data = self.world.machine, CUT.data_directory
        machine.shell(f"rm -rf /tmp/cuts; mkdir /tmp/cuts; mv {data}* /tmp/cuts/ 2>/dev/null; true")
        return machine.run(self.restored(target), watcher=watcher)

    def numbers(self, table: str = "canary") -> list[int]:
        machine, data = self.world.machine, CUT.data_directory
        own = f"-p {CUT.port} -c hba_file=/tmp/hba -c config_file=/tmp/conf -c fsync=off"
        control = f"cd /; runuser -u postgres -- {CUT.bin_directory}/pg_ctl -D {data} -s -w"
        start = f'-l /tmp/cut.log -o "{own} -c listen_addresses= -c archive_mode=off" start'
        machine.shell(f"{control} {start}")
        found = sql(machine, f"select n from {table} order by n", CUT)
        machine.shell(f"{control} -m immediate stop")
        return [int(line) for line in found.split()]

    def backups(self) -> tuple[BackupInfo, ...]:
        machine = self.world.machine
        output = machine.shell("cd /; runuser -u postgres -- pgbackrest --output=json info")
        return parse(Answer(out=output.encode())).backups

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
    sql(machine, "alter system set archive_timeout = '59s'")  # the original's, and not a copy's
    machine.shell("systemctl start pgbackrest-backup@full.service")  # WAL before it may have holes
    sql(machine, "create table canary(n int primary key)")
    rows = write(machine, 1, 30)
    machine.shell("systemctl start pgbackrest-backup@diff.service")
    machine.shell("sleep 1.1")
    rows += write(machine, 31, 30)
    sql(machine, "select pg_create_restore_point('sixty')")
    archived(machine)  # the rows that follow are in a segment of their own
    rows += write(machine, 61, 40)
    archived(machine)
    yield Canary(world, tuple(rows), before)
    sql(machine, "alter system reset archive_timeout")
    machine.shell(f"rm {more}; systemctl restart {MAIN.unit}")


def segment_of(lsn: str) -> str:
    """Of 16 MB, without its timeline."""
    high, low = lsn.split("/")
    return f"{int(high, 16):08X}{int(low, 16) >> 24:08X}"


def spelled(moment: datetime, zone: str) -> str:
    """As a person in that zone would write it."""
    return f"{moment.astimezone(ZoneInfo(zone)):%Y-%m-%d %H:%M:%S.%f} {zone}"


@pytest.mark.covers("row:D6")
def test_restore_when_without_a_target_has_every_acknowledged_row(canary: Canary) -> None:
    assert canary.cut(recovery_target({})) == canary.upto(100)


@pytest.mark.covers("F118")
@pytest.mark.parametrize("zone", [ZONES[0], *(pytest.param(z, marks=long) for z in ZONES[1:3])])
def test_restore_to_a_time_when_in_any_zone_is_exact(canary: Canary, zone: str) -> None:
    moment = spelled(canary.row(45).committed, zone)
    assert canary.cut(recovery_target({"time": moment})) == canary.upto(45)


@pytest.mark.covers("F118")
@long
def test_restore_when_right_before_a_time_leaves_that_row_out(canary: Canary) -> None:
    moment = spelled(canary.row(70).committed, "UTC")
    assert canary.cut(recovery_target({"time": moment}, inclusive=False)) == canary.upto(69)


@pytest.mark.covers("F118")
@pytest.mark.parametrize("kind", ["lsn", "xid"])
def test_restore_to_a_place_or_transaction_is_exact(canary: Canary, kind: TargetKind) -> None:
    row = canary.row(52)
    assert canary.cut(recovery_target({kind: getattr(row, kind)})) == canary.upto(52)


@pytest.mark.covers("F118")
@long
def test_restore_to_a_named_point_is_exact(canary: Canary) -> None:
    assert canary.cut(recovery_target({"name": "sixty"})) == canary.upto(60)


@pytest.mark.covers("F118")
@long
def test_restore_when_nothing_was_committed_since_is_the_end(canary: Canary) -> None:
    last = canary.row(100).committed + timedelta(milliseconds=1)
    target = recovery_target({"time": last.isoformat()})
    assert canary.cut(target) == canary.upto(100)
    (note,) = canary.world.machine.notes(canary.restored(target))[:1]
    assert "is later than the last transaction in the repository" in note


@pytest.mark.covers("F118")
@long
@pytest.mark.parametrize(
    ("target", "expected"),
    [
        ({"xid": "3999999999"}, "was not reached"),
        ({"name": "never"}, "recovery ended before configured recovery target was reached"),
    ],
)
def test_restore_when_the_target_is_not_met_is_bad_input(
    canary: Canary, target: dict[TargetKind, str], expected: str
) -> None:
    with pytest.raises(InventoryError) as refused:
        canary.run(recovery_target(target))
    assert expected in str(refused.value)
    assert "--set" in str(refused.value)
    assert canary.world.machine.plan(
        canary.restored(recovery_target({}))
    )  # another target may be tried


@pytest.mark.covers("F118")
@long
def test_restore_when_given_the_backup_before_finds_what_is_before_the_newest(
    canary: Canary,
) -> None:
    row = canary.row(20)
    *_, full = [b for b in canary.backups() if b.type == "full"]
    assert canary.cut(recovery_target({"xid": row.xid}, backup=full.label)) == canary.upto(20)


@pytest.mark.covers("F114")
@pytest.mark.parametrize("target", [{}, {"xid": "3999999999"}], ids=["end", "xid"])
def test_restore_when_a_segment_is_missing_fails_and_names_it(
    canary: Canary, target: dict[TargetKind, str]
) -> None:
    """Also where it ends before a target: another one would not help."""
    store = canary.world.lab.home / "s3" / "data"
    (path,) = store.rglob(f"*{segment_of(canary.row(59).lsn)}-*")
    moved = path.rename(store / path.name)
    try:
        with pytest.raises(StepFailed, match="the next one is missing or damaged"):
            canary.run(recovery_target(target))
    finally:
        moved.rename(path)


@long
def test_restore_when_it_runs_already_is_attached_to_and_leaves_no_setting(canary: Canary) -> None:
    with pytest.raises(Killed):
        canary.run(recovery_target({}), watcher=Deserter())
    machine = canary.world.machine
    first = machine.shell(f"systemctl show -p InvocationID --value {RESTORE_UNIT}")
    report = machine.run(canary.restored(recovery_target({})))
    assert first
    assert not report.changed
    assert not machine.plan(canary.restored(recovery_target({})))
    data = CUT.data_directory
    assert machine.shell(f"grep -v '^#' {data}/postgresql.auto.conf", fails=True) == ""
    assert machine.shell(f"ls {data} | grep -c signal", fails=True) == "0"


@pytest.mark.covers("F66")
@long
def test_restore_when_killed_is_set_aside_and_created_again(canary: Canary) -> None:
    with pytest.raises(Killed):
        canary.run(recovery_target({}), watcher=Deserter())
    machine = canary.world.machine
    begun = f'[ -e {in_progress_file(CUT)} ] && [ -n "$(ls -A {CUT.data_directory})" ]'
    machine.shell(
        f"until {begun}; do sleep 0.01; done; systemctl kill -s KILL {RESTORE_UNIT}; sleep 0.5"
    )
    with pytest.raises(StepFailed, match="run the same command again"):
        machine.run(canary.restored(recovery_target({})))
    machine.run(canary.restored(recovery_target({})))
    assert canary.numbers() == canary.upto(100)
    assert machine.shell(f"ls -d {CUT.data_directory}.aside-*")


@pytest.mark.covers("F117")
@long
def test_machine_when_another_cluster_runs_there_is_refused(canary: Canary) -> None:
    with pytest.raises(
        Refused, match=r"another PostgreSQL is running: /var/lib/postgresql/15/main"
    ):
        canary.world.machine.plan(EmptyHostCheck(on=MACHINE_NAME, instance=CUT))


@pytest.mark.covers("F118")
def test_hundred_cuts_when_drawn_at_random_are_all_exact(canary: Canary) -> None:
    """Three at random in `make test`; the same kinds in `make pitr`."""
    count = int(os.environ.get("PGP_PITR", "3"))
    draw = random.Random(count)
    wrong = []
    for number in range(count):
        row, kind = canary.row(draw.randrange(31, 100)), ("time", "lsn", "xid")[number % 3]
        zone, before = draw.choice(ZONES), kind != "lsn" and draw.random() < 0.3
        text = spelled(row.committed, zone) if kind == "time" else getattr(row, kind)
        target = recovery_target({kind: text}, inclusive=not before)  # type: ignore[dict-item]
        found = canary.cut(target)
        if found != canary.upto(row.number - before):
            wrong.append(f"{target}: {len(found)} rows, row {row.number}")
    print(f"{count - len(wrong)} of {count} cuts exact")
    assert wrong == []


@pytest.mark.covers("F117", "F118")
@long
def test_tablespace_when_restored_is_beside_the_data_and_the_original_stays(
    canary: Canary,
) -> None:
    machine, space = canary.world.machine, "/srv/space"
    machine.shell(f"install -d -o postgres -g postgres -m 700 {space}")
    sql(machine, f"create tablespace far location '{space}'")
    try:
        sql(machine, "create table distant tablespace far as select n from canary")
        machine.shell("systemctl start pgbackrest-backup@diff.service")
        archived(machine)
        before = machine.shell(f"find {space} -printf '%p %i %s\\n'")
        assert canary.cut(recovery_target({})) == canary.upto(100)
        data = CUT.data_directory
        (link,) = machine.shell(f"readlink {data}/pg_tblspc/*").split()
        assert link == f"{data}.tablespaces-{machine.shell(f'stat -c %i {data}')}/far"
        assert canary.numbers("distant") == canary.upto(100)
        assert machine.shell(f"find {space} -printf '%p %i %s\\n'") == before
        machine.shell(f"mv {data} {data}.aside-1")
        assert machine.probe(drill_cleanup.set_aside_probe(CUT)).text.split() == [
            f"{data}.aside-1",
            link[:-4],
        ]
    finally:
        sql(machine, "drop table if exists distant; drop tablespace far")
