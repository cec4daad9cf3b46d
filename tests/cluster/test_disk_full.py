"""Full disks: nothing is cut short, WAL stays, what is full is named, the next run ends well."""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from pgprovision.lab.process import wait_until
from tests.cluster.conftest import PRIMARY
from tests.cluster.test_lock import BY_HAND
from tests.support.cli_user import CliUser

pytestmark = pytest.mark.lab

CONF = "/etc/postgresql/15/main/postgresql.conf"
DATA = "/var/lib/postgresql"
SERVICE = "postgresql@15-main.service"
KEEP = "/root/kept-by-the-test"
START = f"systemctl reset-failed {SERVICE}; systemctl start {SERVICE}"  # it counts attempts
BYTES = "dd if=/dev/zero of={0}/fill bs=4k 2>&- || ! echo x >{0}/fill.more"
INODES = "i=0; while true 2>&- >{0}/fill.$i; do i=$((i+1)); done; ! true 2>&- >{0}/fill.more"


@contextmanager
def full(person: CliUser, folder: str, fill: str = BYTES, spare: int = 1024) -> Iterator[None]:
    """The folder on a small disk of its own, with nothing left. `spare`: kB that it has once there
    is room again."""
    room = f"size=$(( $(du -sk {KEEP} | cut -f1) * 5 / 4 + {spare} ))k"
    inodes = f"nr_inodes=$(( $(find {KEEP} | wc -l) + 200 ))"
    person.shell(PRIMARY, f"rm -rf {KEEP}; cp -a {folder} {KEEP}")
    person.shell(PRIMARY, f"mount -t tmpfs -o {room},{inodes} room {folder}")
    try:
        copied = f"set -e; cp -a {KEEP}/. {folder}; rm -rf {KEEP}"
        person.shell(PRIMARY, f"{copied}; {fill.format(folder)}")
        yield
    finally:
        person.shell(PRIMARY, f"umount -l {folder}")


def make_room(person: CliUser, folder: str) -> None:
    person.shell(PRIMARY, f"rm -f {folder}/fill {folder}/fill.*")


@pytest.mark.covers("F124")
@pytest.mark.parametrize("fill", [BYTES, INODES], ids=["bytes", "inodes"])
def test_root_when_full_then_the_file_is_the_old_one_and_the_mount_is_named(
    cluster: CliUser, fill: str
) -> None:
    cluster.shell(PRIMARY, BY_HAND)
    before = cluster.shell(PRIMARY, f"sha256sum {CONF}")
    with full(cluster, "/etc", fill):
        run = cluster.run("up", "--yes")
        after = cluster.shell(PRIMARY, f"sha256sum {CONF}")
        make_room(cluster, "/etc")
        again = cluster.run_json("up", "--yes")
    assert run.code == 5
    assert "No space left on device" in run.err
    assert "full: /etc: " in run.err
    assert "next: free disk space there (never by hand in pg_wal)" in run.err
    assert after == before
    assert again["remaining"] == []
    assert cluster.run_json("up", "--yes")["remaining"] == []


@pytest.mark.covers("F124")
@pytest.mark.parametrize(
    ("folder", "fill"),
    [("/var/cache/apt", BYTES), ("/var/lib/apt", INODES), ("/var/lib/dpkg", BYTES)],
    ids=["archives", "lists, by inodes", "dpkg's own"],
)
def test_package_when_apt_has_no_room_then_the_mount_is_named_and_the_rerun_installs_it(
    cluster: CliUser, folder: str, fill: str
) -> None:
    cluster.shell(PRIMARY, "apt-get -qy remove tmux >&2; apt-get clean; rm -rf /var/lib/apt/lists")
    with full(cluster, folder, fill, spare=200_000):
        run = cluster.run("up", "--yes")
        make_room(cluster, folder)
        again = cluster.run_json("up", "--yes")
        cluster.shell(PRIMARY, f"rm -rf {KEEP}; cp -a {folder} {KEEP}")
    cluster.shell(PRIMARY, f"cp -a {KEEP}/. {folder}; rm -rf {KEEP}")
    assert run.code == 5, run.err
    assert f"full: {folder}: " in run.err
    assert again["remaining"] == []
    assert cluster.shell(PRIMARY, "dpkg-query -W -f '${db:Status-Status}' tmux") == "installed"
    assert cluster.run_json("up", "--yes")["remaining"] == []


@pytest.mark.covers("F124")
def test_lock_when_it_cannot_be_written_then_nothing_is_done(cluster: CliUser) -> None:
    cluster.shell(PRIMARY, f"{BY_HAND}; touch /run/before")
    with full(cluster, "/var/lib/pgprovision"):
        run = cluster.run("up", "--yes")
        written = cluster.shell(PRIMARY, "find /etc -newer /run/before")
        make_room(cluster, "/var/lib/pgprovision")
        again = cluster.run_json("up", "--yes")
    assert run.code == 5
    assert "cannot write /var/lib/pgprovision/hold: of the disk at /var/lib/pgprovision" in run.err
    assert written == ""
    assert again["remaining"] == []


@pytest.mark.covers("F124", "F27")
def test_others_when_full_then_up_works_and_status_says_so(cluster: CliUser) -> None:
    cluster.shell(PRIMARY, BY_HAND)
    with full(cluster, "/var/log"), full(cluster, "/tmp"), full(cluster, "/boot"):
        cluster.shell(PRIMARY, BYTES.format("/run"))
        found = cluster.run_json("status")
        run = cluster.run("up", "--yes")
        cluster.shell(PRIMARY, "rm /run/fill*")
    assert run.code == 0, run.err
    (notes,) = (node["notes"] for node in found["nodes"] if node["name"] == PRIMARY)
    named = {text.split()[1] for text in notes if text.startswith("disk: ")}
    assert named >= {"/var/log", "/tmp", "/boot", "/run"}
    assert cluster.drift() == {}


@pytest.mark.covers("F124")
def test_data_directory_when_full_then_no_wal_is_deleted_and_it_starts_once_there_is_room(
    cluster: CliUser,
) -> None:
    wal = f"cd {DATA}/15/main/pg_wal; sha256sum 0*"
    cluster.shell(PRIMARY, f"systemctl stop {SERVICE}")
    before = cluster.shell(PRIMARY, wal)
    with full(cluster, DATA):
        run = cluster.run("up", "--yes", "--allow", "restart")
        after = cluster.shell(PRIMARY, wal)
        make_room(cluster, DATA)
        again = cluster.run_json("up", "--yes", "--allow", "restart")
        cluster.shell(PRIMARY, f"systemctl stop {SERVICE}; rm -rf {KEEP}; cp -a {DATA} {KEEP}")
    cluster.shell(PRIMARY, f"rm -rf {DATA}; mv {KEEP} {DATA}; systemctl start {SERVICE}")
    assert run.code == 5, run.err
    assert f"full: {DATA}: " in run.err
    assert after == before
    assert again["remaining"] == []
    assert cluster.run_json("up")["remaining"] == []


@pytest.mark.covers("F124", "F108")
@pytest.mark.backups
def test_wal_when_its_mount_is_full_stays_and_is_archived_once_there_is_room(
    cluster: CliUser,
) -> None:
    """WAL on a small disk of its own, and a store that cannot be reached: PostgreSQL stops."""
    wal = f"{DATA}/15/main/pg_wal"
    owner = "mode=700,uid=$(id -u postgres),gid=$(id -g postgres)"
    size = f"size=$(( $(du -sk {wal} | cut -f1) + 40000 ))k"
    cluster.shell(PRIMARY, f"systemctl stop {SERVICE}; rm -rf {KEEP}; cp -a {wal} {KEEP}")
    cluster.shell(PRIMARY, f"mount -t tmpfs -o {size},{owner} wal {wal} && cp -a {KEEP}/. {wal}")
    cluster.shell(PRIMARY, "cp /etc/hosts /root/hosts; grep -v s3.lab /root/hosts >/etc/hosts")
    try:
        cluster.shell(PRIMARY, f"rm -rf {KEEP}; {START}")
        cluster.sql(PRIMARY, "create table filler (t text)")
        rows, more = 0, "insert into filler select repeat('x', 1000) from generate_series(1, 10000)"
        psql = f'runuser -u postgres -- psql -XAtqc "{more}"'
        while cluster.console(PRIMARY, psql).returncode == 0:
            rows += 10000
        segments = cluster.shell(PRIMARY, f"ls {wal} | grep -c ^0")
        run = cluster.run("up", "--yes", "--allow", "restart")
        after = cluster.shell(PRIMARY, f"ls {wal} | grep -c ^0")
        cluster.shell(PRIMARY, f"mount -o remount,size=2g {wal}; cat /root/hosts >/etc/hosts")
        again = cluster.run_json("up", "--yes", "--allow", "restart")
        survived = int(cluster.sql(PRIMARY, "select count(*) from filler"))
        waiting = f"ls {wal}/archive_status/*.ready 2>/dev/null | wc -l"
        archived = wait_until(lambda: cluster.shell(PRIMARY, waiting) == "0", seconds=90)
    finally:
        cluster.shell(PRIMARY, "[ ! -e /root/hosts ] || cat /root/hosts >/etc/hosts")
        cluster.console(PRIMARY, START)
        cluster.sql(PRIMARY, "drop table if exists filler; checkpoint")
        cluster.shell(PRIMARY, f"systemctl stop {SERVICE}; rm -rf {KEEP}; cp -a {wal} {KEEP}")
        cluster.shell(PRIMARY, f"umount {wal}; rm -rf {wal}/*; cp -a {KEEP}/. {wal}; rm -rf {KEEP}")
        cluster.shell(PRIMARY, START)
    assert run.code == 5, run.err
    assert f"full: {wal}: " in run.err
    assert f"MB {wal}/0000000" in run.err
    assert after == segments
    assert again["remaining"] == []
    assert survived == rows
    assert archived
    assert cluster.run_json("up")["remaining"] == []
