"""A store that misbehaves, in every way that a configuration can be wrong; and a second one."""

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from pgprovision.errors import Refused, StepFailed
from pgprovision.lab.authority import issue_server_certificate_files
from pgprovision.lab.process import wait_until
from pgprovision.resources.pgbackrest import verification
from pgprovision.resources.pgbackrest.archive_backlog import (
    ArchiveBacklogCheck,
    archive_error_probe,
    backlog,
)
from pgprovision.resources.pgbackrest.info import CONFIG_FILE
from pgprovision.resources.pgbackrest.verification import RepositoryVerification
from pgprovision.resources.postgres.replication import wal_segments
from pgprovision.resources.postgres.server.instance import Instance
from pgprovision.resources.postgres.server.snapshot import SnapshotQuery
from tests.laws.backup.conftest import World
from tests.support.backup_machine import MACHINE_NAME
from tests.support.object_store_faults import FaultyObjectStore, faulty_object_store

pytestmark = [pytest.mark.lab, pytest.mark.backups]

AS_POSTGRES = "cd / && setpriv --reuid=postgres --regid=postgres --init-groups"
SQL = f"{AS_POSTGRES} psql -XAtq -d postgres -c"
ARCHIVE = "/etc/postgresql/15/main/conf.d/archiving.conf"


def upstream(world: World) -> tuple[str, int]:
    config = world.lab.config
    return config.network.host_address, int(
        world.lab.env()["PGPROVISION_LAB_S3_ENDPOINT"].rpartition(":")[2]
    )


@pytest.fixture(scope="module")
def door(world: World) -> Iterator[tuple[FaultyObjectStore, int]]:
    """In front of the lab's store, with its certificate."""
    home = world.lab.home / "s3"
    address, port = upstream(world)
    files = home / "server.pem", home / "server.key"
    with faulty_object_store(address, (address, port), home / "ca.pem", *files) as opened:
        yield opened


def refused(world: World, **given: str) -> str:
    """The error where a configuration cannot read the repository; the old one stays."""
    keep = f"sha256sum {CONFIG_FILE}; ls /etc/pgbackrest"
    before = world.machine.shell(keep)
    with pytest.raises(StepFailed) as caught:
        world.machine.run(world.conf(**given))
    assert world.machine.shell(keep) == before
    return str(caught.value)


@pytest.mark.covers("row:D2", "F107")
@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"key": "AKIANOBODY"}, "cause: the store does not know the access key (key)"),
        ({"secret": "wrong"}, "cause: the secret access key (key_secret) is wrong"),
        ({"endpoint": "nowhere.lab.internal"}, "cause: the name of the store cannot be resolved"),
        ({"port": "1"}, "cause: nothing listens at that port of the store"),
        ({"bucket": "nobodys"}, "cause: there is no such bucket in that store (bucket)"),
        (
            {"ca": "/etc/ssl/certs/ca-certificates.crt"},
            "cause: the store's certificate is not that of its name, or not signed by a known",
        ),
        ({"passphrase": "wrong"}, "cause: the passphrase (cipher_pass) is not the repository's"),
        (
            {"second": "/second", "passphrase": "wrong"},
            "cause: the passphrase (cipher_pass) is not the repository's",
        ),
    ],
    ids=lambda given: "-".join(given) if isinstance(given, dict) else "",
)
def test_conf_when_it_is_wrong_is_not_swapped_and_the_cause_is_reported(
    world: World, given: dict[str, str], expected: str
) -> None:
    assert expected in refused(world, **given)


@pytest.mark.covers("F106", "F107")
@pytest.mark.parametrize(
    ("mode", "expected"),
    [
        (403, "cause: the access key may not do that in this bucket"),
        (404, "cause: the store does not have it"),
        (500, "cause: the store itself fails"),
        ("skewed", "cause: this host's clock and the store's are too far apart"),
        ("slow", "cause: the store answers too slowly, or the line to it is cut off"),
    ],
)
def test_conf_when_the_store_fails_is_not_swapped_and_the_cause_is_reported(
    world: World, door: tuple[FaultyObjectStore, int], mode: int | str, expected: str
) -> None:
    store, port = door
    store.mode = mode
    try:
        assert expected in refused(world, port=str(port))
    finally:
        store.mode = ""


@pytest.mark.covers("S59", "F106")
def test_store_with_a_false_certificate_when_met_gets_nothing(world: World, tmp_path: Path) -> None:
    address, port = upstream(world)
    files = tmp_path / "false.pem", tmp_path / "false.key"
    issue_server_certificate_files(tmp_path / "false-ca.pem", *files, "s3.lab.internal", address)
    ca = world.lab.home / "s3" / "ca.pem"
    with faulty_object_store(address, (address, port), ca, *files) as (_, door):
        output = refused(world, port=str(door))
    assert "cause: the store's certificate is not that of its name" in output
    assert world.machine.shell(f"grep -c storage-verify-tls=n {CONFIG_FILE}", fails=True) == "0"


@pytest.mark.covers("F106", "F108")
def test_uploads_when_reset_then_wal_waits_its_cause_is_shown_and_no_gap_is_left(
    world: World, door: tuple[FaultyObjectStore, int]
) -> None:
    machine, snapshot = world.machine, SnapshotQuery(Instance())
    store, port = door
    machine.run(world.conf("/reset"), world.stanza("/reset"))
    machine.run(world.conf("/reset", port=str(port)))
    quick = "pgbackrest --stanza=main --archive-timeout=3 --io-timeout=1 archive-push %p"
    machine.shell(f"cp {ARCHIVE} /root/kept && sed -i \"s|'pgbackrest.*|'{quick}'|\" {ARCHIVE}")
    machine.shell(
        f"{SQL} 'select pg_reload_conf()' && {SQL} 'create table if not exists w (n int)'"
    )
    archiver = ArchiveBacklogCheck(on=MACHINE_NAME, snapshot=snapshot, stanza="main")
    assert wait_until(lambda: machine.notes(archiver) == [], seconds=90)
    store.mode = "reset"
    machine.shell(
        f"for i in 1 2 3; do {SQL} 'insert into w select 1; select pg_switch_wal()'; done"
    )

    def failing() -> bool:
        server = snapshot.running_server(machine.probe(snapshot.probe()))
        found = backlog(server, machine.probe(archive_error_probe("main")))
        return found.pending_segments >= 3 and found.failing and bool(found.last_error)

    assert wait_until(failing, seconds=60)
    (note,) = machine.notes(archiver)
    assert "the store answers too slowly, or the line to it is cut off" in note, note
    assert "at the last hour's rate the disk is full in" in note
    assert machine.shell(f"{SQL} 'select count(*) > 0 from w'") == "t"
    store.mode = ""
    machine.shell(f"{SQL} 'insert into w select 1; select pg_switch_wal()'")  # wakes the archiver
    ready = "ls /var/lib/postgresql/15/main/pg_wal/archive_status/*.ready 2>/dev/null | wc -l"
    assert wait_until(lambda: machine.shell(ready) == "0", seconds=90)
    machine.shell(f"mv /root/kept {ARCHIVE}; {SQL} 'select pg_reload_conf()'")
    machine.run(world.conf())
    archived = sorted(world.stored("/reset").glob("archive/main/15-1/*/0*-*"))
    names = [path.name[:24] for path in archived]
    assert len(names) > 4
    assert wal_segments.gaps(names, names[0]) == ()
    assert machine.notes(archiver) == []


@pytest.mark.covers("row:D2", "row:D4")
def test_second_repository_when_declared_gets_a_stanza_and_wal_of_its_own(world: World) -> None:
    conf, stanza = world.conf(second="/second"), world.second_stanza("/second")
    world.machine.run(conf, stanza)
    assert not world.machine.plan(conf, stanza)
    assert list(world.stored("/second").glob("archive/main/15-1/*/0*"))
    backup = (world.stored("/second") / "archive/main/archive.info").read_bytes()
    assert backup.startswith(b"Salted__")
    world.machine.run(world.conf())


@pytest.mark.covers("F110")
def test_second_repository_of_another_cluster_when_declared_is_refused_before_the_swap(
    world: World,
) -> None:
    machine = world.machine
    machine.run(world.conf("/foreign"))
    machine.shell("pg_createcluster 15 other")
    create = "--no-online --pg1-path=/var/lib/postgresql/15/other stanza-create"
    machine.shell(f"{AS_POSTGRES} pgbackrest --stanza=main {create}")
    machine.shell("pg_dropcluster 15 other")
    machine.run(world.conf("/empty"))
    listed = sorted(path.name for path in world.stored("/foreign").rglob("*"))
    output = refused(world, second="/foreign", passphrase2="correct horse")
    assert "stanza main in repository 2 belongs to another cluster" in output
    with pytest.raises(Refused, match="belongs to another cluster"):
        machine.shell(f"sed -i 's|/empty|/foreign|' {CONFIG_FILE}")
        machine.plan(world.stanza("/foreign"))
    assert sorted(path.name for path in world.stored("/foreign").rglob("*")) == listed
    machine.run(world.conf())


@pytest.mark.covers("F114")
def test_repository_when_damaged_in_three_ways_reports_each(world: World) -> None:
    machine, path = world.machine, "/damaged"
    machine.run(world.conf(path), world.stanza(path), world.first_backup)
    store = world.stored(path)
    for _ in range(3):
        machine.shell(f"{SQL} 'create table if not exists w (n int); select pg_switch_wal()'")
        machine.shell(f"{SQL} 'insert into w select 1; select pg_switch_wal()'")
    archived = sorted(store.glob("archive/main/15-1/*/0*-*"))
    assert wait_until(lambda: len(sorted(store.glob("archive/main/15-1/*/0*-*"))) >= 6, seconds=60)
    archived = sorted(store.glob("archive/main/15-1/*/0*-*"))
    hole = archived[-2]
    hole.unlink()
    (manifest,) = store.glob("backup/main/2*F/backup.manifest")
    manifest.unlink()
    (bundle,) = store.glob("backup/main/2*F/bundle/1")
    content = bytearray(bundle.read_bytes())
    content[len(content) // 2] ^= 1
    bundle.write_bytes(content)
    time.sleep(2)  # the server sees what was changed behind its back within a second
    looked = RepositoryVerification(
        on=MACHINE_NAME, stanza="main", repository=1, started_after=int(time.time()) - 1
    )
    output = "\n".join(text for _, text in machine.run(looked).notes)
    label = manifest.parent.name
    assert f"backup {label}: backup.manifest missing; the other one is there" in output
    assert (
        f"WAL {hole.name[:24]} is missing: from {label} nothing can be restored past it" in output
    )
    assert f"invalid checksum '{label}/" in output
    assert verification.parse(machine.probe(verification.verification_probe(1)).text).complete
    machine.run(world.conf())
