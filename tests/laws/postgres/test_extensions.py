"""Extensions by name on a real server: the library is loaded before the extension is created."""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import pytest

from pgprovision.engine.model import Impact, Resource
from pgprovision.inventory.schema.cluster import Inventory
from pgprovision.known_extensions import KNOWN_EXTENSIONS
from pgprovision.resources.postgres.configuration.pending_configuration import PendingConfiguration
from pgprovision.resources.postgres.configuration.postgresql_conf import PostgresqlConf
from pgprovision.resources.postgres.server.catalog_resource import CatalogResource
from pgprovision.resources.postgres.server.instance import Instance
from pgprovision.resources.postgres.server.snapshot import SnapshotQuery
from pgprovision.tasks import postgres
from pgprovision.tasks.configuration import plain_conf
from pgprovision.tasks.context import PlanContext
from tests.support.inventory_folders import STATIC_PRIMARY, static_inventory
from tests.support.postgres_machine import LOCAL, converge_local, plan_local, sql

CLUSTER = """\
cluster: books
apt: {{source: pgdg}}
postgres:
  version: {version}
  port: {port}
  settings: {{shared_preload_libraries: auto_explain}}
roles:
  owner: {{login: false}}
databases:
  books: {{owner: owner, extensions: [{extensions}]}}
"""


@dataclass(frozen=True)
class Declared:
    """What is installed here of the known extensions, declared, and applied with `up`."""

    inventory: Inventory
    instance: Instance
    names: tuple[str, ...]

    @property
    def snapshot(self) -> SnapshotQuery:
        """The test's cluster has a name of its own; `main` is somebody else's."""
        return SnapshotQuery(self.instance, tuple(self.inventory.databases))

    def conf(self) -> PostgresqlConf:
        conf = plain_conf(PlanContext.declared(self.inventory, self.inventory.primary))
        return replace(conf, snapshot=self.snapshot, tls=None, addresses=())

    def resources(self) -> list[Resource]:
        """As a node has them, in order."""
        context = PlanContext.declared(self.inventory, self.inventory.primary)
        snapshot = self.snapshot
        tasks = (postgres.roles, postgres.databases, postgres.database_contents)
        contents = [resource for task in tasks for resource in task(context)]
        assert all(isinstance(resource, CatalogResource) for resource in contents)
        return [
            self.conf(),
            PendingConfiguration(on=LOCAL, snapshot=snapshot),
            *(replace(r, snapshot=snapshot) for r in contents if isinstance(r, CatalogResource)),
        ]


@pytest.fixture(scope="module")
def declared(instance: Instance, tmp_path_factory: pytest.TempPathFactory) -> Declared:
    installed = sql(instance, "select name from pg_available_extensions").split()
    names = tuple(name for name in KNOWN_EXTENSIONS if name in installed)
    text = CLUSTER.format(version=instance.version, port=instance.port, extensions=", ".join(names))
    folder = static_inventory(tmp_path_factory.mktemp("inventory"), text, STATIC_PRIMARY)
    (folder.path / "nodes/db-1.yml").rename(folder.path / f"nodes/{LOCAL}.yml")
    return Declared(folder.load(), instance, names)


@pytest.fixture(scope="module")
def applied(declared: Declared) -> Iterator[Declared]:
    converge_local(*declared.resources())
    yield declared


@pytest.mark.covers("row:C8")
def test_library_when_not_loaded_yet_then_the_plan_shows_a_restart(declared: Declared) -> None:
    conf = declared.conf()
    converge_local(replace(conf, preload_libraries=(), feature_sections=()))
    (change,) = plan_local(conf)
    assert change.impact == Impact.RESTART
    assert "shared_preload_libraries" in change.keys


@pytest.mark.covers("row:C6")
def test_extensions_when_applied_then_all_of_them_are_there(
    instance: Instance, applied: Declared
) -> None:
    query = "select extname from pg_extension where extname <> 'plpgsql'"
    assert set(sql(instance, query, "books").split()) == set(applied.names)


def test_extensions_when_applied_again_then_nothing_is_written(applied: Declared) -> None:
    assert plan_local(*applied.resources()) == []
    assert converge_local(*applied.resources()).changed == []


def test_libraries_when_people_wrote_some_then_theirs_come_first(
    instance: Instance, applied: Declared
) -> None:
    needed = [KNOWN_EXTENSIONS[name].library for name in applied.names]
    expected = ["auto_explain", *filter(None, needed)]
    assert sql(instance, "show shared_preload_libraries").split(",") == expected


def test_job_when_scheduled_then_it_runs_without_a_login(
    instance: Instance, applied: Declared
) -> None:
    if "pg_cron" not in applied.names:
        pytest.skip("pg_cron is not installed here")
    assert sql(instance, "show cron.database_name") == "books"
    sql(instance, "select cron.schedule('* * * * *', 'select 1')", "books")
    finished = "select count(*) from cron.job_run_details where status = 'succeeded'"
    wait = f"do $$ begin for i in 1..70 loop exit when ({finished}) > 0;"
    sql(instance, f"{wait} perform pg_sleep(1); commit; end loop; end $$", "books")
    assert sql(instance, finished, "books") != "0"
