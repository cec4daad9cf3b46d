"""Restores on real machines: what can be restored, a copy, the primary put back, the whole cluster
from its bucket alone. One cluster for the whole file; each part goes on from the one before.
"""

import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import pytest

from pgprovision.lab.manager import Lab
from pgprovision.lab.process import wait_until
from tests.support.cli_user import CliUser, CommandResult, new_user
from tests.support.host_state import DATA_DIRECTORY, MARKER, count_aside_directories
from tests.support.inventory_folders import bare_host

pytestmark = [pytest.mark.lab, pytest.mark.backups]

ONE, TWO, COPY = "past-1", "past-2", "past-copy"
BOOKS = "hcb_production"


@dataclass(frozen=True)
class Row:
    """A row that PostgreSQL reported as committed, and when."""

    number: int
    committed: datetime


@dataclass(frozen=True)
class Past:
    """A cluster with a canary's rows in it."""

    person: CliUser

    def write(self, first: int, last: int, node: str = ONE) -> list[Row]:
        """A transaction a row; what was acknowledged."""
        one = (
            "insert into canary values ({n}) returning pg_current_xact_id() as xid \\gset\n"
            "select {n}, to_char(pg_xact_commit_timestamp(:'xid'::xid) at time zone 'UTC',"
            " 'YYYY-MM-DD HH24:MI:SS.US') || '+00:00';\n"
        )
        text = "".join(one.format(n=n) for n in range(first, last + 1))
        lines = (line.split("|") for line in self.person.sql(node, text, BOOKS).splitlines())
        return [Row(int(n), datetime.fromisoformat(at)) for n, at in lines]

    def archive(self, node: str = ONE) -> None:
        """What was written so far is in the repository."""
        switch = "select pg_walfile_name(pg_current_wal_lsn()); select pg_switch_wal()"
        segment = self.person.sql(node, switch).split()[0]
        last = "select coalesce(last_archived_wal, '') from pg_stat_archiver"
        assert wait_until(lambda: self.person.sql(node, last)[8:24] >= segment[8:], seconds=60)
        self.person.shell(node, "sleep 1.1")  # the store's times are whole seconds

    def rows(self, node: str) -> list[int]:
        found = self.person.sql(node, "select n from canary order by n", BOOKS)
        return [int(line) for line in found.split()]

    def repository(self, node: str = ONE) -> set[str]:
        """Every object's name and size."""
        words = "runuser -u postgres -- pgbackrest --stanza=main --output=json repo-ls --recurse"
        found = json.loads(self.person.shell(node, f"cd /; {words}"))
        return {f"{name} {item.get('size')}" for name, item in found.items()}

    def restore(self, *words: str) -> CommandResult:
        return self.person.run("restore", *words, "--json")

    def files(self) -> list[str]:
        return sorted(path.name for path in (self.person.inventory / "nodes").iterdir())


def upto(last: int) -> list[int]:
    return list(range(1, last + 1))


@pytest.fixture(scope="module")
def past(job_lab: Lab, tmp_path_factory: pytest.TempPathFactory) -> Past:
    """A primary and a replica, thirty rows, all archived."""
    person = new_user(job_lab, tmp_path_factory.mktemp("past"), "past")
    person.rewrite("cluster.yml", {r"(?m)^host:\n(?:[ #].*\n)*": bare_host()})
    stamps = "log_min_duration_statement: 500ms\n    track_commit_timestamp: true"
    person.rewrite("cluster.yml", {"log_min_duration_statement: 500ms": stamps})
    (person.inventory / "nodes" / f"{TWO}.yml").write_text("role: replica\nprivate_ip: 10.0.1.3\n")
    person.run_json("up", "--yes")
    return Past(person)


@pytest.fixture(scope="module")
def first(past: Past) -> list[Row]:
    past.person.sql(ONE, "set role rails; create table canary(n int primary key)", BOOKS)
    rows = past.write(1, 30)
    past.archive()
    return rows


# --- D6: what can be restored, from when to when ---


@pytest.mark.covers("row:D6")
def test_restore_plan_tells_from_when_to_when(past: Past, first: list[Row]) -> None:
    document = past.person.run_json("restore", "plan")
    (line,) = document["timelines"]
    (backup,) = document["backups"]
    assert (line["timeline"], line["backups"], document["node"]) == (1, [backup["label"]], ONE)
    begun, end = (
        datetime.fromisoformat(line[key]) for key in ("restorable_from", "restorable_until")
    )
    assert begun < first[0].committed < first[-1].committed < end + timedelta(seconds=1)
    assert backup["size"] > backup["repository_size"] > 0
    assert backup["label"] in past.person.run("restore", "plan").out


@pytest.mark.covers("F118")
@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (("--time", "2020-01-01 00:00Z"), "before the end of the first backup"),
        (("--time", "2126-01-01 00:00 Europe/Berlin"), "in the future"),
        (("--time", "2026-10-25 02:30 Europe/Berlin"), "twice that day"),
        (("--xid", "4000000000"), "is in the future"),
        ((), "expected either --to NAME"),
    ],
)
def test_restore_when_outside_the_window_is_bad_input_and_touches_nothing(
    past: Past, first: list[Row], words: tuple[str, ...], expected: str
) -> None:
    before, writes = past.files(), past.person.api_requests()["writes"]
    run = past.person.run("restore", *(("--to", COPY) if words else ()), *words, "--yes")
    assert run.code == 2, run.err
    assert expected in run.err
    assert (past.files(), past.person.api_requests()["writes"]) == (before, writes)


# --- D6: a copy on a machine of its own, which is no part of the cluster ---


@pytest.fixture(scope="module")
def copied(past: Past, first: list[Row]) -> CommandResult:
    """The first twenty rows, on a new server."""
    moment = first[19].committed.isoformat(sep=" ")
    return past.restore("--to", COPY, "--time", moment, "--yes")


@pytest.mark.covers("row:D6", "F118")
def test_copy_when_made_has_exactly_the_rows_of_that_moment(
    past: Past, copied: CommandResult
) -> None:
    assert copied.code == 0, copied.err
    assert past.rows(COPY) == upto(20)
    assert past.rows(ONE) == past.rows(TWO) == upto(30)
    restored = copied.document["restored"]
    assert (restored["node"], restored["timeline"], restored["target_not_reached"]) == (COPY, 2, "")
    assert restored["restore_seconds"] > 0 < restored["recovery_seconds"]


@pytest.mark.covers("row:D6")
def test_copy_when_it_runs_archives_nothing_and_is_no_part_of_the_cluster(
    past: Past, copied: CommandResult
) -> None:
    assert copied.code == 0, copied.err
    person = past.person
    assert person.sql(COPY, "show archive_mode; show cluster_name") == f"off\n{COPY}"
    assert person.sql(COPY, "select count(*) from pg_replication_slots") == "0"
    assert person.sql(COPY, "create table mine(); drop table mine") == ""
    names = past.repository()
    assert not [name for name in names if "/00000002" in name]
    backup = "cd /; runuser -u postgres -- pgbackrest --stanza=main backup"
    assert person.console(COPY, backup).returncode != 0
    assert past.repository() == names
    hba = person.shell(ONE, "cat /etc/postgresql/15/main/pg_hba.conf")
    assert "10.0.1.4/32" not in hba
    shown = {node["name"]: node["role"] for node in person.run_json("status")["nodes"]}
    assert shown == {ONE: "primary", TWO: "replica", COPY: "copy"}


@pytest.mark.covers("row:D6")
def test_copy_when_up_runs_again_is_as_it_should_be(past: Past, copied: CommandResult) -> None:
    found = past.person.run_json("up")
    assert (found["changes"], found["remaining"]) == ([], [])
    assert found["ssh_execs"] == {ONE: 1, TWO: 1, COPY: 1}


# --- F117: where somebody's data live, nothing is restored ---


@contextmanager
def renamed(person: CliUser, node: str, path: str) -> Iterator[None]:
    person.shell(node, f"mv {path} {path}.kept")
    yield
    person.shell(node, f"mv {path}.kept {path}")


@pytest.mark.covers("F117")
def test_restore_when_the_machine_holds_data_of_nobody_known_is_refused(
    past: Past, copied: CommandResult
) -> None:
    with renamed(past.person, COPY, MARKER):
        inode = past.person.shell(COPY, f"stat -c %i {DATA_DIRECTORY}")
        run = past.person.run("restore", "--in-place", COPY, "--confirm", COPY)
        assert run.code == 3, run.err
        assert "nothing says that it is past-copy" in run.err
        assert past.person.shell(COPY, f"stat -c %i {DATA_DIRECTORY}") == inode
        assert past.rows(COPY) == upto(20)


@pytest.mark.covers("F117")
def test_restore_when_another_cluster_runs_there_is_refused(
    past: Past, copied: CommandResult
) -> None:
    other, run_as = "/srv/other", "cd /; runuser -u postgres -- /usr/lib/postgresql/15/bin"
    person = past.person
    person.shell(COPY, f"install -d -o postgres {other}; {run_as}/initdb --no-sync -D {other}/data")
    options = "-p 5999 -c listen_addresses= -c unix_socket_directories=/tmp"
    person.shell(COPY, f'{run_as}/pg_ctl -w -D {other}/data -l /dev/null -o "{options}" start')
    try:
        run = person.run("restore", "--in-place", COPY, "--confirm", COPY)
        assert run.code == 3, run.err
        assert f"another PostgreSQL is running: {other}/data" in run.err
        assert past.rows(COPY) == upto(20)
    finally:
        person.shell(COPY, f"{run_as}/pg_ctl -w -m immediate -D {other}/data stop; rm -r {other}")


@pytest.mark.covers("F117")
@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (("--in-place", TWO, "--confirm", TWO), "is a replica"),
        (("--in-place", ONE, "--confirm", TWO), "the confirmation does not match the node's name"),
        (("--in-place", ONE), "the confirmation does not match the node's name"),
    ],
)
def test_restore_when_aimed_at_a_replica_or_not_confirmed_is_refused(
    past: Past, first: list[Row], words: tuple[str, ...], expected: str
) -> None:
    run = past.person.run("restore", *words)
    assert run.code == 3, run.err
    assert expected in run.err
    assert past.rows(ONE) == past.rows(TWO) == upto(30)


# --- F118: the primary put back, its replica with it; and restores across that ---


@pytest.fixture(scope="module")
def back(past: Past, first: list[Row], copied: CommandResult) -> CommandResult:
    """The primary as it was after the 25th row, on a timeline of its own."""
    moment = first[24].committed.isoformat(sep=" ")
    return past.restore("--in-place", ONE, "--confirm", ONE, "--time", moment)


@pytest.mark.covers("F118")
def test_restore_when_onto_the_primary_is_exact_and_its_replica_follows(
    past: Past, back: CommandResult
) -> None:
    assert back.code == 0, back.err
    assert past.rows(ONE) == upto(25)
    assert wait_until(lambda: past.rows(TWO) == upto(25), seconds=30)
    assert past.person.sql(TWO, "select status from pg_stat_wal_receiver") == "streaming"
    assert (
        count_aside_directories(past.person, ONE) == count_aside_directories(past.person, TWO) == 1
    )
    found = past.person.run_json("up")
    assert (found["changes"], found["remaining"]) == ([], [])


@pytest.mark.covers("F118")
def test_restore_when_across_a_promotion_follows_the_history_that_is_requested(
    past: Past, back: CommandResult, first: list[Row]
) -> None:
    assert back.code == 0, back.err
    later = past.write(101, 110)
    past.archive()
    lines = past.person.run_json("restore", "plan")["timelines"]
    assert [line["timeline"] for line in lines] == [1, 2]
    moment = later[4].committed.isoformat(sep=" ")
    run = past.restore("--in-place", COPY, "--confirm", COPY, "--time", moment)
    assert run.code == 0, run.err
    assert past.rows(COPY) == [*upto(25), *range(101, 106)]
    lost = first[28].committed.isoformat(sep=" ")
    words = ("--time", lost, "--timeline", "1")
    run = past.restore("--in-place", COPY, "--confirm", COPY, *words)
    assert run.code == 0, run.err
    assert past.rows(COPY) == upto(29)


# --- F119: nothing left but the inventory, its secrets and the bucket ---


@pytest.mark.covers("F119")
def test_rebuild_when_the_cluster_still_answers_is_refused(past: Past, back: CommandResult) -> None:
    run = past.person.run("rebuild", "--confirm", "past")
    assert run.code == 3, run.err
    assert "past-1 answers and has its data: the cluster is not gone" in run.err


@pytest.mark.covers("F119")
def test_rebuild_when_all_else_is_lost_brings_the_cluster_back_from_its_bucket(
    past: Past, back: CommandResult
) -> None:
    person = past.person
    past.archive()
    expected = past.rows(ONE)
    delete_servers(person)
    started = datetime.now(UTC)
    assert person.run("up", "--yes").code == 3  # never an empty one in its place
    run = person.run("rebuild", "--confirm", "past", "--json")
    assert run.code == 0, run.err
    assert past.rows(ONE) == expected
    document = run.document
    lost = datetime.fromisoformat(document["data_loss"]["committed_after"])
    assert started - timedelta(hours=1) < lost < started
    assert document["data_loss"]["seconds"] > 0
    assert set(document["phases"]) == {"machine", "packages", "restore", "recovery", "other"}
    assert document["restored"]["timeline"] == 3
    print({key: document[key] for key in ("data_loss", "phases", "seconds") if key in document})
    (person.inventory / "nodes" / f"{COPY}.yml").unlink()
    assert person.run("up", "--yes").code == 0
    assert wait_until(lambda: past.rows(TWO) == expected, seconds=30)


def delete_servers(person: CliUser) -> None:
    """Every server deleted by hand, and the controller's state with them."""
    cloud = person.cloud()
    for server in cloud.servers.get_all():
        if server.name in (ONE, TWO, COPY):
            server.change_protection(delete=False, rebuild=False).wait_until_finished()
            action = server.delete()
            action.wait_until_finished(max_retries=1000)
    shutil.rmtree(person.home / ".local", ignore_errors=True)
