"""C5, C6: the split of duties, as a day with an application, on a real server."""

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from pgprovision.engine.model import Resource
from pgprovision.errors import StepFailed
from pgprovision.inventory.schema.cluster import Inventory
from pgprovision.quote import sh
from pgprovision.resources.postgres.catalog.extension import Extension
from pgprovision.resources.postgres.server.instance import Instance
from pgprovision.tasks import postgres
from pgprovision.tasks.context import PlanContext
from pgprovision.tasks.paths import snapshot
from tests.support.inventory_folders import STATIC_PRIMARY, InventoryFolder, static_inventory
from tests.support.postgres_machine import LOCAL, converge_local, plan_local, sql

CLUSTER = """\
cluster: books
postgres: {{version: {version}, port: {port}}}
roles:
  owner: {{login: false}}
  migrate: {{password: !file secrets/migrate.password}}
  app_a: {{password: !file secrets/app_a.password, settings: {{statement_timeout: 30s}}}}
  app_b: {{password: !file secrets/app_b.password}}
  metabase: {{password: !file secrets/metabase.password, connection_limit: 3}}
databases:
  books:
    owner: owner
    extensions: [pgcrypto, pg_stat_statements]
    access:
      migration: [migrate]
      application: {{group: app, logins: [app_a, app_b]}}
      read_only: {{group: readers, logins: [metabase]}}
      schemas: [public, sales]
"""


def catalog_resources(inventory: Inventory) -> list[Resource]:
    context = PlanContext.declared(inventory, inventory.primary)
    steps = (postgres.roles, postgres.databases, postgres.database_contents)
    return [resource for step in steps for resource in step(context)]


@pytest.fixture(scope="module")
def folder(
    instance: Instance, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[InventoryFolder]:
    """An inventory with this very machine as its primary."""
    cluster = CLUSTER.format(version=instance.version, port=instance.port)
    folder = static_inventory(tmp_path_factory.mktemp("inventory"), cluster, STATIC_PRIMARY)
    (folder.path / "nodes/db-1.yml").rename(folder.path / f"nodes/{LOCAL}.yml")
    yield folder


@pytest.fixture(scope="module")
def inventory(instance: Instance, folder: InventoryFolder) -> Inventory:
    """Applied once."""
    from pgprovision.inventory.edit.secrets import generate_secrets

    generate_secrets(folder.path)
    inventory = folder.load()
    converge_local(*catalog_resources(inventory))
    return inventory


@pytest.fixture
def say(instance: Instance, folder: InventoryFolder, inventory: Inventory) -> "Say":
    return Say(instance, folder.path / "secrets")


class Say:
    """A session of a role's own, with its password."""

    def __init__(self, instance: Instance, secrets: Path) -> None:
        self.instance, self.secrets = instance, secrets

    def __call__(self, role: str, query: str, database: str = "books") -> str:
        """What came back, or PostgreSQL's error."""
        password = (self.secrets / f"{role}.password").read_text().strip()
        where = f"host=127.0.0.1 port={self.instance.port} user={role} dbname={database}"
        # Not Debian's wrapper: it warns while another test's cluster comes or goes.
        text = f"{self.instance.bin_directory}/psql -XAtqw -v ON_ERROR_STOP=1 -d {sh(where)}"
        done = subprocess.run(
            ["sh", "-c", text],
            input=query,
            env={"PGPASSWORD": password, "PATH": "/usr/bin:/bin"},
            capture_output=True,
            text=True,
        )
        return (done.stdout + done.stderr).strip()


@pytest.mark.covers("row:C5")
def test_access_when_applied_then_nothing_differs(inventory: Inventory) -> None:
    assert plan_local(*catalog_resources(inventory)) == []
    assert converge_local(*catalog_resources(inventory)).changed == []


@pytest.mark.covers("row:C5")
@pytest.mark.parametrize("schema", ["public", "sales"])
def test_table_when_migrated_then_is_readable_by_those_it_is_for_at_once(
    say: Say, schema: str
) -> None:
    made = f"create table {schema}.t (id int generated always as identity, n int); "
    assert say("migrate", f"{made} create table {schema}.u (id serial, n int)") == ""
    for login in ("app_a", "app_b"):
        write = f"insert into {schema}.t (n) values (1); insert into {schema}.u (n) values (1); "
        assert say(login, f"{write} update {schema}.t set n = 2; delete from {schema}.u") == ""
    assert say("metabase", f"select count(*) from {schema}.t") == "2"
    assert "permission denied for table t" in say(
        "metabase", f"insert into {schema}.t (n) values (1)"
    )
    assert say("migrate", f"drop table {schema}.t, {schema}.u") == ""


@pytest.mark.covers("row:C5")
def test_table_when_made_by_a_migration_then_is_the_owner_s(instance: Instance, say: Say) -> None:
    say("migrate", "create table t ()")
    owner = sql(instance, "select relowner::regrole from pg_class where relname = 't'", "books")
    say("migrate", "drop table t")
    assert owner == "owner"


@pytest.mark.covers("row:C5")
def test_table_when_a_migration_no_longer_acts_as_the_owner_then_is_readable_all_the_same(
    instance: Instance, say: Say
) -> None:
    assert say("migrate", "set role none; create table t as select 7") == ""
    observed = [say(login, "select * from t") for login in ("app_a", "metabase")]
    sql(instance, "drop table t", "books")
    assert observed == ["7", "7"]


@pytest.mark.covers("row:C5")
@pytest.mark.parametrize(
    "ddl",
    [
        "create table t ()",
        "create table sales.t ()",
        "create schema mine",
        "create extension hstore",
        "create view v as select 1",
        "create function f() returns int language sql as 'select 1'",
        "alter table kept add column x int",
        "truncate kept",
        "drop table kept",
        "set role owner",
    ],
)
@pytest.mark.parametrize("login", ["app_a", "metabase"])
def test_application_when_it_tries_ddl_then_is_refused(say: Say, login: str, ddl: str) -> None:
    say("migrate", "create table if not exists kept ()")
    output = say(login, ddl)
    assert "permission denied" in output or "must be owner" in output


@pytest.mark.covers("S30")
@pytest.mark.parametrize("database", ["books", "postgres", "template1"])
def test_public_when_everything_is_done_may_do_nothing(
    instance: Instance, inventory: Inventory, database: str
) -> None:
    query = """select has_schema_privilege('public', 'public', 'create'),
        has_database_privilege('public', current_database(), 'connect,temp')"""
    assert sql(instance, query, database) == "f|f"


@pytest.mark.covers("row:C5")
def test_login_of_another_database_when_it_comes_then_is_refused(say: Say) -> None:
    assert 'permission denied for database "postgres"' in say("app_a", "select 1", "postgres")


@pytest.mark.covers("row:C6")
def test_extensions_when_made_then_the_trusted_ones_are_the_owner_s(
    instance: Instance, inventory: Inventory
) -> None:
    query = "select extname, extowner::regrole from pg_extension where extname <> 'plpgsql'"
    found = sorted(sql(instance, query, "books").splitlines())
    assert found == ["pg_stat_statements|postgres", "pgcrypto|owner"]


@pytest.mark.covers("row:C6")
@pytest.mark.parametrize(
    ("extension", "package"),
    [
        ("postgis", "postgresql-{}-postgis-3"),
        ("plpython3u", "postgresql-plpython3-{}"),
        ("no_such", "postgresql-{}-no-such"),
    ],
)
def test_extension_when_not_installed_then_its_package_is_named(
    instance: Instance, inventory: Inventory, extension: str, package: str
) -> None:
    resource = Extension(
        on=LOCAL, snapshot=snapshot(inventory), database="books", extension=extension
    )
    with pytest.raises(StepFailed, match=package.format(instance.version)):
        converge_local(resource)
    assert extension not in sql(instance, "select extname from pg_extension", "books")


@pytest.mark.covers("row:C7")
def test_setting_of_a_role_when_declared_then_its_sessions_have_it(say: Say) -> None:
    assert say("app_a", "show statement_timeout") == "30s"
    assert say("app_b", "show statement_timeout") == "0"
