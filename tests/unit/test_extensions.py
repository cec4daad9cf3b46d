"""Extensions by name: what a declared one brings to the plan."""

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest

from pgprovision import tasks
from pgprovision.engine.model import Diff
from pgprovision.inventory.schema.cluster import Inventory
from pgprovision.known_extensions import (
    KNOWN_EXTENSIONS,
    creation_order,
    extension_package,
    in_debian,
    required_package,
)
from pgprovision.resources.postgres.catalog.extension import Extension
from pgprovision.resources.postgres.configuration.postgresql_conf import PostgresqlConf
from pgprovision.resources.postgres.configuration.settings_parser import parse_settings
from pgprovision.resources.system.packages import PackageSet
from pgprovision.tasks import drill
from pgprovision.tasks.context import PlanContext
from pgprovision.tasks.features.extensions import Extensions
from tests.support.inventory_folders import static_inventory

NOW = datetime(2026, 1, 1, tzinfo=UTC)
CLUSTER = """\
cluster: hcb-lab
{more}
roles:
  rails: {{password: !file secrets/rails.password}}
databases:
  hcb_production: {{owner: rails, extensions: [{extensions}]}}
"""
BARE = {"postgresql-15", "openssl", "nftables", "unattended-upgrades"}
Declare = Callable[..., Inventory]


@pytest.fixture
def declare(tmp_path: Path) -> Declare:
    def declared(*extensions: str, more: str = "") -> Inventory:
        text = CLUSTER.format(more=more, extensions=", ".join(extensions))
        return static_inventory(tmp_path, text).load()

    return declared


def packages(inventory: Inventory) -> set[str]:
    """Those that are there for extensions."""
    found = [
        name
        for tier in tasks.tiers(inventory, inventory.nodes, NOW)
        for resource in tier.resources
        if isinstance(resource, PackageSet)
        for name in resource.names
    ]
    assert len(found) == len(set(found))
    return set(found) - BARE


def settings(inventory: Inventory, role: str = "primary") -> dict[str, object]:
    node = inventory.primary
    inventory = inventory.model_copy(
        update={"nodes": (node, node.model_copy(update={"name": "other", "role": role}))}
    )
    (conf,) = [
        resource
        for tier in tasks.tiers(inventory, inventory.nodes, NOW)
        if tier.title == "PostgreSQL configuration"
        for resource in tier.resources
        if isinstance(resource, PostgresqlConf) and resource.on == "other"
    ]
    return dict(parse_settings(conf.text())[0])


def postgres_extensions(inventory: Inventory) -> list[Extension]:
    return [
        resource
        for tier in tasks.tiers(inventory, inventory.nodes, NOW)
        for resource in tier.resources
        if isinstance(resource, Extension)
    ]


def created(inventory: Inventory) -> list[str]:
    """The statements that create extensions."""
    extensions = postgres_extensions(inventory)
    actions = [a for e in extensions for a in e.change(Diff(None, e.desired()))]
    texts = [a.stdin.decode() for a in actions if isinstance(a.stdin, bytes)]
    return [line for text in texts for line in text.splitlines() if line.startswith("create ")]


class TestWhatAnExtensionBrings:
    def test_packages_when_declared_then_installed_each_once(self, declare: Declare) -> None:
        found = packages(
            declare("postgis", "postgis_topology", "pg_cron", "pg_partman", "pg_repack", "hstore")
        )
        assert found == {
            "postgresql-15-postgis-3",
            "postgresql-15-cron",
            "postgresql-15-partman",
            "postgresql-15-repack",
        }

    def test_package_when_of_the_server_itself_then_none(self, declare: Declare) -> None:
        assert packages(declare("pg_stat_statements", "pgcrypto", "citext")) == set()

    def test_package_when_people_list_another_that_brings_it_then_theirs(
        self, declare: Declare
    ) -> None:
        vendor = "timescaledb-2-postgresql-15"
        assert packages(declare("timescaledb", more=f"apt: {{extra_packages: [{vendor}]}}")) == {
            vendor
        }

    def test_cron_when_declared_then_loaded_in_its_database(self, declare: Declare) -> None:
        found = settings(declare("pg_cron"), "replica")
        assert found["shared_preload_libraries"] == "pg_stat_statements,auto_explain,pg_cron"
        assert found["cron.database_name"] == "hcb_production"
        assert found["cron.use_background_workers"] is True

    def test_cron_when_on_a_copy_then_runs_no_jobs_of_the_original(self, declare: Declare) -> None:
        inventory = declare("pg_cron", "timescaledb", more="apt: {source: pgdg}")
        feature = Extensions(inventory)
        node = inventory.primary.model_copy(update={"role": "copy"})
        copy = PlanContext.declared(inventory, node)
        assert feature.preload_libraries(copy) == ("timescaledb",)
        assert feature.settings(copy) == ()

    def test_drill_when_it_opens_the_data_then_with_the_libraries_they_need(
        self, declare: Declare
    ) -> None:
        inventory = declare("pg_cron", "timescaledb", more="apt: {source: pgdg}")
        node = drill.drill_node(inventory, "192.0.2.9")
        tiers = drill.package_tiers(drill.drill_inventory(inventory, node), node)
        (conf,) = [r for t in tiers for r in t.resources if isinstance(r, PostgresqlConf)]
        libraries = parse_settings(conf.text())[0]["shared_preload_libraries"]
        assert libraries == "pg_stat_statements,auto_explain,timescaledb"

    def test_settings_when_nothing_needs_them_then_as_without_extensions(
        self, declare: Declare
    ) -> None:
        assert settings(declare("hstore", "pg_stat_statements"), "replica") == settings(
            declare(), "replica"
        )

    def test_statistics_when_people_emptied_the_list_then_loaded_all_the_same(
        self, declare: Declare
    ) -> None:
        more = "postgres: {settings: {shared_preload_libraries: ''}}"
        found = settings(declare("pg_stat_statements", more=more), "replica")
        assert found["shared_preload_libraries"] == "pg_stat_statements"


class TestCreation:
    def test_extensions_when_created_then_each_in_the_schema_it_wants(
        self, declare: Declare
    ) -> None:
        assert created(declare("pg_partman", "pg_cron", "hstore")) == [
            'create schema if not exists "partman";',
            'create extension "pg_partman" with schema "partman";',
            'create extension "pg_cron";',
            'create extension "hstore" with schema "public";',
        ]

    def test_extension_when_it_requires_another_then_after_it(self, declare: Declare) -> None:
        found = created(declare("postgis_topology", "hstore", "postgis"))
        assert [line.split('"')[1] for line in found] == ["postgis", "postgis_topology", "hstore"]

    def test_order_when_nothing_is_required_then_as_declared(self) -> None:
        assert list(creation_order(["hstore", "citext", "vector"])) == [
            "hstore",
            "citext",
            "vector",
        ]

    def test_extension_when_in_another_schema_already_then_left_there(
        self, declare: Declare
    ) -> None:
        inventory = declare("pg_partman")
        (partman,) = postgres_extensions(inventory)
        assert not Diff({"schema": "public", "version": "4.7.2"}, partman.desired())

    def test_libraries_when_needed_then_loaded_before_the_extension_is_created(
        self, declare: Declare
    ) -> None:
        inventory = declare("pg_cron")
        titles = [tier.title for tier in tasks.tiers(inventory, inventory.nodes, NOW)]
        needed = [
            "packages",
            "PostgreSQL configuration",
            "pending configuration",
            "schemas, extensions and privileges",
        ]
        assert sorted(needed, key=titles.index) == needed


class TestTable:
    @pytest.mark.parametrize(
        ("extension", "package"),
        [
            ("vector", "postgresql-17-pgvector"),
            ("postgis_raster", "postgresql-17-postgis-3"),
            ("pg_stat_statements", "postgresql-17"),
            ("plpython3u", "postgresql-plpython3-17"),
            ("some_thing", "postgresql-17-some-thing"),
        ],
    )
    def test_package_when_requested_then_as_debian_calls_it(
        self, extension: str, package: str
    ) -> None:
        assert extension_package(extension, 17) == package

    def test_required_package_when_not_known_then_none(self) -> None:
        assert required_package("some_thing", 15, ()) == ""

    @pytest.mark.parametrize("version", [13, 14, 16, 17, 18])
    def test_debian_when_its_release_is_not_known_or_has_it_then_apt_decides(
        self, version: int
    ) -> None:
        assert all(in_debian(extension, version) for extension in KNOWN_EXTENSIONS)

    def test_required_extensions_when_listed_then_known(self) -> None:
        required = {name for known in KNOWN_EXTENSIONS.values() for name in known.requires}
        assert required <= set(KNOWN_EXTENSIONS)
