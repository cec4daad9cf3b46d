"""Gaps in WAL, causes of errors, what waits for the archive, what a look through one saw."""

import json
from dataclasses import replace

import pytest

from pgprovision.engine.model import Answer
from pgprovision.errors import Refused
from pgprovision.resources.pgbackrest.archive_backlog import ArchiveBacklog, backlog
from pgprovision.resources.pgbackrest.backup import OnDemandBackup
from pgprovision.resources.pgbackrest.error_hints import ERROR_HINTS, error_hint
from pgprovision.resources.pgbackrest.info import parse as parsed
from pgprovision.resources.pgbackrest.timer_results import BackupTimerResults
from pgprovision.resources.pgbackrest.verification import parse
from pgprovision.resources.postgres.replication import wal_segments
from pgprovision.resources.postgres.server.instance import Instance
from pgprovision.resources.postgres.server.snapshot import ServerSnapshot, SnapshotQuery
from tests.unit.test_pgbackrest_info import FULL, STANZA

SEGMENTS = [wal_segments.segment_name(1, place) for place in range(0xFD, 0x103)]


@pytest.mark.covers("F114")
def test_holes_when_a_segment_is_missing_name_it_across_the_upper_half() -> None:
    assert SEGMENTS[2:4] == ["0000000100000000000000FF", "000000010000000100000000"]
    assert wal_segments.gaps(SEGMENTS, SEGMENTS[0]) == ()
    assert wal_segments.gaps([*SEGMENTS[:2], *SEGMENTS[4:]], SEGMENTS[0]) == (
        (SEGMENTS[2], SEGMENTS[3]),
    )


@pytest.mark.covers("F114")
def test_holes_when_they_are_older_than_what_is_requested_do_not_count() -> None:
    assert wal_segments.gaps([SEGMENTS[0], *SEGMENTS[3:]], SEGMENTS[3]) == ()


@pytest.mark.covers("F114")
def test_holes_when_a_timeline_ends_are_none() -> None:
    """The new one begins with the segment in which the old one ended."""
    switched = [
        *SEGMENTS[:3],
        *(wal_segments.segment_name(2, place) for place in (0xFF, 0x100)),
        "00000002.history",
    ]
    assert wal_segments.gaps(switched, SEGMENTS[0]) == ()
    assert wal_segments.gaps([*SEGMENTS[:2], wal_segments.segment_name(2, 0x101)], SEGMENTS[0]) == (
        (wal_segments.segment_name(2, 0xFF), wal_segments.segment_name(2, 0x100)),
    )


@pytest.mark.covers("F107")
def test_cause_when_an_error_is_known_is_reported_and_when_not_nothing() -> None:
    for signs, meaning in ERROR_HINTS:
        assert error_hint(f"[ProtocolError] {signs[0]} of something") in {m for _, m in ERROR_HINTS}
        assert meaning
    message = "HTTP request failed with 403 (Forbidden):\n<Code>RequestTimeTooSkewed</Code>"
    assert "clock" in error_hint(message)
    assert "key" in error_hint("HTTP request failed with 403 (Forbidden):")
    assert error_hint("all is well") == ""


def server(**archiver: object) -> ServerSnapshot:
    figures = {"segment_bytes": 16 << 20, "waiting": 0, "written_last_hour": 0, **archiver}
    return ServerSnapshot(
        version=15,
        minor="15.20",
        in_recovery=False,
        system_identifier="71",
        timeline=1,
        loaded=0.0,
        lsn={},
        contexts={},
        settings={},
        pending_restart={},
        auto_conf=(),
        file_errors=(),
        hba_errors=(),
        overrides=(),
        roles={},
        databases={},
        slots={},
        replication=(),
        receiver=None,
        archiver=figures,
        wal_free=160 << 20,
    )


GOOD, LATER = "2026-11-29T07:00:00+00:00", "2026-11-29T07:05:00+00:00"
ERROR = Answer(out=b"103\nunable to connect\n[HostConnectError] [111] Connection refused")


@pytest.mark.covers("F108")
def test_archive_when_it_fails_tells_the_cause_and_when_the_disk_is_full() -> None:
    found = backlog(
        server(
            waiting=5,
            oldest="0000000100000000000000FF",
            oldest_seconds=7200,
            written_last_hour=4,
            last_archived_time=GOOD,
            last_failed_time=LATER,
        ),
        ERROR,
    )
    assert found == ArchiveBacklog(
        pending_segments=5,
        pending_bytes=5 << 24,
        oldest_pending_seconds=7200,
        hours_until_disk_full=2.5,
        failing=True,
        last_archived_at=GOOD,
        last_error="nothing listens at that port of the store (endpoint: HOST:PORT)"
        " (unable to connect)",
    )
    assert found.alarming
    assert "5 WAL segments (84 MB) are not archived, the oldest for 120 min" in str(found)
    assert "the disk is full in 2.5 h" in str(found)


@pytest.mark.covers("F108")
def test_archive_of_a_database_that_rests_raises_no_alarm() -> None:
    failed_once = server(last_archived_time=GOOD, last_failed_time=LATER)
    assert not backlog(failed_once, ERROR).alarming
    assert backlog(failed_once, ERROR).last_error == ""
    assert not backlog(server(last_archived_time="2020-01-01T00:00:00+00:00"), None).alarming
    assert not backlog(None, None).alarming


@pytest.mark.covers("F108")
@pytest.mark.parametrize(("seconds", "alarming"), [(20, False), (301, True)])
def test_archive_when_a_segment_waits_without_an_error_is_late_after_5_min(
    seconds: int, alarming: bool
) -> None:
    found = backlog(server(waiting=1, oldest_seconds=seconds, last_archived_time=GOOD), None)
    assert found.alarming == alarming


def looked(**given: list[str]) -> str:
    """What a look through a repository writes down."""
    wrong = {"archive": {"start": SEGMENTS[0], "stop": SEGMENTS[1]}}
    info = json.dumps([{**STANZA, "backup": [{**FULL, **wrong}]}])
    label = FULL["label"]
    parts = {
        "info": [info],
        "manifests": [f"{label} backup.manifest", f"{label} backup.manifest.copy"],
        "wal": SEGMENTS,
        "verify": ["2026-11-29 07:02:39 P00   INFO: verify command end: completed successfully"],
    } | given
    lines = ["== begun 100"]
    for name, output in parts.items():
        lines += [f"== {name}", *output, "== ended 0"]
    return "\n".join([*lines, "== done"])


@pytest.mark.covers("F114")
def test_look_when_all_is_there_finds_nothing() -> None:
    found = parse(looked())
    assert (found.started_at, found.complete, found.problems) == (100, True, ())


@pytest.mark.covers("F114")
@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"manifests": []}, "backup.manifest and backup.manifest.copy missing; it cannot be"),
        ({"wal": SEGMENTS[1:]}, f"WAL {SEGMENTS[0]} is missing: 20261120-103721F cannot be"),
        (
            {"wal": [*SEGMENTS[:3], SEGMENTS[5]]},
            f"WAL {SEGMENTS[3]} to {SEGMENTS[4]} is missing: from 20261120-103721F nothing can be",
        ),
        (
            {"verify": ["2026-11-29 07:02:39 P02   INFO: invalid checksum 'a/b.zst'"]},
            "invalid checksum 'a/b.zst'",
        ),
        ({"verify": []}, "pgbackrest verify did not finish"),
        ({"info": ["[]"]}, "it cannot be read"),
    ],
)
def test_look_when_something_is_wrong_names_it(given: dict[str, list[str]], expected: str) -> None:
    assert any(expected in problem for problem in parse(looked(**given)).problems)


@pytest.mark.covers("F114")
def test_look_that_was_cut_off_says_nothing() -> None:
    assert not parse(looked().removesuffix("== done")).complete


class Answered:
    """Facts: one answer to the snapshot, nothing else."""

    def __init__(self, found: ServerSnapshot | None) -> None:
        self.found = found

    def get(self, on: str, probe: object) -> Answer | None:
        return Answer() if self.found else None


class Shown(SnapshotQuery):
    def running_server(self, answer: Answer | None) -> ServerSnapshot | None:
        return SHOWN.get("now")


SHOWN: dict[str, ServerSnapshot] = {}


@pytest.mark.covers("row:D5")
@pytest.mark.parametrize("standby", [True, False])
def test_backup_now_of_what_is_no_running_primary_is_refused(standby: bool) -> None:
    SHOWN.clear()
    if standby:
        SHOWN["now"] = ServerSnapshot(**{**vars(server()), "in_recovery": True})
    resource = OnDemandBackup(
        on="db", stanza="main", instance=Instance(), snapshot=Shown(Instance()), ended_after=0
    )
    with pytest.raises(Refused, match="standby" if standby else "does not answer"):
        resource.resolved(Answered(None))


def test_backup_now_when_an_older_one_is_there_waits_for_its_own() -> None:
    resource = OnDemandBackup(
        on="db",
        stanza="main",
        instance=Instance(),
        snapshot=SnapshotQuery(Instance()),
        ended_after=1795171043,
        backup_type="diff",
        identifier="7710200676590158511",
    )
    answer = Answer(out=json.dumps([STANZA]).encode())
    assert resource.read(answer) is None
    assert not any(map(resource.satisfies, parsed(answer).backups))
    assert resource.satisfies(replace(parsed(answer).backups[1], stop=1795171044))


@pytest.mark.covers("row:D5")
@pytest.mark.parametrize(
    ("result", "active", "expected"),
    [
        ("exec-condition", "inactive", "the diff backup due Sun was skipped: not the primary"),
        ("exit-code", "failed", "the diff backup due Sun FAILED: journalctl -u pgbackrest-b"),
        ("success", "inactive", ""),
    ],
)
def test_scheduled_backup_when_it_was_skipped_or_failed_is_in_status(
    result: str, active: str, expected: str
) -> None:
    resource = BackupTimerResults(on="db", types=("diff",))
    text = f"Id=pgbackrest-backup@diff.service\nActiveState={active}\nResult={result}\n"
    state = resource.read(Answer(out=f"{text}InactiveEnterTimestamp=Sun\n".encode()))
    assert [text.startswith(expected) for text in resource.notes(state)] == [True] * bool(expected)
