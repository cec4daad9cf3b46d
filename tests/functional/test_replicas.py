"""Replicas on real machines: three of them, scopes, seeds, re-clone, removal, two primaries.

One cluster for the whole file; each test leaves it as it found it, up to those of the last part.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from pgprovision.lab.manager import Lab
from pgprovision.lab.process import wait_until
from tests.support.cli_user import CliUser, CommandResult, new_user, wait_for
from tests.support.inventory_folders import bare_host

pytestmark = pytest.mark.lab

ONE, TWO, THREE, FOUR = "kin-1", "kin-2", "kin-3", "kin-4"
DATA = "/var/lib/postgresql/15/main"
SERVICE = "postgresql@15-main.service"
JOB = "pgprovision-seed.service"
SLOW = '#!/bin/sh\nexec /usr/bin/pg_basebackup --max-rate=4M "$@"\n'
KILLED = -9


@pytest.fixture(scope="module")
def made(job_lab: Lab, tmp_path_factory: pytest.TempPathFactory) -> CliUser:
    """A primary with two replicas, from one `up`."""
    person = new_user(job_lab, tmp_path_factory.mktemp("kin"), "kin")
    person.rewrite("cluster.yml", {r"(?m)^host:\n(?:[ #].*\n)*": bare_host()})
    small = "wal_keep_size: 0\n    min_wal_size: 32MB\n    max_wal_size: 64MB"
    person.rewrite(
        "cluster.yml",
        {"max_slot_wal_keep_size: 2GB": "max_slot_wal_keep_size: 64MB"}
        | {"log_min_duration_statement: 500ms": small},
    )
    declare(person, TWO, 3)
    declare(person, THREE, 4)
    person.run_json("up", "--yes")
    return person


@pytest.fixture(scope="module")
def kin(made: CliUser) -> CliUser:
    """With a third one, from the backup repository."""
    made.run_json("add-replica", FOUR, "--clone-from", "backup", "--yes")
    return made


def declare(person: CliUser, node: str, last: int, role: str = "replica") -> None:
    path = person.inventory / "nodes" / f"{node}.yml"
    path.write_text(f"role: {role}\nprivate_ip: 10.0.1.{last}\n")


def streams(person: CliUser, node: str) -> str:
    return person.sql(node, "select status, slot_name from pg_stat_wal_receiver")


def inode(person: CliUser, node: str) -> str:
    return person.shell(node, f"stat -c %i {DATA}")


def aside(person: CliUser, node: str) -> int:
    return int(person.shell(node, f"ls -d {DATA}.aside-* 2>/dev/null | wc -l"))


def slots(person: CliUser, node: str = ONE) -> dict[str, str]:
    rows = person.sql(node, "select slot_name, wal_status from pg_replication_slots order by 1")
    return dict(line.split("|") for line in rows.splitlines())


def re_clone(person: CliUser, node: str, *words: str) -> CommandResult:
    return person.run("re-clone", node, "--confirm", node, *words)


def unchanged(person: CliUser, *scope: str) -> None:
    found = person.run_json("up", *scope)
    assert (found["changes"], found["remaining"]) == ([], [])


# --- E1, E2, E4: three of them, whatever they were seeded from ---


@pytest.mark.covers("row:E1", "row:E2", "row:E4")
def test_replicas_when_three_all_stream_through_slots_of_their_own(kin: CliUser) -> None:
    for number, node in enumerate((TWO, THREE, FOUR), 2):
        assert streams(kin, node) == f"streaming|pgprovision_kin_{number}"
    found = kin.run_json("up")
    assert (found["changes"], found["remaining"]) == ([], [])
    assert found["ssh_execs"] == {ONE: 1, TWO: 1, THREE: 1, FOUR: 1}


@pytest.mark.covers("row:E2")
def test_replica_when_seeded_from_the_backup_has_nothing_over_our_files(kin: CliUser) -> None:
    output = kin.shell(FOUR, f"journalctl -o cat -u {JOB}")
    assert "restore of stanza main" in output
    assert kin.shell(FOUR, f"grep -v '^#' {DATA}/postgresql.auto.conf", fails=True) == ""
    assert kin.shell(FOUR, f"ls {DATA} | grep signal") == "standby.signal"
    assert "archive-get" in kin.sql(FOUR, "show restore_command")


@pytest.mark.parametrize("scope", ["primary", "replicas", THREE])
def test_scope_when_alone_finds_nothing(kin: CliUser, scope: str) -> None:
    unchanged(kin, scope)


def test_scope_when_a_replica_alone_makes_its_slot_and_way_in_on_the_primary(kin: CliUser) -> None:
    kin.shell(THREE, f"systemctl stop {SERVICE}")
    kin.sql(ONE, "select pg_drop_replication_slot('pgprovision_kin_3')")
    hba = "/etc/postgresql/15/main/pg_hba.conf"
    kin.shell(ONE, f"sed -i '/10.0.1.4.32/d' {hba}; systemctl reload {SERVICE}")
    found = kin.run_json("up", THREE, "--yes")
    assert {(c["target"], c["kind"]) for c in found["changes"]} == {
        (ONE, "pg_hba.conf"),
        (ONE, "slot"),
        (THREE, "unit"),
    }
    assert streams(kin, THREE) == "streaming|pgprovision_kin_3"


def test_scope_when_another_replica_is_away_works_alone(kin: CliUser) -> None:
    kin.shell(FOUR, "systemctl stop ssh.socket ssh")
    try:
        unchanged(kin, "primary")
        unchanged(kin, THREE)
    finally:
        kin.shell(FOUR, "systemctl start ssh")


@pytest.mark.covers("F103")
def test_replica_when_of_another_release_is_refused(kin: CliUser) -> None:
    kin.shell(THREE, "cp /etc/os-release /run/true; sed -i s/12/13/ /etc/os-release")
    run = kin.run("up", THREE, "--yes")
    kin.shell(THREE, "cat /run/true >/etc/os-release")
    assert run.code == 3
    assert "system: here debian 13, primary debian 12" in run.err


# --- F95: a slot that is lost; F74: re-clone, and what it refuses ---


@pytest.mark.covers("F95")
def test_replica_when_away_for_too_long_is_named_and_never_wiped(kin: CliUser) -> None:
    before = inode(kin, TWO)
    kin.shell(TWO, f"systemctl stop {SERVICE}")
    kin.sql(ONE, "create table fill(i int)")
    fill = "insert into fill values (1); select pg_switch_wal(); checkpoint;"
    assert wait_until(
        lambda: bool(kin.sql(ONE, fill)) and slots(kin)["pgprovision_kin_2"] == "lost", seconds=60
    )
    kin.sql(ONE, "drop table fill")
    found = kin.run_json("status")
    assert [node["role"] for node in found["nodes"]] == ["primary", "none", "replica", "replica"]
    (problem,) = [text for text in found["problems"] if "is lost" in text]
    assert "pgprovision re-clone kin-2" in problem
    assert kin.run("up", "--yes").code == 0  # the archive has what the primary has not any more
    assert streams(kin, TWO) == "streaming|pgprovision_kin_2"
    assert inode(kin, TWO) == before


def test_re_clone_when_another_name_is_confirmed_moves_nothing(kin: CliUser) -> None:
    before = inode(kin, TWO)
    run = kin.run("re-clone", TWO, "--confirm", THREE)
    assert (run.code, inode(kin, TWO), aside(kin, TWO)) == (3, before, 0)


@pytest.mark.covers("F74")
def test_re_clone_when_aimed_at_the_primary_is_refused(kin: CliUser) -> None:
    before = inode(kin, ONE)
    run = re_clone(kin, ONE)
    assert run.code == 3
    assert "is the primary by the inventory" in run.err
    assert (inode(kin, ONE), aside(kin, ONE)) == (before, 0)


@pytest.mark.covers("row:E3")
def test_re_clone_when_confirmed_sets_data_aside_and_streams_again(kin: CliUser) -> None:
    before = inode(kin, TWO)
    run = re_clone(kin, TWO, "--json")
    assert run.code == 0, run.err
    assert kin.shell(TWO, f"stat -c %i {DATA}.aside-*") == before
    (note,) = [r["text"] for r in run.document["notes"] if "aside" in r["text"]]
    assert note.startswith(f"set aside; to remove it: rm -r {DATA}.aside-")
    assert streams(kin, TWO) == "streaming|pgprovision_kin_2"
    unchanged(kin)
    kin.shell(TWO, note.partition(": ")[2])


# --- F66, F92, F93: a seed that is cut off, or is not the primary's ---


@contextmanager
def slow_copy(person: CliUser, node: str) -> Iterator[None]:
    """pg_basebackup at 4 MB/s."""
    path = "/usr/local/bin/pg_basebackup"
    person.shell(node, f"cat >{path}; chmod 755 {path}", SLOW)
    yield
    person.shell(node, f"rm {path}")


def copied(person: CliUser, node: str, megabytes: int) -> bool:
    """Whether the former data are aside, and that much is there of the new ones."""
    look = f"ls -d {DATA}.aside-* >/dev/null && du -sm {DATA} | cut -f 1"
    done = person.console(node, look).stdout.strip()
    return done.isdigit() and int(done) >= megabytes


@pytest.mark.covers("F66")
@pytest.mark.parametrize("megabytes", [0, 20])
def test_base_backup_when_killed_is_set_aside_and_created_again(
    kin: CliUser, megabytes: int
) -> None:
    before = aside(kin, TWO)
    with slow_copy(kin, TWO):
        running = kin.start("re-clone", TWO, "--confirm", TWO)
        assert wait_until(lambda: copied(kin, TWO, megabytes), seconds=60)
        kin.shell(TWO, f"systemctl kill -s KILL {JOB}")
        assert wait_for(running).code == 5
    kin.shell(TWO, f"systemctl start {SERVICE}")  # as a reboot would
    assert kin.shell(TWO, f"systemctl is-active {SERVICE}", fails=True) == "inactive"
    run = kin.run("up", TWO, "--yes")
    assert run.code == 0, run.err
    assert streams(kin, TWO) == "streaming|pgprovision_kin_2"
    assert aside(kin, TWO) > before
    kin.shell(TWO, f"rm -r {DATA}.aside-*")


@pytest.mark.covers("F66")
def test_restore_when_killed_is_set_aside_and_created_again(kin: CliUser) -> None:
    running = kin.start("re-clone", FOUR, "--confirm", FOUR)
    assert wait_until(lambda: copied(kin, FOUR, 4), seconds=60)
    kin.shell(FOUR, f"systemctl kill -s KILL {JOB}")
    assert wait_for(running).code == 5
    run = kin.run("up", FOUR, "--yes")
    assert run.code == 0, run.err
    assert aside(kin, FOUR) == 2
    assert streams(kin, FOUR) == "streaming|pgprovision_kin_4"


@pytest.mark.covers("F93")
def test_primary_when_it_dies_during_the_copy_keeps_the_slot_and_a_rerun_ends_well(
    kin: CliUser,
) -> None:
    with slow_copy(kin, TWO):
        running = kin.start("re-clone", TWO, "--confirm", TWO)
        assert wait_until(lambda: copied(kin, TWO, 8), seconds=60)
        kin.shell(ONE, f"systemctl kill -s KILL {SERVICE}")
        assert wait_for(running).code == 5
    assert wait_until(lambda: kin.console(ONE, "pg_isready -q").returncode == 0, seconds=30)
    assert "pgprovision_kin_2" in slots(kin)
    run = kin.run("up", "--yes")
    assert run.code == 0, run.err
    assert streams(kin, TWO) == "streaming|pgprovision_kin_2"
    kin.shell(TWO, f"rm -r {DATA}.aside-*")


@contextmanager
def another_cluster(person: CliUser) -> Iterator[None]:
    """In the primary's place, one of other data: same address, certificate and password."""
    other, postgres = "/var/lib/postgresql/15/other", "/usr/lib/postgresql/15/bin"
    conf = "/etc/postgresql/15/main/postgresql.conf"
    run = f"cd /; exec runuser -u postgres -- {postgres}"
    person.shell(ONE, f"systemctl stop {SERVICE}")
    person.shell(ONE, f"{run}/initdb -A peer --no-sync -D {other}")
    options = f"-c config_file={conf} -c data_directory={other} -c archive_mode=off"
    person.shell(ONE, f'{run}/pg_ctl -w -D {other} -l /dev/null -o "{options}" start')
    password = person.secrets()["replicator.password"]
    person.sql(ONE, f"create role replicator login replication password '{password}'")
    yield
    person.shell(ONE, f"{run}/pg_ctl -w -m immediate -D {other} stop; rm -r {other}")
    person.shell(ONE, f"rm -r {other}; systemctl start {SERVICE}")


@pytest.mark.covers("F92")
def test_clone_when_another_cluster_answers_copies_nothing(kin: CliUser) -> None:
    before = inode(kin, TWO)
    with another_cluster(kin):
        run = re_clone(kin, TWO)
    assert run.code == 5
    assert "the source has system identifier" in run.err
    assert (inode(kin, TWO), aside(kin, TWO)) == (before, 0)
    assert kin.run("up", "--yes").code == 0
    assert streams(kin, TWO) == "streaming|pgprovision_kin_2"


# --- E5, F94: removal ---


@pytest.mark.covers("F94")
def test_slot_when_its_replica_left_the_inventory_is_named_until_it_is_dropped(
    kin: CliUser,
) -> None:
    (kin.inventory / "nodes" / f"{FOUR}.yml").unlink()
    named = {
        (c["target"], c["kind"]): c["differing_keys"]
        for c in kin.run("plan", "--json").document["changes"]
    }
    assert named[ONE, "abandoned slots"] == ["pgprovision_kin_4: pgprovision remove-replica kin-4"]
    up = kin.run("up", "--yes", "--json")
    assert (up.code, [c["kind"] for c in up.document["remaining"]]) == (1, ["abandoned slots"])
    assert "pgprovision_kin_4" in slots(kin)
    found = kin.run_json("status")
    assert [s["replica"] for s in found["slots"] if s["abandoned"]] == [FOUR]
    assert any("pgprovision remove-replica kin-4" in text for text in found["problems"])
    removal = kin.run("remove-replica", FOUR, "--confirm", FOUR)
    assert removal.code == 0, removal.err
    assert "pgprovision_kin_4" not in slots(kin)
    unchanged(kin)


@pytest.mark.covers("row:E5")
def test_remove_replica_when_its_server_is_to_go_deletes_ours(kin: CliUser) -> None:
    declare(kin, FOUR, 5)
    run = kin.run("remove-replica", FOUR, "--delete-server", "--confirm", FOUR)
    assert run.code == 0, run.err
    assert kin.cloud().servers.get_by_name(FOUR) is None
    unchanged(kin)


@pytest.mark.covers("row:E5")
def test_remove_replica_when_killed_at_every_step_ends_with_nothing_left(kin: CliUser) -> None:
    points = ("1:before", "1:after", "2:before", "2:after", "3:after")
    words = ("remove-replica", THREE, "--confirm", THREE)
    runs = [kin.run(*words, kill=point) for point in points]
    assert [run.code for run in runs] == [KILLED] * len(runs)
    while runs[-1].code == KILLED and len(runs) < 20:
        runs.append(kin.run(*words, kill="4:after"))
    assert runs[-1].code == 0, runs[-1].err
    assert slots(kin) == {"pgprovision_kin_2": "reserved"}
    assert "10.0.1.4/32" not in kin.shell(ONE, "cat /etc/postgresql/15/main/pg_hba.conf")
    assert "10.0.1.4/32" not in kin.shell(TWO, "cat /etc/postgresql/15/main/pg_hba.conf")
    names = sorted(path.name for path in (kin.inventory / "nodes").glob("kin-3*"))
    assert names == ["kin-3.yml.removed"]
    keys = f"systemctl show -p ActiveState,UnitFileState --value {SERVICE}"
    assert kin.shell(THREE, keys).split() == ["inactive", "disabled"]
    assert kin.shell(THREE, f"ls {DATA}/standby.signal")
    unchanged(kin)


# --- F99, F102: two of them accept writes. The cluster is another one after this. ---

VERBS = (
    ("plan",),
    ("up", "--yes"),
    ("up", "primary", "--yes"),
    ("up", TWO, "--yes"),
    ("add-replica", THREE, "--yes"),
    ("re-clone", TWO, "--confirm", TWO),
    ("remove-replica", TWO, "--confirm", TWO),
    ("resize", TWO, "--yes"),
    ("destroy", "--confirm", "kin"),
    ("rotate", "rails", "--yes"),
    ("ca", "renew"),
    ("explain",),
)


@pytest.fixture(scope="module")
def split(kin: CliUser) -> CliUser:
    """The replica promoted by hand."""
    assert kin.sql(TWO, "select pg_promote()") == "t"
    return kin


@pytest.mark.covers("F99")
@pytest.mark.parametrize("verb", VERBS, ids=" ".join)
def test_verb_when_two_accept_writes_is_refused(split: CliUser, verb: tuple[str, ...]) -> None:
    before = split.api_requests()["writes"]
    run = split.run(*verb)
    (split.inventory / "nodes" / f"{THREE}.yml").unlink(missing_ok=True)
    assert run.code == 3, run.err
    if verb[0] not in ("add-replica", "re-clone"):  # these have reasons of their own, too
        assert "2 nodes accept writes" in run.err
    assert split.api_requests()["writes"] == before


@pytest.mark.covers("F99")
def test_status_when_two_accept_writes_names_both_with_timeline(split: CliUser) -> None:
    found = split.run_json("status")
    shown: list[dict[str, Any]] = found["nodes"]
    assert [(n["role"], n["timeline"]) for n in shown] == [("primary", 1), ("primary", 2)]
    assert all(n["last_write"] for n in shown)
    assert any("2 nodes accept writes: kin-1 (timeline 1" in text for text in found["problems"])


@pytest.mark.covers("F102")
def test_old_primary_when_it_boots_after_a_failover_is_refused_then_cloned_again(
    split: CliUser,
) -> None:
    declare(split, TWO, 3, role="primary")
    declare(split, ONE, 2)
    run = split.run("up", "--yes")
    assert run.code == 3
    assert "kin-2 (timeline 2" in run.err
    assert "pgprovision re-clone" in run.err
    assert re_clone(split, ONE).code == 3  # it still accepts writes
    split.shell(ONE, f"systemctl stop {SERVICE}")
    run = split.run("up", "--yes")
    assert run.code == 3
    assert "pgprovision re-clone kin-1" in run.err
    run = re_clone(split, ONE)
    assert run.code == 0, run.err
    assert streams(split, ONE) == "streaming|pgprovision_kin_1"
    assert aside(split, ONE) == 1
    assert split.run("up", "--yes").code == 0
