"""Backups judged by the objects in a bucket: listings as values, every alarm, nothing else."""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from pgprovision.object_listing import ObjectListing, StoredObject
from pgprovision.operations.watch.repository import RepositoryListing, read_listing
from pgprovision.operations.watch.rules import Limits, WatchVerdict, age_text, judge

HOUR, DAY = timedelta(hours=1), timedelta(days=1)
SUNDAY = datetime(2026, 11, 22, 3, 0, tzinfo=UTC)
LIMITS = Limits(
    full=7 * DAY, backup=DAY, grace=3 * HOUR, retention=30 * DAY, wal=30 * timedelta(minutes=1)
)
FULL = "20261122-030000F"
SHA = "c1d7deeab88227b160266fe8f5d1d4c739647fa7"


class Bucket:
    """Keys and when they were stored."""

    def __init__(self, objects: Mapping[str, datetime], clock: datetime | None = None) -> None:
        self.objects = [StoredObject(key, at) for key, at in sorted(objects.items())]
        self.server_time = clock

    def list_prefix(self, prefix: str) -> ObjectListing:
        return ObjectListing(tuple(o for o in self.objects if o.key.startswith(prefix)))

    def list_level(self, prefix: str) -> ObjectListing:
        rest = {o: o.key.removeprefix(prefix) for o in self.list_prefix(prefix).objects}
        folders = {prefix + name.split("/")[0] + "/" for name in rest.values() if "/" in name}
        plain = tuple(found for found, name in rest.items() if "/" not in name)
        return ObjectListing(plain, tuple(sorted(folders)))

    def list_first_page(self, prefix: str) -> ObjectListing:
        return self.list_prefix(prefix)


class World:
    """A repository as pgBackRest writes it, object by object."""

    def __init__(self) -> None:
        self.objects: dict[str, datetime] = {}
        for info in ("backup/main/backup.info", "archive/main/archive.info"):
            self.objects[f"shop/{info}"] = SUNDAY

    def backup(
        self,
        label: str,
        began: datetime,
        segment: str = "",
        manifest: bool = True,
        once: bool = True,
    ) -> None:
        """Ten minutes long; `segment`: the WAL it begins in."""
        ended, folder = began + timedelta(minutes=10), f"shop/backup/main/{label}"
        self.objects[f"{folder}/bundle/1"] = began + timedelta(minutes=1)
        self.objects[f"{folder}/backup.manifest.copy"] = ended
        if manifest:
            self.objects[f"{folder}/backup.manifest"] = ended
        if once:
            self.objects[f"shop/backup/main/backup.history/2026/{label}.manifest.gz"] = ended
        if segment:
            self.objects[self._key(f"{segment}.00000028.backup")] = ended

    def wal(self, names: Iterable[str], begin: datetime, every: timedelta) -> None:
        for count, name in enumerate(names):
            self.objects[self._key(f"{name}-{SHA}.zst")] = begin + count * every

    def history(self, timeline: int) -> None:
        self.objects[f"shop/archive/main/15-1/{timeline:08X}.history"] = SUNDAY

    def lose(self, part: str) -> None:
        deleted = [key for key in self.objects if part in key]
        assert deleted, part
        for key in deleted:
            del self.objects[key]

    def _key(self, name: str) -> str:
        return f"shop/archive/main/15-1/{name[:16]}/{name}"

    def read(self, now: datetime) -> RepositoryListing:
        return read_listing(Bucket(self.objects, now), "/shop", "main", "UTC", lambda: now)

    def judged(
        self, now: datetime, limits: Limits = LIMITS, **more: datetime | bool
    ) -> WatchVerdict:
        return judge(self.read(now), limits, now, **more)  # type: ignore[arg-type]


def segments(first: int, last: int, timeline: int = 1) -> list[str]:
    return [f"{timeline:08X}{n >> 8:08X}{n & 255:08X}" for n in range(first, last + 1)]


def week() -> World:
    """A full backup on Sunday, a differential each day until Saturday, WAL every 10 minutes from
    segment 0x10 on. All is well until Saturday noon."""
    world = World()
    world.backup(FULL, SUNDAY, segments(0x10, 0x10)[0])
    for day in range(1, 7):
        began = SUNDAY + day * DAY
        label = f"{FULL}_{began:%Y%m%d-%H%M%S}D"
        world.backup(label, began, segments(0x10 + day * 144, 0x10 + day * 144)[0])
    world.wal(segments(0x10, 0x10 + 917), SUNDAY, timedelta(minutes=10))
    return world


NOON = SUNDAY + 6 * DAY + 9 * HOUR
SATURDAY = f"{FULL}_20261128-030000D"


def kinds(verdict: WatchVerdict) -> list[str]:
    return [alarm.kind for alarm in verdict.alarms]


def test_repository_when_all_is_well_then_no_alarm_and_the_newest_are_reported() -> None:
    found = week().judged(NOON)
    assert found.alarms == ()
    assert found.notes == ()
    assert found.full and found.full.label == FULL
    assert found.backup and found.backup.label == SATURDAY
    assert found.wal == ("0000000100000003000000A5", SUNDAY + 9170 * timedelta(minutes=1))


@pytest.mark.covers("F113")
def test_backups_when_timers_stop_are_an_alarm_after_period_and_grace_and_not_before() -> None:
    world = week()
    ended = SUNDAY + 6 * DAY + timedelta(minutes=10)
    quiet = replace(LIMITS, wal=None, full=8 * DAY)
    assert kinds(world.judged(ended + 27 * HOUR, quiet)) == []
    after = world.judged(ended + 27 * HOUR + timedelta(seconds=1), quiet)
    assert kinds(after) == ["backup_age"]
    assert SATURDAY in after.alarms[0].message
    assert "pgbackrest-backup-diff.timer" in after.alarms[0].next_command
    quiet = replace(LIMITS, wal=None, backup=9 * DAY)
    ended = SUNDAY + timedelta(minutes=10)
    assert kinds(world.judged(ended + 7 * DAY + 3 * HOUR, quiet)) == []
    assert kinds(world.judged(ended + 7 * DAY + 3 * HOUR + timedelta(seconds=1), quiet)) == [
        "full_age"
    ]


@pytest.mark.covers("F113")
def test_wal_when_it_stops_is_an_alarm_after_its_age() -> None:
    world = week()
    last = SUNDAY + 9170 * timedelta(minutes=1)
    assert kinds(world.judged(last + timedelta(minutes=30))) == []
    assert kinds(world.judged(last + timedelta(minutes=31))) == ["wal_age"]


def test_wal_when_nobody_marks_it_and_the_database_is_idle_raises_no_alarm() -> None:
    found = week().judged(SUNDAY + 6 * DAY + 20 * HOUR, replace(LIMITS, wal=None))
    assert found.alarms == ()
    assert "not judged" in found.notes[0]


@pytest.mark.parametrize("part", ["backup", "archive"])
def test_repository_when_empty_or_half_missing_is_an_alarm(part: str) -> None:
    assert kinds(World().judged(NOON))[:2] == ["full_age", "backup_age"]
    world = week()
    world.lose(f"shop/{part}/main/{part}.info")
    found = world.judged(NOON)
    assert kinds(found) == ["info_missing"]
    assert f"{part}.info not there" in found.alarms[0].message


@pytest.mark.covers("F114")
def test_manifest_when_missing_names_what_hangs_on_it() -> None:
    world = week()
    world.lose(f"{FULL}/backup.manifest")
    found = world.judged(NOON)
    assert kinds(found) == ["full_age", "manifest_missing"]
    assert found.alarms[1].message.startswith(
        f"{FULL} was finished and its backup.manifest is gone"
    )
    assert SATURDAY in found.alarms[1].message


@pytest.mark.covers("F114")
def test_manifest_of_a_differential_when_missing_is_named_alone() -> None:
    world = week()
    world.lose(f"{SATURDAY}/backup.manifest")
    found = world.judged(NOON)
    assert kinds(found) == ["backup_age", "manifest_missing"]
    assert "what hangs on it" not in found.alarms[1].message


@pytest.mark.covers("F114")
def test_full_backup_when_missing_altogether_its_differentials_are_named() -> None:
    world = week()
    world.lose(f"main/{FULL}/")
    found = world.judged(NOON)
    assert kinds(found).count("full_missing") == 6
    assert kinds(found)[0] == "full_age"


def test_backup_when_expired_half_way_or_not_finished_is_no_alarm() -> None:
    world = week()
    old = "20261001-030000F"
    world.backup(old, datetime(2026, 10, 1, 3, tzinfo=UTC), manifest=False)
    world.backup("20261128-115000F", NOON - timedelta(minutes=10), manifest=False, once=False)
    found = world.judged(NOON)
    assert found.alarms == ()
    assert [r for r in found.notes if "not finished: under way" in r]


@pytest.mark.covers("F114")
def test_wal_when_one_segment_is_missing_says_what_cannot_be_restored() -> None:
    world = week()
    world.lose("000000010000000100000020-")
    bridged = datetime(2026, 11, 24, 3, 10, tzinfo=UTC)
    found = world.judged(bridged + timedelta(days=1))
    assert kinds(found) == ["wal_gap"]
    number = 0x120 - 0x10
    since = SUNDAY + (number - 1) * timedelta(minutes=10)
    text = found.alarms[0].message
    assert "WAL 000000010000000100000020 is missing" in text
    assert f"after {since:%Y-%m-%d %H:%M:%S}Z" in text
    assert "until 2026-11-24 03:10:00Z" in text  # the differential of Tuesday
    assert "cannot be restored at all" not in text
    assert found.alarms[0].next_command.endswith("a backup has ended since; reported for a day")
    later = world.judged(bridged + timedelta(days=1, seconds=1))
    assert (later.alarms, later.notes[0]) == ((), text)


@pytest.mark.covers("F114")
def test_wal_when_missing_after_the_last_backup_waits_for_the_next_one() -> None:
    world = week()
    for name in segments(0x3A0, 0x3A2):
        world.lose(f"{name}-")
    (alarm,) = world.judged(NOON).alarms
    text = alarm.message
    assert alarm.next_command.startswith("pgprovision backup now; then ")
    assert "0000000100000003000000A0 to 0000000100000003000000A2 (3 segments)" in text
    assert "until the next backup has ended" in text


@pytest.mark.covers("F114")
def test_wal_when_missing_while_a_backup_ran_takes_the_backup() -> None:
    world = week()
    began = segments(0x10 + 6 * 144, 0x10 + 6 * 144)[0]
    world.lose(f"{began}-")
    found = world.judged(NOON)
    assert kinds(found) == ["wal_gap"]
    assert f"{SATURDAY} cannot be restored at all" in found.alarms[0].message


@pytest.mark.covers("F114")
def test_wal_when_the_first_that_the_oldest_backup_needs_is_missing_is_a_hole() -> None:
    world = week()
    world.lose("000000010000000000000010-")
    found = world.judged(NOON)
    assert kinds(found) == ["wal_gap"]
    assert f"{FULL} cannot be restored at all" in found.alarms[0].message


def test_wal_when_older_than_the_oldest_backup_may_have_holes() -> None:
    world = week()
    world.wal(segments(1, 3), SUNDAY - HOUR, timedelta(minutes=10))
    assert world.judged(NOON).alarms == ()


def test_wal_when_the_newest_overtook_another_is_given_time() -> None:
    world = week()
    last = SUNDAY + 9170 * timedelta(minutes=1)
    world.wal(segments(0x10 + 919, 0x10 + 919), last, timedelta(0))
    assert world.judged(last + timedelta(minutes=9)).alarms == ()
    assert kinds(world.judged(last + timedelta(minutes=11))) == ["wal_gap"]


def timelines(second_from: int) -> World:
    """Timeline 1 up to segment 0x40, timeline 2 from somewhere on."""
    world = World()
    world.backup(FULL, SUNDAY, segments(0x10, 0x10)[0])
    world.wal(segments(0x10, 0x40), SUNDAY, timedelta(minutes=1))
    partial = f"shop/archive/main/15-1/0000000100000000/{segments(0x41, 0x41)[0]}.partial-{SHA}.zst"
    world.objects[partial] = SUNDAY + HOUR
    world.history(2)
    world.wal(segments(second_from, second_from + 5, 2), SUNDAY + HOUR, timedelta(minutes=1))
    return world


@pytest.mark.parametrize("start", [0x20, 0x40, 0x41])
def test_wal_when_a_timeline_begins_within_or_right_after_another_is_whole(start: int) -> None:
    assert timelines(start).judged(SUNDAY + HOUR + timedelta(minutes=20)).alarms == ()


@pytest.mark.covers("F114")
def test_wal_when_it_is_missing_between_two_timelines_is_a_hole() -> None:
    found = timelines(0x44).judged(SUNDAY + HOUR + timedelta(minutes=20))
    assert kinds(found) == ["wal_gap"]
    assert "000000020000000000000041 to 000000020000000000000043" in found.alarms[0].message


def test_wal_when_the_database_was_replaced_by_another_each_is_judged_alone() -> None:
    world = week()
    for key in [key for key in world.objects if "/15-1/" in key]:
        at = world.objects[key]
        world.objects[key.replace("/15-1/", "/16-2/")] = at + timedelta(seconds=1)
    assert world.judged(NOON).alarms == ()


@pytest.mark.covers("F113")
@pytest.mark.parametrize(
    ("label", "way"),
    [("20261128-120000F", "6h ahead of"), ("20261126-060000F", "2d behind")],
)
def test_clock_when_the_host_s_is_wrong_is_shown_by_the_label(label: str, way: str) -> None:
    world = week()
    world.backup(
        label, SUNDAY + 6 * DAY + 3 * HOUR - timedelta(minutes=1), segments(0x39A, 0x39A)[0]
    )
    found = world.judged(NOON)
    assert kinds(found) == ["clock_primary"]
    assert way in found.alarms[0].message


def test_label_when_the_host_has_another_time_zone_is_read_in_it() -> None:
    world = week()
    berlin = read_listing(
        Bucket(world.objects, NOON), "/shop", "main", "Europe/Berlin", lambda: NOON
    )
    assert kinds(judge(berlin, LIMITS, NOON)) == ["clock_primary"]


@pytest.mark.covers("F113")
def test_clock_when_this_machine_s_is_wrong_ages_are_measured_by_the_store_s() -> None:
    found = week().judged(NOON, local_now=NOON + 9 * DAY)
    assert kinds(found) == ["clock_controller"]
    assert "9d ahead of" in found.alarms[0].message


def test_drill_when_too_long_ago_or_never_is_an_alarm_where_it_would_be_known() -> None:
    world, limits = week(), replace(LIMITS, drill=31 * DAY)
    assert "not judged" in world.judged(NOON, limits).notes[0]
    assert kinds(world.judged(NOON, limits, drills_known=True)) == []  # a new cluster
    soon = replace(limits, drill=6 * DAY)
    assert kinds(world.judged(NOON, soon, drills_known=True)) == ["drill_age"]
    long_ago, lately = NOON - 32 * DAY, NOON - 30 * DAY
    assert kinds(world.judged(NOON, limits, last_proven_restore=long_ago, drills_known=True)) == [
        "drill_age"
    ]
    assert kinds(world.judged(NOON, limits, last_proven_restore=lately, drills_known=True)) == []


def test_start_of_a_backup_when_its_mark_is_lost_is_the_first_segment_after_it_began() -> None:
    world = week()
    world.lose(".backup")
    assert world.judged(NOON).alarms == ()


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(45, "45s"), (720, "12min"), (7200, "2h"), (12000, "3h 20min"), (187200, "2d 4h")],
)
def test_age_when_shown_has_two_units_at_most(seconds: int, text: str) -> None:
    assert age_text(timedelta(seconds=seconds)) == text
