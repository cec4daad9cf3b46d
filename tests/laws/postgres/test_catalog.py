"""The laws of the loop, over everything that lives in the catalogs, on a real server."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import pytest

from pgprovision.engine.model import Answer
from pgprovision.quote import ident
from pgprovision.resources.postgres.catalog.database import Database, Schema
from pgprovision.resources.postgres.catalog.extension import Extension
from pgprovision.resources.postgres.catalog.grant import Grant
from pgprovision.resources.postgres.catalog.role import Role
from pgprovision.resources.postgres.catalog.role_settings import RoleSettings
from pgprovision.resources.postgres.replication.slot import Slot
from pgprovision.resources.postgres.server.catalog_resource import CatalogResource
from pgprovision.resources.postgres.server.instance import Instance
from pgprovision.resources.postgres.server.snapshot import SnapshotQuery
from pgprovision.secret import Secret
from tests.support.postgres_machine import LOCAL, converge_local, plan_local, shell, sql

Resources = Mapping[str, CatalogResource]

OWNER, APP, GROUP, READER = "owner", 'it\'s "app"', "group\\1", "lecteur-été"
SALES = "Sales 'n' \"co\""
BOOKS = "books \"of\" 'all' = 1"


@dataclass(frozen=True)
class Case:
    """A resource, and for each key the SQL that breaks it by hand."""

    resource: Callable[[SnapshotQuery], CatalogResource]
    breaks: Mapping[str, str]


def role(name: str, **attributes: Any) -> Callable[[SnapshotQuery], CatalogResource]:
    return lambda snapshot: Role(on=LOCAL, snapshot=snapshot, role=name, **attributes)


def grant(
    to: str, *privileges: str, **attributes: Any
) -> Callable[[SnapshotQuery], CatalogResource]:
    def desired(snapshot: SnapshotQuery) -> CatalogResource:
        place: dict[str, Any] = {"on": LOCAL, "snapshot": snapshot, "database": BOOKS}
        return Grant(**place, grantee=to, privileges=privileges, **attributes)

    return desired


CASES: Mapping[str, Case] = {
    "owner": Case(role(OWNER, login=False), {"login": "alter role owner login"}),
    "group": Case(role(GROUP, login=False), {"comment": "comment on role :group is 'x'"}),
    "login role": Case(
        role(
            APP,
            password=Secret("  l\u00adö\u2168ng 'pass\\word\"  "),
            connection_limit=500,
            valid_until="2031-02-03T04:05:06+02:00",
            member_of=(GROUP, OWNER),
            comment="the 'web' \\ app",
            createdb=True,
        ),
        {
            "superuser": "alter role :app superuser",
            "createdb": "alter role :app nocreatedb",
            "replication": "alter role :app replication",
            "connection_limit": "alter role :app connection limit 3",
            "valid_until": "alter role :app valid until 'infinity'",
            "password": "alter role :app password 'other'",
            "member_of": "revoke owner from :app",
            "comment": "comment on role :app is null",
        },
    ),
    "reader": Case(role(READER), {"password": "alter role :reader password 'x'"}),
    "database": Case(
        lambda snapshot: Database(
            on=LOCAL,
            snapshot=snapshot,
            database=BOOKS,
            owner=OWNER,
            encoding="UTF8",
            locale="C.UTF-8",
            connection_limit=50,
            comment="all of 'em",
        ),
        {
            "owner": "alter database :name owner to postgres",
            "connection_limit": "alter database :name connection limit -1",
            "comment": "comment on database :name is 'other'",
        },
    ),
    "schema": Case(
        lambda snapshot: Schema(
            on=LOCAL, snapshot=snapshot, database=BOOKS, schema=SALES, owner=OWNER
        ),
        {"owner": "alter schema :schema owner to postgres"},
    ),
    "role settings": Case(
        lambda snapshot: RoleSettings(
            on=LOCAL,
            snapshot=snapshot,
            role=APP,
            settings={"work_mem": "64MB", "search_path": '"$user", Sales', "jit": True},
        ),
        {
            "work_mem": "alter role :app set work_mem = '1MB'",
            "search_path": "alter role :app set search_path = 'public'",
            "jit": "alter role :app reset jit",
        },
    ),
    "role settings in a database": Case(
        lambda snapshot: RoleSettings(
            on=LOCAL,
            snapshot=snapshot,
            role=READER,
            database=BOOKS,
            settings={"role": OWNER, "books.motto": "it's"},
        ),
        {"role": "alter role :reader in database :name reset role"},
    ),
    "extension": Case(
        lambda snapshot: Extension(
            on=LOCAL, snapshot=snapshot, database=BOOKS, extension="pg_trgm", schema="public"
        ),
        {"schema": "create schema aside; alter extension pg_trgm set schema aside"},
    ),
    "public on database": Case(
        grant("public"), {"CONNECT": "grant connect on database :name to public"}
    ),
    "public on schema": Case(
        grant("public", privileges_on="schema", schema="public"),
        {"CREATE": "grant create on schema public to public"},
    ),
    "app on database": Case(
        grant(APP, "connect", "temp"),
        {
            "CONNECT": "revoke connect on database :name from :app",
            "CREATE": "grant create on database :name to :app",
        },
    ),
    "reader on tables": Case(
        grant(READER, "select", privileges_on="tables", schema="public"),
        {
            "SELECT": "revoke select on t2 from :reader",
            "UPDATE": "grant update on t1 to :reader",
        },
    ),
    "group on sequences": Case(
        grant(GROUP, "all", privileges_on="sequences", schema="public"),
        {"USAGE": "revoke usage on s1 from :group"},
    ),
    "public on functions": Case(
        grant("public", privileges_on="functions", schema=SALES),
        {"EXECUTE": "grant execute on function :schema.f() to public"},
    ),
    "reader on later tables": Case(
        grant(READER, "select", privileges_on="tables", schema="public", created_by=OWNER),
        {
            "SELECT": "alter default privileges for role owner in schema public"
            " revoke select on tables from :reader",
            "INSERT": "alter default privileges for role owner in schema public"
            " grant insert on tables to :reader",
        },
    ),
    "public on later functions": Case(
        grant("public", privileges_on="functions", created_by=OWNER),
        {"EXECUTE": "alter default privileges for role owner grant execute on functions to public"},
    ),
    "slot": Case(
        lambda snapshot: Slot(on=LOCAL, snapshot=snapshot, slot="replica_2"),
        {
            "reserved": "select pg_drop_replication_slot('replica_2'),"
            " pg_create_physical_replication_slot('replica_2')"
        },
    ),
}
NAMES = {":app": APP, ":group": GROUP, ":reader": READER, ":schema": SALES, ":name": BOOKS}
OBJECTS = """
create table t1 (); create table t2 (); create view v as select 1 as one; create sequence s1;
create function :schema.f() returns int language sql as 'select 1';
"""


def named(text: str) -> str:
    """The SQL with our names in it, quoted."""
    for word, name in NAMES.items():
        text = text.replace(word, ident(name))
    return text


@pytest.fixture(scope="module")
def snapshot(instance: Instance) -> SnapshotQuery:
    return SnapshotQuery(instance, ("postgres", "not there", BOOKS))


@pytest.fixture(scope="module")
def resources(instance: Instance, snapshot: SnapshotQuery) -> Resources:
    """Everything, made on an empty server in one run; then objects as an application has them."""
    resources = {name: case.resource(snapshot) for name, case in CASES.items()}
    converge_local(*resources.values())
    sql(instance, named(OBJECTS), BOOKS)
    converge_local(*resources.values())
    return resources


def test_catalog_when_applied_then_a_look_finds_nothing(
    resources: Resources,
) -> None:
    assert plan_local(*resources.values()) == []


def test_catalog_when_applied_again_then_nothing_is_written(
    instance: Instance, resources: Resources
) -> None:
    before = sql(instance, "select pg_current_wal_insert_lsn()")
    report = converge_local(*resources.values())
    assert report.changed == []
    assert report.round_trips == {} or set(report.round_trips.values()) == {1}
    assert sql(instance, "select pg_current_wal_insert_lsn()") == before


@pytest.mark.parametrize(
    ("name", "key"), [(name, key) for name, case in CASES.items() for key in case.breaks]
)
def test_resource_when_one_key_is_broken_then_it_alone_is_named_and_repaired(
    instance: Instance, resources: Resources, name: str, key: str
) -> None:
    sql(instance, named(CASES[name].breaks[key]), BOOKS)
    (change,) = plan_local(*resources.values())
    assert (change.resource, change.keys) == (resources[name], (key,))
    assert [done.resource for done in converge_local(*resources.values()).changed] == [
        resources[name]
    ]
    assert plan_local(*resources.values()) == []


@pytest.mark.covers("F103")
def test_sorting_when_a_column_or_an_index_has_a_collation_of_its_own_is_found(
    instance: Instance,
) -> None:
    sql(instance, "create database sorted")
    text = """create table words(plain text, c text collate "C", icu text collate "de-x-icu");
        create index on words(plain collate "C.utf8")"""
    sql(instance, text, "sorted")
    look = SnapshotQuery(instance, ("sorted",))
    server = look.running_server(Answer(out=shell(look.probe().text).encode()))
    assert server
    sql(instance, "drop database sorted")
    assert server.database_snapshots["sorted"].collations == {("i", "de-x-icu"), ("c", "C.utf8")}
    assert server.databases["sorted"]["provider"] == "c"
