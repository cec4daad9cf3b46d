"""What the others of the network get, from a machine that is one of them."""

from collections.abc import Iterator

from pgprovision.engine.model import Resource
from pgprovision.inventory.schema.cluster import HbaRuleSpec, Inventory, Node
from pgprovision.resources.postgres.catalog.login_check import VerifiedLogin
from pgprovision.resources.postgres.catalog.network_access_check import (
    CONNECT_TIMEOUT,
    NetworkAccessCheck,
)
from pgprovision.resources.postgres.conninfo import extend, verified_connection
from pgprovision.tasks import replica
from pgprovision.tasks.paths import CLUSTER_CA, snapshot


def network_access(inventory: Inventory, node: Node) -> Iterator[Resource]:
    """From a replica to the primary: the first declared user that may come from here gets in, a
    stranger does not."""
    primary = inventory.primary
    declared = next(_logins_from(inventory, node), None)
    rule, user = declared or (None, "")
    database = rule.databases[0] if rule else "postgres"
    to_primary = primary_conninfo(inventory, str(primary.private_ip), database)
    yield NetworkAccessCheck(
        on=node.name,
        snapshot=snapshot(inventory),
        server=primary.name,
        conninfo=to_primary,
        role=user,
    )
    if rule:
        yield verified_login(
            inventory, node, user, to_primary, depends_on=f"{rule} {inventory.tls.ca_certificate}"
        )


def verified_login(
    inventory: Inventory, node: Node, role: str, connection: str, *, depends_on: str = ""
) -> VerifiedLogin:
    """`role` logs in with its password, from `node`."""
    return VerifiedLogin(
        on=node.name,
        snapshot=snapshot(inventory),
        server=inventory.primary.name,
        role=role,
        conninfo=extend(connection, user=role, connect_timeout=CONNECT_TIMEOUT),
        password=inventory.roles[role].password,
        depends_on=depends_on,
    )


def replication_login(inventory: Inventory, node: Node) -> VerifiedLogin:
    """The replication role logs in from a replica, with its passfile."""
    streaming = replica.upstream_conninfo(inventory, node)
    return VerifiedLogin(
        on=node.name,
        snapshot=snapshot(inventory),
        server=inventory.primary.name,
        role=inventory.postgres.replication.role,
        conninfo=extend(streaming, replication="true", connect_timeout=CONNECT_TIMEOUT),
    )


def primary_conninfo(inventory: Inventory, address: str, database: str) -> str:
    """The primary at an address, verified by its name."""
    return verified_connection(
        host=inventory.primary.name,
        address=address,
        port=inventory.postgres.port,
        ca=CLUSTER_CA,
        dbname=database,
    )


def _logins_from(inventory: Inventory, node: Node) -> Iterator[tuple[HbaRuleSpec, str]]:
    for rule in inventory.postgres.hba:
        if any(node.private_ip in network for network in rule.addresses):
            for user in rule.users:
                if inventory.roles[user].password and inventory.roles[user].login:
                    yield rule, user
