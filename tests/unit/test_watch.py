"""`watch`: what it needs as a file, whom it tells, and how it ends."""

import json
import socketserver
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

import pytest
from typer.testing import CliRunner

from pgprovision.cli.app import app
from pgprovision.clients import notifications
from pgprovision.clients.deadline import call_with_timeout
from pgprovision.errors import InventoryError, NotificationError
from pgprovision.inventory import watch_file
from pgprovision.inventory.loader.loader import load
from pgprovision.inventory.rules.calendar import longest_gap
from pgprovision.inventory.watch_file import MailTo, WatchFile
from pgprovision.operations.drill.command import send_alarm
from pgprovision.secret import Secret
from tests.support.http_receiver import ReceivedRequests, http_receiver
from tests.support.inventory_folders import lab_inventory

DAY, HOUR = timedelta(days=1), timedelta(hours=1)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The lab's inventory."""
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    path = lab_inventory(tmp_path / "lab", monkeypatch.setenv)
    monkeypatch.setenv("PGPROVISION_LAB_S3_CA", str(path / "secrets" / "ca.crt"))
    return path


@pytest.fixture
def heard() -> Iterator[ReceivedRequests]:
    with http_receiver() as server:
        yield server


@pytest.mark.parametrize(
    ("calendars", "gap"),
    [
        (["Sun *-*-* 03:00:00"], 7 * DAY),
        (["Sun *-*-* 03:00:00", "Mon..Sat *-*-* 03:00:00"], DAY),
        (["Mon,Thu 02:00 Europe/Berlin"], 4 * DAY),
        (["Fri..Mon 01:00"], 4 * DAY),
        (["*-*-* 0/6:00:00"], 6 * HOUR),
        (["*:00"], HOUR),
        (["monthly"], 31 * DAY),
        (["*-*~01 00:00"], None),
        (["*-01-01"], None),
        (["when it suits"], None),
        (["daily", "when it suits"], None),
    ],
)
def test_schedule_when_read_then_its_longest_gap_or_nothing(
    calendars: list[str], gap: timedelta | None
) -> None:
    assert longest_gap(calendars) == gap


def test_ages_when_not_given_come_from_the_schedule(folder: Path) -> None:
    ages = watch_file.watch_file_of(load(folder)).ages
    delay = 15 * 60
    assert (ages.full, ages.backup) == (7 * 86400 + delay, 86400 + delay)
    assert (ages.grace, ages.wal, ages.drill) == (3 * 3600, 1800, 30 * 86400)


@pytest.mark.parametrize(("given", "days"), [("", 7), ("\n    drill_age: 9d", 9)])
def test_drill_age_when_not_given_is_the_drills_own_period(
    folder: Path, given: str, days: int
) -> None:
    path = folder / "cluster.yml"
    text = path.read_text().replace("period_days: 30", "period_days: 7")
    path.write_text(text.replace("    grace: 3h", f"    grace: 3h{given}"))
    assert watch_file.watch_file_of(load(folder)).ages.drill == days * 86400


def test_ages_when_given_win_and_a_schedule_that_cannot_be_read_needs_them(folder: Path) -> None:
    path = folder / "cluster.yml"
    text = path.read_text().replace("full: Sun *-*-* 03:00:00", 'full: "*-*~01 03:00:00"')
    path.write_text(text)
    with pytest.raises(InventoryError, match=r"cannot be determined") as error:
        watch_file.watch_file_of(load(folder))
    assert "full_age: 8d" in error.value.next
    path.write_text(text.replace("    grace: 3h", "    full_age: 32d\n    differential_age: 26h"))
    ages = watch_file.watch_file_of(load(folder)).ages
    assert (ages.full, ages.backup) == (32 * 86400, 26 * 3600)


def test_wal_age_when_nobody_marks_is_not_judged_unless_given(folder: Path) -> None:
    path = folder / "cluster.yml"
    text = path.read_text().replace(
        "wal_heartbeat_interval: 10min", "wal_heartbeat_interval: never"
    )
    path.write_text(text)
    assert watch_file.watch_file_of(load(folder)).ages.wal is None
    path.write_text(text.replace("    grace: 3h", "    wal_age: 2h"))
    assert watch_file.watch_file_of(load(folder)).ages.wal == 7200


def test_export_when_read_again_is_the_same_and_holds_nothing_that_opens_the_cluster(
    folder: Path, tmp_path: Path
) -> None:
    done = CliRunner().invoke(app, ["-i", str(folder), "watch", "export"])
    assert done.exit_code == 0
    file = tmp_path / "shop.watch"
    file.write_text(done.stdout)
    assert WatchFile.read(file) == watch_file.watch_file_of(load(folder))
    found = json.loads(done.stdout)
    assert found["store"]["key"] == "read-key"
    passwords = [p.read_text().strip() for p in (folder / "secrets").iterdir() if p.is_file()]
    for secret in ("secret", "key", *passwords):
        assert f': "{secret}"' not in done.stdout
    assert not [text for text in passwords if len(text) > 8 and text in done.stdout]


def test_export_when_no_pair_only_reads_is_refused(folder: Path) -> None:
    path = folder / "cluster.yml"
    lines = [line for line in path.read_text().splitlines() if "    read_key" not in line]
    text = "\n".join(line for line in lines if "read_endpoint" not in line)
    path.write_text(text)
    done = CliRunner().invoke(app, ["-i", str(folder), "watch", "export"])
    assert isinstance(done.exception, InventoryError)
    assert "can only read" in str(done.exception)


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("", "is not JSON"),
        ("[]", "valid dictionary"),
        ('{"version": 2}', "version"),
        ('{"cluster": "shop", "canary": 1}', "stanza: Field required"),
    ],
)
def test_watch_file_when_it_is_none_is_bad_input(tmp_path: Path, text: str, what: str) -> None:
    file = tmp_path / "shop.watch"
    file.write_text(text)
    with pytest.raises(InventoryError, match=what) as error:
        WatchFile.read(file)
    assert "watch export" in error.value.next
    with pytest.raises(InventoryError, match="cannot be read"):
        WatchFile.read(tmp_path / "nowhere")


def test_heartbeat_when_requested_is_one_get(heard: ReceivedRequests) -> None:
    notifications.ping(Secret(heard.url))
    assert heard.requests == [("GET", "/canary-5d1c", b"")]


def test_webhook_when_called_gets_the_document(heard: ReceivedRequests) -> None:
    notifications.post_json(Secret(heard.url), {"state": "alarm"})
    method, _, body = heard.requests[0]
    assert (method, json.loads(body)) == ("POST", {"state": "alarm"})


def test_url_when_it_cannot_be_reached_is_masked(heard: ReceivedRequests) -> None:
    heard.status = 500
    with pytest.raises(NotificationError, match="answered 500") as refused:
        notifications.ping(Secret(heard.url))
    with pytest.raises(NotificationError) as nobody:
        notifications.post_json(Secret("http://127.0.0.1:1/canary-5d1c?canary"), {})
    with pytest.raises(NotificationError) as broken:
        notifications.ping(Secret("canary-5d1c"))
    for error in (refused, nobody, broken):
        assert "canary" not in str(error.value)
        assert error.value.__cause__ is None
    assert "http://127.0.0.1/***" in str(refused.value)


def test_drill_when_it_proved_nothing_is_reported_as_backup_watch_says(
    folder: Path, heard: ReceivedRequests, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = folder / "cluster.yml"
    hook = "    webhook: !env ALARM_WEBHOOK\n    heartbeat_url: !env ALARM_WEBHOOK"
    path.write_text(path.read_text().replace("    grace: 3h", f"    grace: 3h\n{hook}"))
    monkeypatch.setenv("ALARM_WEBHOOK", heard.url)
    document = {"result": "failed", "failures": ["restore: WAL 00A is missing"]}
    assert send_alarm(load(folder), document) == {"webhook": True}
    method, _, body = heard.requests[0]
    assert (method, json.loads(body), len(heard.requests)) == ("POST", document, 1)
    heard.status = 500
    assert send_alarm(load(folder), document) == {"webhook": False}


@contextmanager
def post_office() -> Iterator[tuple[int, list[str]]]:
    """An SMTP server that takes everything; what it received."""
    lines: list[str] = []

    class Handler(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            self.wfile.write(b"220 here\r\n")
            letter = False
            for raw in self.rfile:
                line = raw.decode().rstrip("\r\n")
                lines.append(line)
                if letter and line != ".":
                    continue
                letter = line == "data"
                last = line == "QUIT"
                answer = "354 go on" if letter else "221 bye" if last else "250 fine"
                self.wfile.write(f"{answer}\r\n".encode())
                if last:
                    return

    with socketserver.TCPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server.server_address[1], lines
        server.shutdown()


def test_mail_when_a_server_is_given_goes_there() -> None:
    with post_office() as (port, lines):
        way = MailTo(
            to=("a@example.org", "b@example.org"),
            sender="pg@example.org",
            server="127.0.0.1",
            server_port=port,
            encryption="none",
        )
        notifications.send_mail(way, "[pgprovision] shop: wal_age", "ALARM wal_age: no WAL\n")
    assert "rcpt TO:<b@example.org>" in lines
    assert "Subject: [pgprovision] shop: wal_age" in lines
    assert "ALARM wal_age: no WAL" in lines


def test_mail_when_the_server_does_not_encrypt_is_not_sent_in_the_clear() -> None:
    with post_office() as (port, lines):
        way = MailTo(
            to=("a@example.org",), sender="pg@example.org", server="127.0.0.1", server_port=port
        )
        with pytest.raises(NotificationError, match="mail through 127"):
            notifications.send_mail(way, "subject", "text")
    assert not [line for line in lines if line.startswith("rcpt")]


def test_call_when_it_does_not_end_is_left() -> None:
    stop = threading.Event()
    try:
        with pytest.raises(TimeoutError):
            call_with_timeout(0.05, stop.wait)
    finally:
        stop.set()
    with pytest.raises(KeyError):
        call_with_timeout(5, lambda: dict[str, str]()["nothing"])


def test_watch_when_the_store_cannot_be_reached_cannot_tell_and_says_it_to_all(
    folder: Path, heard: ReceivedRequests, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PGPROVISION_LAB_S3_READ_ADDRESS", "127.0.0.1:1")
    monkeypatch.setenv("HOOK", heard.url)
    path = folder / "cluster.yml"
    urls = "    grace: 3h\n    webhook: !env HOOK\n    heartbeat_url: !env HOOK\n"
    path.write_text(path.read_text().replace("    grace: 3h", urls))
    done = CliRunner().invoke(app, ["-i", str(folder), "watch", "--json"], standalone_mode=False)
    found = json.loads(done.stdout)
    assert (done.return_value, found["state"]) == (6, "unknown")
    assert [alarm["kind"] for alarm in found["alarms"]] == ["store_unreachable"]
    assert found["notified"] == {"webhook": True}
    assert [method for method, _, _ in heard.requests] == ["POST"]
    assert "secret" not in done.stdout and "canary" not in done.stdout
