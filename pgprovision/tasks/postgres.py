"""PostgreSQL as the runbook has it: cluster, configuration, roles, databases, slots.

Read it from top to bottom: each function is one step of the runbook, in the order it is done.
"""

from collections.abc import Iterator

from pgprovision.engine.model import Resource
from pgprovision.inventory.schema.cluster import DatabaseSpec, Inventory, Node
from pgprovision.inventory.schema.cluster import RoleSpec as RoleWish
from pgprovision.resources.data_directory.initdb import PostgresCluster
from pgprovision.resources.postgres.catalog.database import Database as DatabaseResource
from pgprovision.resources.postgres.catalog.grant import Grant
from pgprovision.resources.postgres.catalog.role import Role
from pgprovision.resources.postgres.catalog.role_settings import RoleSettings
from pgprovision.resources.postgres.catalog.unmanaged_objects import UnmanagedObjects
from pgprovision.resources.postgres.replication.slot import AbandonedSlots, Slot
from pgprovision.resources.system.unit import Unit
from pgprovision.tasks import access, features
from pgprovision.tasks.paths import config_file, drop_in_path, instance, replica_slot, snapshot


def cluster(inventory: Inventory, node: Node) -> Iterator[Resource]:
    """Our own cluster, with checksums, encoding and a declared locale."""
    postgres = inventory.postgres
    yield PostgresCluster(
        on=node.name,
        instance=instance(inventory),
        encoding=postgres.encoding,
        locale=postgres.locale,
        data_checksums=postgres.data_checksums,
    )


def at_boot(inventory: Inventory, node: Node) -> Iterator[Resource]:
    """Started at boot, and not before its configuration is ours: a machine that lost its power
    half-way comes up without PostgreSQL."""
    yield config_file(instance(inventory), node, "start.conf", "auto\n")


def service(inventory: Inventory, node: Node) -> Iterator[Resource]:
    """The unit enabled and running, and running what the files say."""
    target_instance = instance(inventory)
    drop_ins = (drop_in_path(inventory),)
    yield Unit(
        on=node.name,
        unit=target_instance.unit,
        drop_ins=drop_ins,
        log_file=target_instance.log_file,
    )


def replication_role(inventory: Inventory, node: Node) -> Iterator[Resource]:
    """Whom the replicas log in as."""
    query, replication = snapshot(inventory), inventory.postgres.replication
    yield Role(
        on=node.name,
        snapshot=query,
        role=replication.role,
        password=replication.password,
        replication=True,
        connection_limit=replication.connection_limit,
        comment="streams to the replicas",
    )


def roles(inventory: Inventory, node: Node) -> Iterator[Resource]:
    """The replication role, the inventory's own and those of features."""
    yield from replication_role(inventory, node)
    for role in inventory.roles.values():
        yield _role(inventory, node, role)
    for role in features.roles(inventory):
        yield _role(inventory, node, role)


def databases(inventory: Inventory, node: Node) -> Iterator[Resource]:
    """Databases with their owners."""
    for database in inventory.databases.values():
        yield DatabaseResource(
            on=node.name,
            snapshot=snapshot(inventory),
            database=database.name,
            owner=database.owner,
            encoding=database.encoding,
            locale=database.locale,
        )


def database_contents(inventory: Inventory, node: Node) -> Iterator[Resource]:
    """Schemas, extensions and privileges in each database; what sessions start with."""
    yield from access.maintenance_databases(inventory, node)
    yield from access.database_schemas(inventory, node)
    for database in inventory.databases.values():
        for feature in features.features(inventory):
            yield from feature.database_contents(database, node)
        yield from _grants(inventory, node, database)
    yield from access.privileges(inventory, node)
    for role in inventory.roles.values():
        if role.settings and role.present:
            yield RoleSettings(
                on=node.name,
                snapshot=snapshot(inventory),
                role=role.name,
                settings=role.settings,
            )


def slots(inventory: Inventory, node: Node) -> Iterator[Resource]:
    """One physical slot for every replica, and none of ours for anybody else."""
    on, query, replicas = node.name, snapshot(inventory), inventory.replicas
    for replica in replicas:
        yield Slot(on=on, snapshot=query, slot=replica_slot(replica))
    yield AbandonedSlots(on=on, snapshot=query, declared=tuple(map(replica_slot, replicas)))


def unmanaged(inventory: Inventory, node: Node) -> Iterator[Resource]:
    """What is there and not in the inventory; `status` lists it, nobody touches it."""
    yield UnmanagedObjects(
        on=node.name,
        snapshot=snapshot(inventory),
        roles=frozenset(
            (
                *inventory.roles,
                inventory.postgres.replication.role,
                *(role.name for role in features.roles(inventory)),
            )
        ),
        databases=frozenset(inventory.databases),
    )


def _role(inventory: Inventory, node: Node, role: RoleWish) -> Role:
    return Role(
        on=node.name,
        snapshot=snapshot(inventory),
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


def _grants(inventory: Inventory, node: Node, database: DatabaseSpec) -> Iterator[Resource]:
    for grant in database.grants:
        yield Grant(
            on=node.name,
            snapshot=snapshot(inventory),
            database=database.name,
            grantee=grant.to,
            privileges=grant.privileges,
            privileges_on=grant.on,
            schema="" if grant.on == "database" else grant.in_schema,
            created_by=grant.created_by or "",
        )
