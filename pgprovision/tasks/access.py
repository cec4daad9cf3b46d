"""The privileges in a database: none for PUBLIC; an owner, logins that migrate the schema as the
owner, a group that reads and writes, a group that reads."""

from collections.abc import Iterator, Mapping

from pgprovision.engine.model import Resource
from pgprovision.inventory.schema.cluster import Access, DatabaseSpec
from pgprovision.resources.postgres.catalog.database import Schema
from pgprovision.resources.postgres.catalog.grant import PUBLIC, Grant, PrivilegeTarget
from pgprovision.resources.postgres.catalog.role_settings import RoleSettings
from pgprovision.tasks.context import PlanContext

READ: Mapping[PrivilegeTarget, tuple[str, ...]] = {"tables": ("SELECT",), "sequences": ("SELECT",)}
READ_AND_WRITE: Mapping[PrivilegeTarget, tuple[str, ...]] = {
    "tables": ("SELECT", "INSERT", "UPDATE", "DELETE"),
    "sequences": ("USAGE", "SELECT"),
}
OWNED_BY_DATABASE_OWNER = 15  # since this version the database's owner owns schema public


def maintenance_databases(context: PlanContext) -> Iterator[Resource]:
    """postgres and template1, which every server has: no rights for PUBLIC."""
    for database in ("postgres", "template1"):
        yield _grant(context, database, PUBLIC)


def database_schemas(context: PlanContext) -> Iterator[Resource]:
    """The schemas of every database, without rights for PUBLIC (CREATE in `public`, too)."""
    for database in context.inventory.databases.values():
        access = database.access or Access()
        yield _grant(context, database.name, PUBLIC)
        for name in access.schemas:
            if name != "public" or context.inventory.postgres.version < OWNED_BY_DATABASE_OWNER:
                yield Schema(
                    on=context.on,
                    snapshot=context.snapshot,
                    database=database.name,
                    schema=name,
                    owner=database.owner,
                )
        yield _grant(context, database.name, PUBLIC, "USAGE", on="schema", schema="public")


def privileges(context: PlanContext) -> Iterator[Resource]:
    """The privileges of migrations, application and readers, on existing and on later objects."""
    for database in context.inventory.databases.values():
        if (access := database.access) is None:
            continue
        for login in access.migration:
            yield RoleSettings(
                on=context.on,
                snapshot=context.snapshot,
                role=login,
                database=database.name,
                settings={"role": database.owner},
            )
        if access.application:
            group = access.application.group
            yield _grant(context, database.name, group, "CONNECT", "TEMPORARY")
            yield from _objects(context, database, group, READ_AND_WRITE)
        if access.read_only:
            group = access.read_only.group
            yield _grant(context, database.name, group, "CONNECT")
            yield from _objects(context, database, group, READ)


def _objects(
    context: PlanContext,
    database: DatabaseSpec,
    group: str,
    privileges_by_target: Mapping[PrivilegeTarget, tuple[str, ...]],
) -> Iterator[Resource]:
    access = database.access or Access()
    for schema in access.schemas:
        common = (context, database.name, group)
        yield _grant(*common, "USAGE", on="schema", schema=schema)
        for kind, names in privileges_by_target.items():
            yield _grant(*common, *names, on=kind, schema=schema)
            for creator in (database.owner, *access.migration):
                yield _grant(*common, *names, on=kind, schema=schema, created_by=creator)


def _grant(
    context: PlanContext,
    database: str,
    grantee: str,
    *names: str,
    on: PrivilegeTarget = "database",
    schema: str = "",
    created_by: str = "",
) -> Grant:
    return Grant(
        on=context.on,
        snapshot=context.snapshot,
        database=database,
        grantee=grantee,
        privileges=names,
        privileges_on=on,
        schema=schema,
        created_by=created_by,
    )
