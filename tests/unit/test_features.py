"""What one capability brings, and that the tasks read it from the list."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from ipaddress import ip_address, ip_network
from pathlib import Path
from typing import TypeVar

import pytest

from pgprovision import tasks
from pgprovision.engine.model import Resource, Tier
from pgprovision.inventory.loader.loader import load
from pgprovision.inventory.schema.cluster import DatabaseSpec, Inventory, RoleSpec
from pgprovision.resources.postgres.catalog.database import Schema
from pgprovision.resources.postgres.catalog.role import Role
from pgprovision.resources.postgres.catalog.unmanaged_objects import UnmanagedObjects
from pgprovision.resources.postgres.configuration.pg_hba import PgHba
from pgprovision.resources.postgres.configuration.pg_hba_rules import HbaRule, HbaSection
from pgprovision.resources.postgres.configuration.postgresql_conf import PostgresqlConf
from pgprovision.resources.postgres.configuration.settings import ARCHIVE_SECTION, NodeSettings
from pgprovision.resources.postgres.configuration.settings_sizing import ConfSection, ConfSetting
from pgprovision.resources.postgres.server.instance import Instance
from pgprovision.resources.postgres.server.snapshot import SnapshotQuery
from pgprovision.resources.system.file import File
from pgprovision.resources.system.host_firewall import FirewallOpening, HostFirewall
from pgprovision.resources.system.packages import PackageSet
from pgprovision.resources.system.unattended_upgrades import HeldPackages
from pgprovision.resources.system.unit import Unit
from pgprovision.tasks import features, replica
from pgprovision.tasks.context import PlanContext
from pgprovision.tasks.features.feature import Feature, FeatureTier, Position
from tests.support.inventory_folders import lab_inventory, static_inventory

NOW = datetime(2026, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class Exporter(Feature):
    """Brings something of everything."""

    @property
    def enabled(self) -> bool:
        return self.inventory.cluster != "other"

    def packages(self) -> tuple[str, ...]:
        return ("exporter",)

    def openings(self, context: PlanContext) -> tuple[FirewallOpening, ...]:
        source = (ip_network("10.0.1.9/32"),)
        return (FirewallOpening("exporter", (9187,), source, address=context.node.private_ip),)

    def hba(self, context: PlanContext) -> tuple[HbaSection, ...]:
        rule = HbaRule("local", ("postgres",), ("exporter",), "peer")
        return (HbaSection("The exporter", (rule,)),)

    def roles(self) -> tuple[RoleSpec, ...]:
        return (RoleSpec(name="exporter", login=True),)

    def settings(self, context: PlanContext) -> tuple[ConfSection, ...]:
        return (ConfSection("Exporter", (ConfSetting("track_io_timing", True, "it is shown"),)),)

    def preload_libraries(self, context: PlanContext) -> tuple[str, ...]:
        return ("exporter",)

    def database_contents(self, database: DatabaseSpec, context: PlanContext) -> Iterator[Resource]:
        query = context.snapshot
        yield Schema(
            on=context.on, snapshot=query, database=database.name, schema="e", owner="postgres"
        )

    def timers(self) -> tuple[str, ...]:
        return ("exporter.timer",)

    def tiers(self) -> tuple[FeatureTier, ...]:
        return (FeatureTier(Position.SCHEDULES, "exporter", "members", (exporter_file,)),)


def exporter_file(context: PlanContext) -> Iterator[Resource]:
    yield File(on=context.on, path="/etc/exporter", content=context.inventory.cluster)


@pytest.fixture
def inventory(tmp_path: Path) -> Inventory:
    return static_inventory(tmp_path).load()


@pytest.fixture
def exporting(inventory: Inventory, monkeypatch: pytest.MonkeyPatch) -> tuple[Tier, ...]:
    """The tiers of an inventory with one feature, which is in no file."""
    monkeypatch.setattr(features, "FEATURES", (Exporter,))
    return tasks.tiers(inventory, inventory.nodes, NOW)


R = TypeVar("R", bound=Resource)


def of(kind: type[R], tiers: tuple[Tier, ...]) -> list[R]:
    return [r for tier in tiers for r in tier.resources if isinstance(r, kind)]


class TestEveryContribution:
    def test_packages_when_brought_then_installed_and_excluded_from_upgrades(
        self, exporting: tuple[Tier, ...]
    ) -> None:
        assert "exporter" in of(PackageSet, exporting)[0].names
        assert "exporter" in of(HeldPackages, exporting)[0].names

    def test_port_when_brought_then_opened_on_its_address_alone(
        self, exporting: tuple[Tier, ...]
    ) -> None:
        line = "ip saddr { 10.0.1.9/32 } ip daddr 10.0.1.2 tcp dport { 9187 } accept"
        assert line in of(HostFirewall, exporting)[0].text

    def test_hba_lines_when_brought_then_stand_before_those_for_everybody(
        self, exporting: tuple[Tier, ...]
    ) -> None:
        titles = [section.title for section in of(PgHba, exporting)[0].sections]
        assert titles[1:3] == ["The exporter", "Other local users"]

    def test_role_when_brought_then_made_and_not_reported_as_unmanaged(
        self, exporting: tuple[Tier, ...]
    ) -> None:
        assert [role.role for role in of(Role, exporting)] == ["replicator", "rails", "exporter"]
        assert "exporter" in of(UnmanagedObjects, exporting)[0].roles

    def test_settings_when_brought_then_in_the_file(self, exporting: tuple[Tier, ...]) -> None:
        text = of(PostgresqlConf, exporting)[0].text()
        assert "track_io_timing = on  # it is shown" in text
        assert "'pg_stat_statements,auto_explain,exporter'" in text

    def test_objects_when_brought_then_in_every_database(self, exporting: tuple[Tier, ...]) -> None:
        assert [str(schema) for schema in of(Schema, exporting)] == ["schema e in hcb_production"]

    def test_tier_when_brought_then_at_its_position(self, exporting: tuple[Tier, ...]) -> None:
        titles = [tier.title for tier in exporting]
        assert titles[titles.index("exporter") + 1] == "file permissions"

    def test_timer_when_a_replica_goes_then_stopped(
        self, inventory: Inventory, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(features, "FEATURES", (Exporter,))
        stopped = replica.stopped(PlanContext.declared(inventory, inventory.primary))
        (timer,) = [r for r in stopped if isinstance(r, Unit) and r.unit == "exporter.timer"]
        assert (timer.enabled, timer.active) == (False, False)

    def test_feature_when_not_enabled_then_brings_nothing(
        self, inventory: Inventory, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(features, "FEATURES", (Exporter,))
        other = inventory.model_copy(update={"cluster": "other"})
        assert features.features(other) == ()
        assert not [t for t in tasks.tiers(other, other.nodes, NOW) if t.title == "exporter"]


class TestFeaturesOfAnInventory:
    @pytest.fixture
    def lab(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Inventory:
        return load(lab_inventory(tmp_path / "lab", monkeypatch.setenv))

    @staticmethod
    def names(inventory: Inventory) -> list[str]:
        return [type(feature).__name__ for feature in features.features(inventory)]

    def test_lab_when_listed_then_its_own(self, lab: Inventory) -> None:
        assert self.names(lab) == ["Backup", "Watch", "Extensions"]

    def test_bare_host_when_listed_then_none(self, inventory: Inventory) -> None:
        assert self.names(inventory) == []

    def test_backup_when_taken_out_then_the_watch_goes_with_it(self, lab: Inventory) -> None:
        without = lab.model_copy(update={"backup": None})
        assert self.names(without) == ["Extensions"]
        assert "pgbackrest" not in of(PackageSet, tasks.tiers(without, without.nodes, NOW))[0].names

    def test_backup_and_watch_when_both_on_a_schedule_then_in_one_tier(
        self, lab: Inventory
    ) -> None:
        titles = [tier.title for tier in tasks.tiers(lab, lab.nodes, NOW)]
        assert titles.count("backup schedule") == 1
        (tier,) = [t for t in tasks.tiers(lab, [lab.primary], NOW) if t.title == "backup schedule"]
        units = [r.unit for r in tier.resources if isinstance(r, Unit) and r.enabled]
        assert units == [
            "pgbackrest-backup-full.timer",
            "pgbackrest-backup-diff.timer",
            "pgprovision-mark.timer",
        ]


SETTINGS = NodeSettings(snapshot=SnapshotQuery(Instance(15)), node="db-1")


def line(settings: NodeSettings, name: str) -> ConfSetting:
    (found,) = [s for part in settings.sections({}) for s in part.settings if s.name == name]
    return found


class TestSettingsOfFeatures:
    def test_setting_when_there_is_a_computed_one_then_in_its_place(self) -> None:
        push = ConfSection(ARCHIVE_SECTION, (ConfSetting("archive_command", "push"),))
        conf = replace(SETTINGS, feature_sections=(push,))
        assert line(conf, "archive_command").value == "push"
        titles = [section.title for section in conf.sections({})]
        assert titles == [section.title for section in SETTINGS.sections({})]

    def test_setting_when_people_wrote_it_then_theirs_wins(self) -> None:
        section = ConfSection("Exporter", (ConfSetting("track_io_timing", True),))
        conf = replace(SETTINGS, feature_sections=(section,), overrides={"Track_IO_Timing": "off"})
        (found,) = [
            s.value
            for part in conf.sections({})
            for s in part.settings
            if s.name.lower() == "track_io_timing"
        ]
        assert found == "off"

    def test_setting_when_brought_then_managed(self) -> None:
        section = ConfSection("Exporter", (ConfSetting("track_io_timing", True),))
        assert "track_io_timing" in replace(SETTINGS, feature_sections=(section,)).managed_names()


class TestPreloadLibraries:
    @pytest.mark.parametrize(
        ("written", "needed", "expected"),
        [
            ("auto_explain", ("pg_cron",), "auto_explain,pg_cron"),
            ("b, a", ("a", "c"), "b,a,c"),
            ("", ("pg_cron", "pg_cron"), "pg_cron"),
            ("PG_Cron", ("pg_cron",), "PG_Cron,pg_cron"),  # a file's name: case counts
            ("pg_cron , x", ("pg_cron",), "pg_cron , x"),
            ('"pg_cron",x', ("pg_cron",), '"pg_cron",x'),
            ("$libdir/pg_cron.so", ("pg_cron",), "$libdir/pg_cron.so"),
        ],
    )
    def test_list_when_people_wrote_one_then_theirs_first_and_none_twice(
        self, written: str, needed: tuple[str, ...], expected: str
    ) -> None:
        overrides = {"shared_preload_libraries": written}
        conf = replace(SETTINGS, preload_libraries=needed, overrides=overrides)
        assert line(conf, "shared_preload_libraries").value == expected

    def test_list_when_nobody_wrote_one_then_behind_the_computed_one(self) -> None:
        found = line(replace(SETTINGS, preload_libraries=("x",)), "shared_preload_libraries")
        assert found == ConfSetting(
            "shared_preload_libraries", "pg_stat_statements,auto_explain,x", "x for extensions"
        )


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("10.0.1.2", ("ip saddr { 10.0.0.0/8 } ip daddr 10.0.1.2",)),
        ("fd00::2", ("ip6 saddr { fd00::/8 } ip6 daddr fd00::2",)),
    ],
)
def test_opening_when_on_one_address_then_for_that_family_alone(
    address: str, expected: tuple[str, ...]
) -> None:
    sources = (ip_network("10.0.0.0/8"), ip_network("fd00::/8"))
    assert FirewallOpening("x", (1,), sources, address=ip_address(address)).matches == expected
