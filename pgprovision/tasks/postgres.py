"""PostgreSQL as the runbook has it: cluster, configuration, roles, databases, slots.

Read it from top to bottom: each function is one step of the runbook, in the order it is done.
"""

from collections.abc import Iterator

from pgprovision.engine.model import Resource
from pgprovision.inventory.schema.cluster import DatabaseSpec, RoleSpec
from pgprovision.resources.data_directory.initdb import PostgresCluster
from pgprovision.resources.postgres.catalog.database import Database as DatabaseResource
from pgprovision.resources.postgres.catalog.grant import Grant
from pgprovision.resources.postgres.catalog.role import Role
from pgprovision.resources.postgres.catalog.role_settings import RoleSettings
from pgprovision.resources.postgres.catalog.unmanaged_objects import UnmanagedObjects
from pgprovision.resources.postgres.replication.slot import AbandonedSlots, Slot
from pgprovision.resources.system.unit import Unit
from pgprovision.tasks import access, features
from pgprovision.tasks.context import PlanContext
from pgprovision.tasks.intent import Reclone
from pgprovision.tasks.paths import config_file, drop_in_path, replica_slot


def cluster(context: PlanContext) -> Iterator[Resource]:
    """Our own cluster, with checksums, encoding and a declared locale."""
    postgres = context.inventory.postgres
    yield PostgresCluster(
        on=context.on,
        instance=context.instance,
        encoding=postgres.encoding,
        locale=postgres.locale,
        data_checksums=postgres.data_checksums,
    )


def at_boot(context: PlanContext) -> Iterator[Resource]:
    """Start at boot, enabled only once the configuration is ours: a host that lost power before
    that boots without PostgreSQL."""
    yield config_file(context.instance, context.node, "start.conf", "auto\n")


def service(context: PlanContext) -> Iterator[Resource]:
    """The unit enabled and running, and running what the files say."""
    drop_ins = (drop_in_path(context.instance),)
    yield Unit(
        on=context.on,
        unit=context.instance.unit,
        drop_ins=drop_ins,
        log_file=context.instance.log_file,
    )


def replication_role(context: PlanContext) -> Iterator[Resource]:
    """The role that the replicas log in as."""
    query, replication = context.snapshot, context.inventory.postgres.replication
    yield Role(
        on=context.on,
        snapshot=query,
        role=replication.role,
        password=replication.password,
        replication=True,
        connection_limit=replication.connection_limit,
        comment="streams to the replicas",
    )


def roles(context: PlanContext) -> Iterator[Resource]:
    """The replication role, the inventory's own and those of features."""
    yield from replication_role(context)
    for role in (*context.inventory.roles.values(), *features.roles(context.inventory)):
        yield declared_role(context, role)


def databases(context: PlanContext) -> Iterator[Resource]:
    """Databases with their owners."""
    for database in context.inventory.databases.values():
        yield DatabaseResource(
            on=context.on,
            snapshot=context.snapshot,
            database=database.name,
            owner=database.owner,
            encoding=database.encoding,
            locale=database.locale,
        )


def database_contents(context: PlanContext) -> Iterator[Resource]:
    """Schemas, extensions and privileges in each database; what sessions start with."""
    yield from access.maintenance_databases(context)
    yield from access.database_schemas(context)
    for database in context.inventory.databases.values():
        for feature in features.features(context.inventory):
            yield from feature.database_contents(database, context)
        yield from _grants(context, database)
    yield from access.privileges(context)
    for role in context.inventory.roles.values():
        if role.settings and role.present:
            yield RoleSettings(
                on=context.on,
                snapshot=context.snapshot,
                role=role.name,
                settings=role.settings,
            )


def slots(context: PlanContext) -> Iterator[Resource]:
    """One physical slot for every replica; slots of former replicas are reported."""
    on, query, standbys = context.on, context.snapshot, context.topology.standbys
    for standby in standbys:
        recreate = isinstance(context.intent_of(standby), Reclone)
        yield Slot(on=on, snapshot=query, slot=replica_slot(standby), recreate=recreate)
    yield AbandonedSlots(on=on, snapshot=query, declared=tuple(map(replica_slot, standbys)))


def unmanaged(context: PlanContext) -> Iterator[Resource]:
    """Roles and databases that are not in the inventory; they are reported and left."""
    yield UnmanagedObjects(
        on=context.on,
        snapshot=context.snapshot,
        roles=frozenset(
            (
                *context.inventory.roles,
                context.inventory.postgres.replication.role,
                *(role.name for role in features.roles(context.inventory)),
            )
        ),
        databases=frozenset(context.inventory.databases),
    )


def declared_role(context: PlanContext, role: RoleSpec) -> Role:
    """A role of the inventory or of a feature."""
    return Role(
        on=context.on,
        snapshot=context.snapshot,
        role=role.name,
        password=role.password,
        login=role.login,
        inherit=role.inherit,
        connection_limit=role.connection_limit,
        member_of=role.member_of,
        valid_until=role.valid_until,
        comment=role.comment,
        present=role.present,
    )


def _grants(context: PlanContext, database: DatabaseSpec) -> Iterator[Resource]:
    for grant in database.grants:
        yield Grant(
            on=context.on,
            snapshot=context.snapshot,
            database=database.name,
            grantee=grant.to,
            privileges=grant.privileges,
            privileges_on=grant.on,
            schema="" if grant.on == "database" else grant.in_schema,
            created_by=grant.created_by or "",
        )
