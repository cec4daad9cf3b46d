"""`watch` against a real repository: six ways to have no backups, six alarms; what the store keeps.

Nobody waits for a week: the moment at which it is judged is given. What would have happened until
then is made to happen at once: the timer is hurried.
"""

import json
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import requests

from pgprovision.lab.authority import issue_server_certificate_files
from pgprovision.lab.ports import free_port, wait_for_port
from pgprovision.lab.process import Daemon, wait_until
from pgprovision.lab.s3 import HOSTNAME, rclone_path
from tests.cluster.conftest import PRIMARY
from tests.support.cli_user import CliUser, CommandResult
from tests.support.http_receiver import http_receiver

pytestmark = pytest.mark.lab
long = pytest.mark.backups  # the others are in `make test`, too

UNITS = "/etc/systemd/system"
DIFF = "pgbackrest-backup-diff.timer"
SERVICE = "pgbackrest-backup@diff.service"
SECOND = timedelta(seconds=1)
STALE = 2  # the lab's store sees what was changed behind its back within a second


@dataclass(frozen=True)
class Watcher:
    """A machine that has nothing but what `watch export` wrote."""

    person: CliUser
    file: Path

    def observe(self, now: datetime | None = None, **changes: Any) -> tuple[int, dict[str, Any]]:
        """The exit code and what was found, as of a moment."""
        run = self.run(now, "--json", **changes)
        return run.code, run.document

    def run(self, now: datetime | None, *words: str, **changes: Any) -> CommandResult:
        known = json.loads(self.file.read_text())
        ages = known["ages"] | changes.pop("ages", {})
        given = self.file.with_name("given.watch")
        given.write_text(json.dumps({**known, "ages": ages, **changes}))
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("NO_PROXY", f"127.0.0.1,{os.environ.get('NO_PROXY', '')}")
            if now is not None:
                patch.setenv("PGP_TEST_NOW", now.isoformat())
            return self.person.run("watch", "--file", str(given), *words)

    def due(self) -> datetime:
        """The first moments at which the newest backup is too old, period and grace together."""
        _, found = self.observe()
        limits = found["max_age_seconds"]
        allowed = timedelta(seconds=limits["backup"] + limits["grace"])
        return datetime.fromisoformat(found["newest"]["backup"]["at"]) + allowed + 2 * SECOND

    def newest(self, what: str) -> str:
        return str(self.observe()[1]["newest"][what]["name"])


NO_WAL: dict[str, Any] = {"ages": {"wal": None, "full": 30 * 86400}}  # only backups are judged


@pytest.fixture(scope="module")
def watcher(cluster: CliUser, tmp_path_factory: pytest.TempPathFactory) -> Watcher:
    file = tmp_path_factory.mktemp("elsewhere") / "hcb-lab.watch"
    file.write_text(cluster.run("watch", "export").out)
    return Watcher(cluster, file)


@pytest.fixture(scope="module")
def store(cluster: CliUser) -> Path:
    """The repository as the store's own disk has it."""
    return cluster.lab.home / "s3/data" / cluster.lab.env()["PGPROVISION_LAB_S3_BUCKET"] / "hcb-lab"


@contextmanager
def hurried(cluster: CliUser) -> Iterator[None]:
    """The daily backup is due every five seconds."""
    folder = f"{UNITS}/{DIFF}.d"
    text = "[Timer]\nOnCalendar=*:*:0/5\nRandomizedDelaySec=0\nAccuracySec=100ms\n"
    cluster.shell(PRIMARY, f"mkdir -p {folder} && cat >{folder}/hurry.conf", text)
    cluster.shell(PRIMARY, f"systemctl daemon-reload; systemctl restart {DIFF}")
    try:
        yield
    finally:
        cluster.shell(
            PRIMARY,
            f"rm -r {folder}; systemctl daemon-reload; systemctl restart {DIFF}\n"
            f"while systemctl -q is-active {SERVICE}; do sleep 0.2; done; systemctl stop {SERVICE}",
        )


def kinds(found: dict[str, Any]) -> list[str]:
    return [alarm["kind"] for alarm in found["alarms"]]


def alarmed(watcher: Watcher, due: datetime, kind: str, **changes: Any) -> None:
    """As of that moment there is this alarm and no other, and it is reported at once."""
    code, found = watcher.observe(due, **changes)
    assert (code, kinds(found)) == (1, [kind])
    print(watcher.run(due, **changes).err)


def test_watch_when_all_is_well_ends_with_0_and_requests_the_heartbeat_once(
    watcher: Watcher,
) -> None:
    with http_receiver() as service:
        code, found = watcher.observe(heartbeat_url=service.url, webhook=service.url)
    assert (code, found["alarms"], found["notified"]) == (0, [], {"heartbeat": True})
    assert [method for method, _, _ in service.requests] == ["GET"]


@pytest.mark.covers("F113")
@long
def test_timer_when_it_fires_brings_a_backup_and_no_alarm_comes(
    cluster: CliUser, watcher: Watcher
) -> None:
    due, before = watcher.due(), watcher.newest("backup")
    with hurried(cluster):
        assert wait_until(lambda: watcher.newest("backup") != before, seconds=120)
    code, found = watcher.observe(due, **NO_WAL)
    assert (code, kinds(found)) == (0, [])


@pytest.mark.covers("F113")
@long
@pytest.mark.parametrize(
    ("fault", "undo"),
    [
        (  # `systemctl mask` refuses where the file is in /etc: people make the link themselves
            f"mv {UNITS}/{DIFF} /root/ && ln -s /dev/null {UNITS}/{DIFF}",
            f"mv -fT /root/{DIFF} {UNITS}/{DIFF}",
        ),
        ("true", "true"),
    ],
    ids=["masked", "dead"],
)
def test_timer_when_masked_or_dead_is_an_alarm_within_period_and_grace(
    cluster: CliUser, watcher: Watcher, fault: str, undo: str
) -> None:
    cluster.shell(PRIMARY, f"systemctl stop {DIFF}; {fault}; systemctl daemon-reload")
    try:
        with hurried_in_vain(cluster):
            due, before = watcher.due(), watcher.newest("backup")
            time.sleep(7)
            assert watcher.newest("backup") == before
        alarmed(watcher, due, "backup_age", **NO_WAL)
    finally:
        cluster.shell(PRIMARY, f"{undo}; systemctl daemon-reload; systemctl start {DIFF}")


@contextmanager
def hurried_in_vain(cluster: CliUser) -> Iterator[None]:
    """The backup would be due every five seconds, if the timer ran."""
    folder = f"{UNITS}/{DIFF}.d"
    text = "[Timer]\nOnCalendar=*:*:0/5\nRandomizedDelaySec=0\n"
    cluster.shell(PRIMARY, f"mkdir -p {folder} && cat >{folder}/hurry.conf", text)
    cluster.shell(PRIMARY, "systemctl daemon-reload")
    try:
        yield
    finally:
        cluster.shell(PRIMARY, f"rm -r {folder}; systemctl daemon-reload")


LIAR = """#!/bin/sh
case " $* " in *" backup "*) echo "backup command end: completed successfully"; exit 0;; esac
exec /usr/bin/pgbackrest.real "$@"
"""


@pytest.mark.covers("F113")
def test_script_when_it_ends_with_0_and_no_backup_is_an_alarm(
    cluster: CliUser, watcher: Watcher
) -> None:
    due, before = watcher.due(), watcher.newest("backup")
    swap = "cat >/usr/bin/liar && chmod 755 /usr/bin/liar && cd /usr/bin &&"
    cluster.shell(PRIMARY, f"{swap} mv pgbackrest pgbackrest.real && mv liar pgbackrest", LIAR)
    try:
        cluster.shell(PRIMARY, f"systemctl start {SERVICE}")
        output = cluster.shell(PRIMARY, f"systemctl show -p Result -p ExecMainStatus {SERVICE}")
    finally:
        cluster.shell(PRIMARY, "mv -f /usr/bin/pgbackrest.real /usr/bin/pgbackrest")
    assert "Result=success" in output
    assert "ExecMainStatus=0" in output
    assert watcher.newest("backup") == before
    alarmed(watcher, due, "backup_age", **NO_WAL)


@pytest.mark.covers("F113")
def test_sender_when_broken_is_an_alarm_and_the_heartbeat_falls_silent(
    watcher: Watcher,
) -> None:
    due = watcher.due()
    with http_receiver() as service:
        code, found = watcher.observe(
            due, webhook="http://127.0.0.1:1/x", heartbeat_url=service.url
        )
        assert code == 1
        assert {"backup_age", "notification_failed"} <= set(kinds(found))
        assert found["notified"] == {"webhook": False}
        assert service.requests == []  # whoever waits for the heartbeat raises the alarm
        service.status = 503
        code, found = watcher.observe(heartbeat_url=service.url)
        assert (code, kinds(found)) == (1, ["notification_failed"])
        print(watcher.run(None, heartbeat_url=service.url).err)
    assert "canary" not in json.dumps(found)


FAKE = """\
LD_PRELOAD = '/usr/lib/x86_64-linux-gnu/faketime/libfaketime.so.1'
FAKETIME = '+10m'
FAKETIME_DONT_FAKE_MONOTONIC = '1'
"""


@pytest.mark.covers("F113")
@long
def test_clock_of_the_host_when_wrong_is_an_alarm(
    cluster: CliUser, watcher: Watcher, store: Path
) -> None:
    """By libfaketime. Two days, and the store takes nothing from that host; ten minutes, and
    the clock of PostgreSQL, which names a backup, names it wrong."""
    due, before = watcher.due(), watcher.newest("backup")
    cluster.shell(PRIMARY, "apt-get install -qy --no-install-recommends faketime")
    backup = "pgbackrest --stanza=main --type=diff --log-level-console=warn backup"
    output = cluster.shell(
        PRIMARY, f"runuser -u postgres -- faketime '+2 days' {backup}", fails=True
    )
    assert "RequestTimeTooSkewed" in output
    assert watcher.newest("backup") == before
    alarmed(watcher, due, "backup_age", **NO_WAL)
    environment = "/etc/postgresql/15/main/environment"
    restart = "systemctl restart postgresql@15-main"
    cluster.shell(PRIMARY, f"cp -a {environment} /root/ && cat >>{environment} && {restart}", FAKE)
    try:
        cluster.shell(PRIMARY, f"systemctl start {SERVICE}")
        code, found = watcher.observe()
        assert (code, kinds(found)) == (1, ["clock_primary"])
        assert re.search(r"a clock (9|10)min ahead of the store's", found["alarms"][0]["message"])
        print(watcher.run(None).err)
    finally:
        cluster.shell(PRIMARY, f"mv -fT /root/environment {environment} && {restart}")
        label = watcher.newest("backup")
        if label != before:
            expire = f"pgbackrest --stanza=main --set={label} expire"
            cluster.shell(PRIMARY, f"runuser -u postgres -- {expire}")
            for path in store.glob(f"backup/main/backup.history/*/{label}.*"):
                path.unlink()  # with it pgBackRest takes no backup until the clock has caught up
        cluster.shell(PRIMARY, "apt-get purge -qy faketime libfaketime")
    assert watcher.observe()[0] == 0


@pytest.mark.covers("F113")
def test_clock_of_the_watcher_when_wrong_is_an_alarm(watcher: Watcher) -> None:
    """By libfaketime's way for one program: Python's own clock, ten days on."""
    script = (
        "import datetime as d, sys; real = d.datetime\n"
        "class Fast(real):\n"
        "    now = classmethod(lambda c, tz=None: real.now(tz) + d.timedelta(minutes=10))\n"
        "import pgprovision.operations.watch.watch as w; w.datetime = Fast\n"
        "from pgprovision.cli.app import run; sys.exit(run())"
    )
    words = [sys.executable, "-c", script, "watch", "--json", "--file", str(watcher.file)]
    done = subprocess.run(words, env=watcher.person.environment, capture_output=True, text=True)
    assert kinds(json.loads(done.stdout)) == ["clock_controller"]


@pytest.mark.covers("F114")
def test_wal_when_a_segment_is_missing_from_the_store_is_found(
    cluster: CliUser, watcher: Watcher, store: Path, tmp_path: Path
) -> None:
    switch = "select pg_logical_emit_message(false, 'x', 'x'); select pg_switch_wal()"
    newest = watcher.newest("wal")
    for _ in range(3):
        cluster.sql(PRIMARY, switch)
    assert wait_until(lambda: watcher.newest("wal")[8:] > newest[8:], seconds=60)
    names = sorted(path for path in store.glob("archive/main/*/*/*") if path.name[24] == "-")
    lost = names[-2]
    shutil.move(lost, tmp_path / lost.name)
    time.sleep(STALE)
    try:
        now = datetime.now(UTC) + timedelta(minutes=12)
        code, found = watcher.observe(now, **NO_WAL)
        assert (code, kinds(found)) == (1, ["wal_gap"])
        assert lost.name[:24] in found["alarms"][0]["message"]
        print(watcher.run(now, **NO_WAL).err)
    finally:
        shutil.move(tmp_path / lost.name, lost)


@pytest.mark.covers("F114")
@long
def test_manifest_when_missing_from_the_store_is_found(
    watcher: Watcher, store: Path, tmp_path: Path
) -> None:
    manifest = store / "backup/main" / watcher.newest("full") / "backup.manifest"
    shutil.move(manifest, tmp_path)
    time.sleep(STALE)
    try:
        code, found = watcher.observe(datetime.now(UTC), **NO_WAL)
        assert code == 1
        # Where no differential was taken yet, it was the newest of any kind, too.
        assert set(kinds(found)) - {"backup_age"} == {"full_age", "manifest_missing"}
        print(watcher.run(datetime.now(UTC), **NO_WAL).err)
    finally:
        shutil.move(tmp_path / "backup.manifest", manifest)
    time.sleep(STALE)
    assert watcher.observe()[0] == 0


@pytest.mark.covers("S56")
@long
def test_objects_when_read_are_encrypted_and_show_no_row(
    cluster: CliUser, store: Path, watcher: Watcher
) -> None:
    row = "KNOWNROW-5d1c8ad2"
    cluster.sql(PRIMARY, f"create table known as select '{row}' as row; checkpoint")
    cluster.shell(PRIMARY, f"grep -raq {row} /var/lib/postgresql/15/main/base")
    try:
        wal = watcher.newest("wal")
        cluster.shell(PRIMARY, f"systemctl start {SERVICE}")
        assert watcher.newest("wal") != wal
        objects = [path for path in store.rglob("*") if path.is_file()]
        assert len(objects) > 20
        assert {path.read_bytes()[:8] for path in objects} == {b"Salted__"}
        assert not [path for path in objects if row.encode() in path.read_bytes()]
    finally:
        cluster.sql(PRIMARY, "drop table known")


@pytest.mark.covers("S57")
@long
def test_repository_when_requested_without_a_key_is_rejected(cluster: CliUser) -> None:
    env = cluster.lab.env()
    address, bucket = env["PGPROVISION_LAB_ADDRESS"], env["PGPROVISION_LAB_S3_BUCKET"]
    for endpoint in ("PGPROVISION_LAB_S3_ENDPOINT", "PGPROVISION_LAB_S3_READ_ENDPOINT"):
        port = env[endpoint].partition(":")[2]
        for path in ("hcb-lab/backup/main/backup.info", "?list-type=2"):
            url = f"https://{address}:{port}/{bucket}/{path}"
            with requests.Session() as plain:
                plain.trust_env = False
                answer = plain.get(url, verify=env["AWS_CA_BUNDLE"], timeout=10)
            assert answer.status_code in (400, 403)  # the former is rclone's word for it
            assert "Salted__" not in answer.text and "<Key>" not in answer.text


@pytest.mark.covers("S59")
@long
def test_store_when_its_certificate_is_false_gets_no_backup_and_cannot_be_watched(
    cluster: CliUser, watcher: Watcher, store: Path, tmp_path: Path
) -> None:
    """Another server answers with everything right but the authority."""
    conf = "/etc/pgbackrest/pgbackrest.conf"
    assert cluster.shell(PRIMARY, f"grep -c verify-tls {conf}", fails=True) == "0"
    env = cluster.lab.env()
    address = env["PGPROVISION_LAB_ADDRESS"]
    port = free_port(address, 9500)
    issue_server_certificate_files(
        tmp_path / "ca.pem", tmp_path / "server.pem", tmp_path / "server.key", HOSTNAME, address
    )
    impostor = Daemon(tmp_path / "rclone.pid", tmp_path / "rclone.log")
    pairs = [f'"{env[f"{p}_KEY"]},{env[f"{p}_SECRET"]}"' for p in ("PGPROVISION_LAB_S3",)]
    words = [rclone_path(), "serve", "s3", "--addr", f"{address}:{port}", "--cert"]
    words += [str(tmp_path / "server.pem"), "--key", str(tmp_path / "server.key")]
    impostor.start(
        [*words, str(store.parents[1])], {"RCLONE_AUTH_KEY": pairs[0], "RCLONE_CONFIG": ""}
    )
    try:
        wait_for_port(address, port, impostor, "the impostor")
        backup = f"timeout 60 pgbackrest --stanza=main --repo1-storage-port={port} --type=diff"
        quick = "--io-timeout=3 --log-level-console=warn"
        words = [f"runuser -u postgres -- {backup} {quick} backup; echo code $?"]
        output = cluster.shell(PRIMARY, words[0], fails=True)
        assert "code 0" not in output
        assert "certificate" in output
        known = json.loads(watcher.file.read_text())["store"]
        code, found = watcher.observe(store={**known, "endpoint": address, "port": port})
        assert (code, kinds(found)) == (6, ["store_unreachable"])
        assert "certificate is not trusted" in found["alarms"][0]["message"]
    finally:
        impostor.stop()


@long
def test_watch_when_the_pair_is_wrong_cannot_tell_and_says_why(watcher: Watcher) -> None:
    known = json.loads(watcher.file.read_text())["store"]
    for wrong in ({"key": "NOBODY"}, {"key_secret": "wrong"}, {"bucket": "another"}):
        code, found = watcher.observe(store={**known, **wrong})
        assert (code, found["state"], kinds(found)) == (6, "unknown", ["store_unreachable"])
        assert re.search(r"\(\w+\)", found["alarms"][0]["message"])


@pytest.mark.covers("F113")
@long
def test_host_when_off_is_an_alarm_from_outside(cluster: CliUser, watcher: Watcher) -> None:
    """With the machine on, the timer's mark reaches the store; with it off, nothing does."""
    last = datetime.fromisoformat(watcher.observe()[1]["newest"]["wal"]["at"])
    due = last + timedelta(minutes=30) + 2 * SECOND
    cluster.shell(PRIMARY, "systemctl start pgprovision-mark.service")
    cluster.sql(PRIMARY, "select pg_switch_wal()")
    before = watcher.newest("wal")
    assert wait_until(lambda: watcher.newest("wal") != before or _newer(watcher, last), seconds=60)
    assert watcher.observe(due)[0] == 0
    server = cluster.cloud().servers.get_by_name(PRIMARY)
    assert server
    server.power_off().wait_until_finished()
    try:
        last = datetime.fromisoformat(watcher.observe()[1]["newest"]["wal"]["at"])
        alarmed(watcher, last + timedelta(minutes=30) + 2 * SECOND, "wal_age")
    finally:
        server.power_on().wait_until_finished()
        ready = "runuser -u postgres -- psql -XAtc 'select not pg_is_in_recovery()' 2>&1"

        def up() -> bool:
            try:
                return cluster.shell(PRIMARY, ready, fails=True).endswith("t")
            except Exception:
                return False

        assert wait_until(up, seconds=120)
    assert wait_until(lambda: cluster.drift() == {}, seconds=60)  # cloud-init is longer at it


def _newer(watcher: Watcher, last: datetime) -> bool:
    return datetime.fromisoformat(watcher.observe()[1]["newest"]["wal"]["at"]) > last
