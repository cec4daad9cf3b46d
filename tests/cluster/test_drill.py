"""Drills on real machines: a server made for it, and a spare host that stays; what makes them fail.

Production is the cluster of this folder. What is damaged in its bucket is put back byte for byte.
"""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from pgprovision.lab.process import wait_until
from tests.cluster.conftest import PRIMARY
from tests.support.cli_user import CliUser, CommandResult, wait_for
from tests.support.drill_host import (
    DATA_DIRECTORY,
    DRILL_HOST,
    cluster_name,
    create_drill_host,
    delete_drill_host,
    drill_name,
    is_clean,
    pin_host_key,
)

pytestmark = pytest.mark.lab
long = pytest.mark.backups  # the others are in `make test`, too

PHASES = ["machine", "packages", "restore", "recovery", "checks", "removal"]
DECLARED = """\
  drill:
    probes:
      - {database: hcb_production, query: select count(*) from kept, at_least: 100}
      - {database: hcb_production, query: select min(note) from kept, equals: a row}
    heartbeat: {database: hcb_production, query: select max(at) from kept}
"""
UNDECLARED = r"(?m)^  drill:.*\n(?:    .*\n)*"
TABLE = """\
drop table if exists kept;
create table kept (n int primary key, note text default 'a row', at timestamptz default now());
insert into kept select generate_series(1, 100);
select pg_switch_wal();
"""


@pytest.fixture(scope="module")
def drilling(cluster: CliUser) -> Iterator[CliUser]:
    """With rows that are archived, and probes that look for them."""
    file = cluster.inventory / "cluster.yml"
    before = file.read_text()
    cluster.sql(PRIMARY, TABLE, "hcb_production")
    cluster.rewrite("cluster.yml", {UNDECLARED: DECLARED})
    yield cluster
    file.write_text(before)
    cluster.sql(PRIMARY, "drop table kept", "hcb_production")


@pytest.fixture(scope="module")
def spare(drilling: CliUser) -> Iterator[str]:
    """The address of a machine that holds nothing."""
    yield create_drill_host(drilling)
    delete_drill_host(drilling)


def practise(person: CliUser, address: str) -> CommandResult:
    pin_host_key(person)
    return drill(person, "--on", address)


def drill(person: CliUser, *words: str) -> CommandResult:
    """One drill to its end; on a busy machine it may take minutes."""
    with person.start("drill", *words, "--yes", "--json") as running:
        return wait_for(running, 900)


def failed(person: CliUser, address: str) -> dict[str, Any]:
    """A drill that must fail, loudly and with a record, and leave nothing on the host."""
    run = practise(person, address)
    assert run.code in (1, 5), run.err
    found = run.document
    assert found["result"] == "failed"
    assert "Traceback" not in run.err
    listed = person.run_json("drill", "list")["drills"][-1]
    assert (listed["result"], str(found["record"]).endswith(f"{listed['id']}.jsonl")) == (
        "failed",
        True,
    )
    assert is_clean(person)
    return found


def bucket(person: CliUser) -> Path:
    name = person.lab.env()["PGPROVISION_LAB_S3_BUCKET"]
    return person.lab.home / "s3/data" / name / cluster_name(person)


def stored(person: CliUser) -> dict[str, bytes]:
    """Every object, by path."""
    here = bucket(person)
    files = (path for path in here.rglob("*") if path.is_file())
    return {str(path.relative_to(here)): path.read_bytes() for path in files}


def servers(person: CliUser) -> set[str]:
    return {str(server.name) for server in person.cloud().servers.get_all()}


# --- D7: the whole of it ---


@pytest.fixture(scope="module")
def proven(drilling: CliUser) -> CommandResult:
    """One drill on a server made for it."""
    return drill(drilling)


@pytest.mark.covers("row:D7")
def test_drill_when_practised_proves_the_restore_phase_by_phase(proven: CommandResult) -> None:
    assert proven.code == 0, proven.err
    found = proven.document
    assert (found["result"], found["failures"], found["leftovers"]) == ("proven", [], [])
    assert list(found["phases"]) == PHASES
    checks = {check["name"].partition(":")[0] for check in found["checks"] if check["passed"]}
    assert checks >= {
        "PostgreSQL accepts connections",
        "isolated",
        "databases",
        "extensions",
        "roles",
    }
    assert checks >= {"all archived WAL replayed", "query on hcb_production", "heartbeat"}
    assert checks >= {"pg_amcheck", "pg_checksums", "repository unchanged"}


@pytest.mark.covers("F120")
def test_drill_when_over_leaves_no_server_and_no_key(
    drilling: CliUser, proven: CommandResult
) -> None:
    name = drill_name(drilling)
    assert name not in servers(drilling)
    assert drilling.cloud().volumes.get_all() == []
    assert name not in (drilling.inventory / "secrets/known_hosts").read_text()
    assert not (drilling.inventory / "secrets/host_keys" / name).exists()


@pytest.mark.covers("row:D7")
def test_status_when_a_drill_proved_it_says_so(drilling: CliUser, proven: CommandResult) -> None:
    found = drilling.run_json("status")
    assert found["last_proven_drill"]["result"] == "proven"
    assert found["last_proven_drill"]["seconds"] == proven.document["seconds"]
    output = drilling.run("status").out
    (line,) = [line for line in output.splitlines() if line.startswith("last proven restore: ")]
    assert line.endswith(" of data lost")
    assert drilling.run("runs", "verify").code == 0


# --- a spare host: what it proves, what it leaves, what makes it fail ---


@contextmanager
def archiver_broken(person: CliUser) -> Iterator[None]:
    """What is committed meanwhile stays on the primary."""
    person.sql(PRIMARY, "alter system set archive_command = '/bin/false'")
    person.sql(PRIMARY, "select pg_reload_conf()")
    try:
        yield
    finally:
        person.sql(PRIMARY, "alter system reset archive_command")
        person.sql(PRIMARY, "select pg_reload_conf()")


@pytest.mark.covers("F116")
@long
def test_drill_when_beside_production_writes_nothing_and_measures_the_loss(
    drilling: CliUser, spare: str
) -> None:
    later = "insert into kept select 101, 'a row', max(at) + interval '42 s' from kept"
    with archiver_broken(drilling):
        drilling.sql(PRIMARY, later, "hcb_production")
        before = stored(drilling)
        run = practise(drilling, spare)
        after = stored(drilling)
    assert run.code == 0, run.err
    found = run.document
    assert (found["data_loss_seconds"], found["data_loss_measured_by"]) == (42.0, "heartbeat")
    assert after == before
    checks = {check["name"]: check["detail"] for check in found["checks"]}
    assert checks["isolated"] == "archives nothing, holds no slots, follows nobody"
    assert checks["repository unchanged"].endswith("identical before and after; read-only key")
    assert checks["query on hcb_production: select count(*) from kept"] == "100, at least 100"
    assert is_clean(drilling)
    (aside,) = found["leftovers"]
    assert aside.startswith(
        f"{drill_name(drilling)}: set aside; to remove it: rm -r {DATA_DIRECTORY}.aside-"
    )


@long
def test_drill_when_a_probe_finds_too_little_fails_and_names_it(
    drilling: CliUser, spare: str
) -> None:
    drilling.rewrite("cluster.yml", {"at_least: 100}": "at_least: 100000}"})
    try:
        found = failed(drilling, spare)
    finally:
        drilling.rewrite("cluster.yml", {"at_least: 100000}": "at_least: 100}"})
    (bad,) = [check for check in found["checks"] if not check["passed"]]
    assert bad["name"] == "query on hcb_production: select count(*) from kept"
    assert bad["detail"].endswith("at least 100000")


@contextmanager
def damaged(person: CliUser, pattern: str, keep: int = 0) -> Iterator[Path]:
    """The newest object of this pattern, with its last bytes flipped; gone where nothing of it is
    kept."""
    found = sorted(bucket(person).glob(pattern), key=lambda path: path.stat().st_size)
    path = found[-1]
    aside = person.home / "aside"
    shutil.copy2(path, aside)
    content = path.read_bytes()
    try:
        if keep:
            half = len(content) // 2
            path.write_bytes(
                content[:half]
                + bytes(b ^ 0xFF for b in content[half : half + 64])
                + content[half + 64 :]
            )
        else:
            path.unlink()
        yield path
    finally:
        shutil.copy2(aside, path)


@pytest.mark.covers("F114")
@long
def test_drill_when_a_file_of_the_backup_is_corrupt_fails_and_says_so(
    drilling: CliUser, spare: str
) -> None:
    with damaged(drilling, "backup/main/*F/bundle/*", keep=1):
        found = failed(drilling, spare)
    (failure,) = found["failures"]
    assert failure.startswith("restore: ")
    assert "cause: a file in the repository is damaged: pgprovision backup verify" in failure


@pytest.mark.covers("F114")
@long
def test_drill_when_a_wal_segment_is_missing_fails_and_names_it(
    drilling: CliUser, spare: str
) -> None:
    for _ in range(3):
        drilling.sql(PRIMARY, "create table w(); drop table w; select pg_switch_wal()")
    assert wait_until(lambda: len(segments(drilling)) >= 3, 60)
    missing = segments(drilling)[-2]
    with damaged(drilling, f"archive/main/*/*/{missing.name}"):
        found = failed(drilling, spare)
    (failure,) = found["failures"]
    assert "missing or damaged" in failure


def segments(person: CliUser) -> list[Path]:
    return sorted(bucket(person).glob("archive/main/*/0000000100000000/*-*.zst"))


@pytest.mark.covers("F114")
@long
def test_drill_when_the_passphrase_is_wrong_fails_and_says_so(
    drilling: CliUser, spare: str
) -> None:
    file = drilling.inventory / "secrets/pgbackrest.passphrase"
    right = file.read_text()
    file.write_text("another-passphrase-of-more-than-32-characters\n")
    try:
        found = failed(drilling, spare)
    finally:
        file.write_text(right)
    (failure,) = found["failures"]
    assert "passphrase" in failure


@pytest.mark.covers("F120")
@long
def test_drill_when_the_disk_is_too_small_fails_before_the_first_byte(
    drilling: CliUser, spare: str
) -> None:
    small = "mount -t tmpfs -o size=20m small /var/lib/postgresql"
    drilling.shell(DRILL_HOST, f"install -d /var/lib/postgresql; {small}")
    try:
        found = failed(drilling, spare)
    finally:
        drilling.shell(DRILL_HOST, "umount /var/lib/postgresql")
    (failure,) = found["failures"]
    assert "GB are free" in failure


# --- F117, B101: never over anything ---


@pytest.mark.covers("F117")
@long
def test_drill_when_the_host_holds_data_is_refused(drilling: CliUser, spare: str) -> None:
    drilling.shell(
        DRILL_HOST, f"install -d {DATA_DIRECTORY}; touch {DATA_DIRECTORY}/PG_VERSION /run/before"
    )
    run = practise(drilling, spare)
    written = drilling.shell(
        DRILL_HOST, f"find /etc {DATA_DIRECTORY} -newer /run/before ! -path {DATA_DIRECTORY}"
    )
    drilling.shell(DRILL_HOST, f"rm -r {DATA_DIRECTORY}")
    assert (run.code, written) == (3, ""), run.err
    assert "holds a PostgreSQL cluster" in run.err


@pytest.mark.covers("B101")
@long
def test_drill_when_the_host_is_production_is_bad_input(drilling: CliUser) -> None:
    server = drilling.cloud().servers.get_by_name(PRIMARY)
    assert server is not None
    assert server.public_net is not None
    assert server.public_net.ipv4 is not None
    for address in (PRIMARY, str(server.public_net.ipv4.ip)):
        run = practise(drilling, address)
        assert run.code == 2, run.err
        assert f"is {PRIMARY}, a production host" in run.err


# --- F120: killed ---


@pytest.mark.covers("F120")
@long
@pytest.mark.parametrize("point", ["3:after", "5:before"])
def test_drill_when_killed_leaves_a_server_that_clean_removes(
    drilling: CliUser, point: str
) -> None:
    before = servers(drilling)
    killed = drilling.run("drill", "--yes", kill=point)
    assert killed.code == -9
    assert servers(drilling) - before == {drill_name(drilling)}
    cleaned = drilling.run("drill", "--clean", "--yes")
    assert cleaned.code == 0, cleaned.err
    assert servers(drilling) == before
    assert drill_name(drilling) not in (drilling.inventory / "secrets/host_keys").name


@pytest.mark.covers("F120")
@long
def test_drill_when_killed_on_a_spare_host_is_cleaned_by_the_next(
    drilling: CliUser, spare: str
) -> None:
    pin_host_key(drilling)
    with drilling.start("drill", "--on", spare, "--yes", kill="13:after") as running:
        run = wait_for(running)
    assert run.code == -9
    assert not is_clean(drilling)
    again = practise(drilling, spare)
    assert again.code == 0, again.err
    assert is_clean(drilling)
