"""Targets of a recovery: times with zones, the hour that comes twice, what is outside."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from pgprovision.engine.model import Answer
from pgprovision.errors import InventoryError, Refused
from pgprovision.recovery_target import END_OF_WAL, RecoveryTarget, parse_time, recovery_target
from pgprovision.resources.data_directory import recovery
from pgprovision.resources.pgbackrest import archive_timelines
from pgprovision.resources.pgbackrest.archive_timelines import ArchivedTimeline, newest_segment
from pgprovision.resources.pgbackrest.info import BackupInfo
from pgprovision.resources.pgbackrest.restore_points import (
    detect_segment_bytes,
    plan_restore,
    windows,
)
from pgprovision.resources.postgres.replication.lsn import lsn_to_bytes

DAY = 86400
FIRST = int(datetime(2026, 11, 1, 3, tzinfo=UTC).timestamp())


def backup(day: int, lsn: str, segment: str, *, damaged: bool = False) -> BackupInfo:
    """One that ended `day` days after the first, at this place."""
    stop = FIRST + day * DAY
    return BackupInfo(
        label=f"202611{1 + day:02d}-025900F",
        type="full",
        start=stop - 60,
        stop=stop,
        database_size=1000,
        repository_size=100,
        wal_range=(segment, segment),
        system_identifier="71",
        damaged=damaged,
        lsn_range=(lsn, lsn),
    )


BACKUPS = (
    backup(0, "0/2000100", "000000010000000000000002"),
    backup(7, "0/9000100", "000000010000000000000009"),
    backup(14, "0/C000100", "00000002000000000000000C"),
)
LEFT = lsn_to_bytes("0/A000028")
ONE = ArchivedTimeline(1, (), "00000001000000000000000B", FIRST + 8 * DAY)
TWO = ArchivedTimeline(2, ((1, LEFT),), "00000002000000000000000E", FIRST + 15 * DAY)


def at(day: float, timeline: int = 0) -> RecoveryTarget:
    moment = datetime.fromtimestamp(FIRST + day * DAY, UTC)
    return RecoveryTarget("time", moment.isoformat(), timeline=timeline)


# --- F118: three zones, the hour that comes twice, the one that does not come ---


@pytest.mark.covers("F118")
@pytest.mark.parametrize(
    ("text", "utc"),
    [
        ("2026-11-29 03:00+01:00", "2026-11-29T02:00:00+00:00"),
        ("2026-11-29T03:00:00.25Z", "2026-11-29T03:00:00.250000+00:00"),
        ("2026-11-29 03:00 Europe/Berlin", "2026-11-29T02:00:00+00:00"),
        ("2026-07-01 03:00 Europe/Berlin", "2026-07-01T01:00:00+00:00"),
        ("2026-11-29 03:00-0530", "2026-11-29T08:30:00+00:00"),
        ("2026-11-29 03:00 -05", "2026-11-29T08:00:00+00:00"),
        ("2026-11-29 03:00 Asia/Kolkata", "2026-11-28T21:30:00+00:00"),
        ("2026-11-29 03:00 America/New_York", "2026-11-29T08:00:00+00:00"),
        ("2026-10-25 02:30+02:00", "2026-10-25T00:30:00+00:00"),
        ("2026-10-25 02:30+01:00", "2026-10-25T01:30:00+00:00"),
    ],
)
def test_time_when_it_has_a_zone_is_one_moment(text: str, utc: str) -> None:
    assert parse_time(text) == utc
    assert parse_time(utc) == utc


@pytest.mark.covers("F118")
@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2026-11-29 03:00", "has no zone"),
        ("yesterday", "expected a time with a zone"),
        ("2026-13-29 03:00Z", "month must be in 1..12"),
        ("2026-11-29 25:00Z", "hour must be in 0..23"),
        ("2026-11-29 03:00 Europe/Berlim", "unknown time zone Europe/Berlim"),
        ("2026-11-29 03:00 ../../etc/passwd", "expected a time with a zone"),
        (
            "2026-10-25 02:30 Europe/Berlin",
            "twice that day; say which: 2026-10-25 02:30:00+02:00 or 2026-10-25 02:30:00+01:00",
        ),
        (
            "2026-11-01 01:30 America/New_York",
            "say which: 2026-11-01 01:30:00-04:00 or 2026-11-01 01:30:00-05:00",
        ),
        ("2026-03-29 02:30 Europe/Berlin", "skip 2026-03-29 02:30:00"),
    ],
)
def test_time_when_it_is_no_one_moment_is_refused_with_what_it_could_be(
    text: str, expected: str
) -> None:
    with pytest.raises(InventoryError) as refused:
        recovery_target({"time": text})
    assert refused.value.exit_code == 2
    assert expected in str(refused.value)


def test_target_when_two_are_given_or_none_to_stop_before_is_refused() -> None:
    with pytest.raises(InventoryError, match="--lsn and --xid are two recovery targets"):
        recovery_target({"lsn": "0/1", "xid": "700"})
    with pytest.raises(InventoryError, match="--exclusive needs a target"):
        recovery_target({}, inclusive=False)


@pytest.mark.parametrize(
    "wrong", [{"lsn": "0-3000060"}, {"xid": "2"}, {"xid": "-5"}, {"xid": "7e3"}, {"name": "a\nb"}]
)
def test_target_when_it_is_none_of_its_kind_is_refused(wrong: dict[str, str]) -> None:
    with pytest.raises(InventoryError):
        recovery_target(wrong)  # type: ignore[arg-type]


def test_settings_when_there_is_a_target_empty_the_other_ones_before_it() -> None:
    settings = recovery_target({"xid": "745"}, inclusive=False).recovery_settings()
    assert list(settings)[:4] == [
        "recovery_target",
        "recovery_target_time",
        "recovery_target_lsn",
        "recovery_target_name",
    ]
    assert settings["recovery_target_xid"] == "745"
    assert settings["recovery_target_inclusive"] == "off"


# --- which backup, on which timeline ---


def test_backup_when_there_is_no_target_is_the_newest_of_the_newest_timeline() -> None:
    choice = plan_restore(END_OF_WAL, BACKUPS, (ONE, TWO))
    assert (choice.backup, choice.timeline) == (BACKUPS[2], 2)
    assert choice.last_segment == "000000000000000E"


@pytest.mark.covers("F118")
@pytest.mark.parametrize(("day", "chosen"), [(0, 0), (6.9, 0), (7, 1), (13, 1), (14.5, 2)])
def test_backup_when_there_is_a_time_ended_before_it(day: float, chosen: int) -> None:
    assert plan_restore(at(day), BACKUPS, (ONE, TWO)).backup == BACKUPS[chosen]


@pytest.mark.covers("F118")
@pytest.mark.parametrize(("lsn", "chosen"), [("0/2000100", 0), ("0/9000100", 1), ("0/B000000", 1)])
def test_backup_when_there_is_an_lsn_was_consistent_before_it(lsn: str, chosen: int) -> None:
    assert plan_restore(RecoveryTarget("lsn", lsn), BACKUPS, (ONE, TWO)).backup == BACKUPS[chosen]


@pytest.mark.covers("F118")
def test_backup_when_of_a_history_that_was_left_is_only_for_that_timeline() -> None:
    late = backup(8, "0/B000100", "00000001000000000000000B")
    both = (*BACKUPS[:2], late, BACKUPS[2])
    assert plan_restore(at(13), both, (ONE, TWO)).backup == BACKUPS[1]
    assert plan_restore(at(8, timeline=1), both, (ONE, TWO)).backup == late


@pytest.mark.covers("F118")
@pytest.mark.parametrize(
    ("target", "expected"),
    [
        (at(-1), "before the end of the first backup"),
        (RecoveryTarget("time", "2126-01-01T00:00:00+00:00"), "is in the future"),
        (at(15.5), "after the arrival of the newest WAL"),
        (at(9, timeline=1), "after the arrival of the newest WAL"),
        (RecoveryTarget("lsn", "0/2000000"), "before the end of the first backup"),
        (RecoveryTarget("lsn", "0/F000000"), "after the newest WAL"),
        (RecoveryTarget("end", timeline=3), "no timeline 3"),
        (RecoveryTarget("end", backup="20261101-000000F"), "is not reachable from backup"),
        (replace(at(3), backup=BACKUPS[1].label), "is not reachable from backup"),
    ],
)
def test_target_when_outside_is_bad_input_and_the_window_is_named(
    target: RecoveryTarget, expected: str
) -> None:
    with pytest.raises(InventoryError) as refused:
        plan_restore(target, BACKUPS, (ONE, TWO))
    assert refused.value.exit_code == 2
    assert expected in str(refused.value)
    assert "timeline 1: 2026-11-01T03:00:00+00:00 to 2026-11-09" in str(refused.value)


@pytest.mark.covers("F118")
def test_time_when_in_the_second_in_which_the_newest_wal_arrived_is_inside() -> None:
    second = 1 / DAY
    assert plan_restore(at(15 + 0.9 * second), BACKUPS, (ONE, TWO)).backup == BACKUPS[2]
    with pytest.raises(InventoryError, match="after the arrival of the newest WAL"):
        plan_restore(at(15 + 1.1 * second), BACKUPS, (ONE, TWO))


def test_damaged_backup_when_not_requested_is_passed_over() -> None:
    torn = replace(BACKUPS[2], damaged=True)
    assert plan_restore(END_OF_WAL, (*BACKUPS[:2], torn), (ONE, TWO)).backup == BACKUPS[1]
    requests = RecoveryTarget("end", backup=torn.label)
    assert plan_restore(requests, (*BACKUPS[:2], torn), (ONE, TWO)).backup == torn


@pytest.mark.parametrize("backups", [(), BACKUPS])
def test_repository_when_it_holds_nothing_to_restore_is_refused(
    backups: tuple[BackupInfo, ...],
) -> None:
    with pytest.raises(Refused, match="nothing can be restored"):
        plan_restore(END_OF_WAL, backups, ())


def test_segments_when_of_another_size_are_counted_by_it() -> None:
    assert detect_segment_bytes(BACKUPS) == 16 << 20
    small = backup(0, "0/2000100", "000000010000000000000020")
    assert detect_segment_bytes((small,)) == 1 << 20


def test_timeline_when_it_has_no_wal_yet_reaches_as_far_as_its_parent_was_followed() -> None:
    bare = ArchivedTimeline(2, ((1, LEFT),))
    assert newest_segment((ONE, bare), 2) == (ONE.last_segment, ONE.last_arrived_at)
    window = windows(BACKUPS[:2], (ONE, bare))[-1]
    assert (window.timeline, window.last_segment) == (2, "000000000000000A")


# --- what pgBackRest prints ---

LISTED = """\
history 00000002.history
1\t0/A000028\tno recovery target specified

segments 0000000100000000
{"000000010000000000000009-%s.zst":{"type":"file","size":9,"time":100},"00000001000000000000000B-%s":{"type":"file","size":9,"time":300},"00000001000000000000000A.00000028.backup":{"type":"file","size":9,"time":400}}
segments 0000000200000000
{"00000002000000000000000E-%s.zst":{"type":"file","size":9,"time":500}}
""" % (("a" * 40,) * 3)


def test_archive_when_listed_tells_each_timeline() -> None:
    one, two = archive_timelines.parse(Answer(out=LISTED.encode()))
    assert one == ArchivedTimeline(1, (), "00000001000000000000000B", 300)
    assert two == ArchivedTimeline(2, ((1, LEFT),), "00000002000000000000000E", 500)


def test_archive_when_it_cannot_be_read_has_no_timelines() -> None:
    assert archive_timelines.parse(Answer(4)) == archive_timelines.parse(None) == ()


def test_account_when_read_tells_phases_and_the_end() -> None:
    text = (
        "target=the end of the WAL\nbackup=B\nbegan=100.5\ncopied=112.75\nlsn=0/5\ntimeline=2\n"
        "last_transaction=2026-11-29T02:00:00+00:00\nended=115.0\n"
    )
    account = recovery.parse_result(Answer(out=text.encode()))
    assert (account.restore_seconds, account.recovery_seconds) == (12.25, 2.25)
    assert (account.timeline, account.lsn, account.target_after_last_transaction) == (
        2,
        "0/5",
        False,
    )
    assert recovery.parse_result(None) == recovery.parse_result(Answer(1)) == recovery.NO_RESULT
