"""Backups by hand on the whole cluster: now, listed, verified, another passphrase, archive off."""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from pgprovision.lab.process import wait_until
from tests.cluster.conftest import PRIMARY, REPLICA
from tests.support.cli_user import CliUser, CommandResult
from tests.sweep.walk import Walk, kill_each_point

pytestmark = [pytest.mark.lab, pytest.mark.backups]

SPARE = "/var/lib/postgresql/spare"
AS_POSTGRES = "cd / && setpriv --reuid=postgres --regid=postgres --init-groups"
NOTE = "/etc/pgprovision/archiving-was-off"
POINT = "2:before" if os.environ.get("PGP_SWEEP") else "1:after"  # the other half: `make sweep`


def backups(person: CliUser, repository: int = 1) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = person.run_json("backup", "list")["repositories"][repository - 1][
        "backups"
    ]
    return found


def restored(person: CliUser, repository: int) -> str:
    """The canary's rows in a real restore from one repository, to the end of WAL."""
    conf = "/etc/postgresql/15/main/postgresql.conf"
    options = f"-c config_file={conf} -c data_directory={SPARE} -c port=5999 -c archive_mode=off"
    options += " -c listen_addresses= -c ssl=off -c shared_buffers=16MB -c huge_pages=off"
    restore = f"pgbackrest --stanza=main --repo={repository} --pg1-path={SPARE} restore"
    start = f"/usr/lib/postgresql/15/bin/pg_ctl -D {SPARE} -w -t 90 -l /tmp/spare.log"
    try:
        return person.shell(
            PRIMARY,
            f"install -d -o postgres -g postgres -m 700 {SPARE}; {AS_POSTGRES} {restore} &&"
            f" {AS_POSTGRES} {start} -o '{options}' start >/dev/null || cat /tmp/spare.log >&2\n"
            f"until [ $({AS_POSTGRES} psql -p 5999 -XAtqc 'select pg_is_in_recovery()') = f ]; do"
            f" sleep 0.5; done; {AS_POSTGRES} psql -p 5999 -XAtqc 'select sum(n) from canary'",
        )
    finally:
        stop = f"/usr/lib/postgresql/15/bin/pg_ctl -D {SPARE} -m immediate stop"
        person.console(PRIMARY, f"{AS_POSTGRES} {stop}; rm -rf {SPARE} /tmp/spare.log")


@dataclass(frozen=True)
class Rotated:
    """A rotation that died again and again, and what both repositories restore."""

    walk: Walk
    end: CommandResult
    inventory: str
    from_first: str
    from_second: str
    plan: int
    listed: list[int]


@pytest.fixture(scope="module")
def rotated(cluster: CliUser) -> Iterator[Rotated]:
    cluster.sql(PRIMARY, "create table canary (n int); insert into canary values (1)")
    walk = Walk("rotate-cipher", POINT)
    end = kill_each_point(cluster, walk, "backup", "rotate-cipher", "--yes", point=POINT)
    cluster.sql(PRIMARY, "insert into canary values (2); select pg_switch_wal()")
    file = cluster.inventory / "repositories.yml"
    try:
        assert end.code == 0, end.err
        assert wait_until(lambda: waits(cluster) == 0, seconds=60)
        yield Rotated(
            walk,
            end,
            file.read_text(),
            restored(cluster, 1),
            restored(cluster, 2),
            cluster.run("plan").code,
            [len(backups(cluster, number)) for number in (1, 2)],
        )
    finally:
        file.unlink(missing_ok=True)
        cluster.sql(PRIMARY, "drop table canary")
        cluster.run_json("up", "--yes")
        restore_repository(cluster)


def restore_repository(person: CliUser) -> None:
    """A repository without a hole again: what was archived elsewhere, or not at all, is missing."""
    person.run_json("backup", "now", "--type", "full", "--yes")
    newest = "--repo1-retention-full-type=count --repo1-retention-full=1"
    person.shell(PRIMARY, f"{AS_POSTGRES} pgbackrest --stanza=main {newest} expire")


def waits(person: CliUser) -> int:
    """Segments that are not archived yet."""
    ready = "ls /var/lib/postgresql/15/main/pg_wal/archive_status/*.ready 2>/dev/null | wc -l"
    return int(person.shell(PRIMARY, ready))


@pytest.mark.covers("row:D5")
def test_backup_now_when_requested_takes_one_and_list_shows_it(cluster: CliUser) -> None:
    before = [backup["label"] for backup in backups(cluster)]
    run = cluster.run_json("backup", "now", "--type", "incr", "--yes")
    (new,) = (backup for backup in backups(cluster) if backup["label"] not in before)
    assert new["type"] == "incr"
    assert new["prior"] in before
    assert [change["kind"] for change in run["changes"]] == ["backup"]
    newest = cluster.run_json("status")["backups"][-1]
    assert (newest["label"], newest["repository"]) == (new["label"], 1)


@pytest.mark.covers("row:D5", "F5")
def test_backup_now_when_the_command_died_attaches_to_what_runs(cluster: CliUser) -> None:
    before = len(backups(cluster))
    assert cluster.run("backup", "now", "--type", "full", "--yes", kill="1:after").code == -9
    cluster.run_json("backup", "now", "--type", "full", "--yes")
    assert len(backups(cluster)) <= before + 2  # two where the first had ended meanwhile
    assert backups(cluster)[-1]["type"] == "full"


def test_backup_now_of_a_repository_that_is_not_there_is_bad_input(cluster: CliUser) -> None:
    run = cluster.run("backup", "now", "--repo", "2", "--yes")
    assert run.code == 2
    assert "there is no repository 2" in run.err


@pytest.mark.covers("F114")
def test_backup_verify_when_a_byte_is_flipped_ends_with_1_and_names_it(
    cluster: CliUser,
) -> None:
    bucket = cluster.lab.home / "s3/data" / cluster.lab.env()["PGPROVISION_LAB_S3_BUCKET"]
    (newest,) = sorted((bucket / "hcb-lab/archive/main").glob("*/*/0*-*"))[-1:]
    assert cluster.run("backup", "verify").code == 0
    original = newest.read_bytes()
    newest.write_bytes(original[:-1] + bytes([original[-1] ^ 1]))
    try:
        run = cluster.run("backup", "verify", "--json")
    finally:
        newest.write_bytes(original)
    notes = [note["text"] for note in run.document["notes"]]
    assert run.code == 1
    assert any(newest.name[:24] in text for text in notes), notes


@pytest.mark.covers("F111")
def test_rotation_when_killed_after_every_step_goes_on_and_ends(rotated: Rotated) -> None:
    assert rotated.walk.wrong == []
    assert rotated.walk.points >= 10
    first, _, second = rotated.inventory.partition("second_repository:")
    assert 'path: "/hcb-lab-r2' in first
    assert 'path: "/hcb-lab"' in second
    assert 'role: "former"' in rotated.inventory
    assert rotated.plan == 0
    assert min(rotated.listed) >= 1


@pytest.mark.covers("F111")
def test_rotation_when_it_ended_both_repositories_restore_every_row(rotated: Rotated) -> None:
    assert (rotated.from_first, rotated.from_second) == ("3", "3")


@pytest.mark.covers("S3", "S6", "F111")
def test_rotation_leaves_its_passphrase_in_the_configuration_alone(
    cluster: CliUser, rotated: Rotated
) -> None:
    (file,) = (cluster.inventory / "secrets").glob("pgbackrest-r*.passphrase")
    new = file.read_text().strip()
    assert new not in rotated.end.out + rotated.end.err
    for node in (PRIMARY, REPLICA):
        found = cluster.shell(node, "grep -rlaF -f /dev/stdin /etc /var/log /var/spool || :", new)
        assert found in ("", "/etc/pgbackrest/pgbackrest.conf")
        assert cluster.shell(node, "journalctl -a -o cat | grep -cF -f /dev/stdin || :", new) == "0"


@pytest.mark.covers("row:D3")
def test_archiving_when_declared_off_and_on_again_is_proven_and_a_full_backup_follows(
    cluster: CliUser,
) -> None:
    before = [backup["label"] for backup in backups(cluster)]
    timer = "systemctl is-enabled pgbackrest-backup-full.timer || :"
    text = Path(cluster.inventory / "cluster.yml").read_text()
    try:
        cluster.rewrite("cluster.yml", {r"\n  archiving: true": "\n  archiving: false"})
        cluster.run_json("up", "--yes")
        assert cluster.shell(PRIMARY, f"test -e {NOTE}; {timer}") == "disabled"
        for _ in range(2):
            cluster.sql(PRIMARY, "create table t (n int); drop table t; select pg_switch_wal()")
        assert cluster.run_json("up")["remaining"] == []
        refused = cluster.run("backup", "now", "--yes")
        assert (refused.code, "archiving is declared off" in refused.err) == (3, True)
    finally:
        Path(cluster.inventory / "cluster.yml").write_text(text)
        done = cluster.run_json("up", "--yes")
    kinds = [change["kind"] for change in done["changes"]]
    assert {"stanza", "first backup"} <= set(kinds)
    (new,) = (backup for backup in backups(cluster) if backup["label"] not in before)
    assert new["type"] == "full"
    assert cluster.shell(PRIMARY, f"ls {NOTE} 2>/dev/null; {timer}") == "enabled"
    assert cluster.run_json("up")["remaining"] == []
