"""What the others of the network get, from a machine that is one of them."""

from collections.abc import Iterator

from pgprovision.engine.model import Resource
from pgprovision.inventory.schema.cluster import HbaRule, Inventory, Node
from pgprovision.quote import conninfo
from pgprovision.resources.postgres.catalog.login_check import ProvenLogin
from pgprovision.resources.postgres.catalog.network_access_check import (
    ANSWER_SECONDS,
    NetworkAccess,
)
from pgprovision.tasks import replica
from pgprovision.tasks.paths import CLUSTER_CA, snapshot


def connections(inventory: Inventory, node: Node) -> Iterator[Resource]:
    """From a replica to the primary: the first declared user that may come from here gets in, a
    stranger does not."""
    primary = inventory.primary
    declared = next(_from_here(inventory, node), None)
    rule, user = declared or (None, "")
    database = rule.databases[0] if rule else "postgres"
    to_primary = where(inventory, str(primary.private_ip), database)
    yield NetworkAccess(
        on=node.name,
        snapshot=snapshot(inventory),
        server=primary.name,
        conninfo=to_primary,
        role=user,
    )
    if rule:
        yield login(
            inventory, node, user, to_primary, because=f"{rule} {inventory.tls.ca_certificate}"
        )


def login(
    inventory: Inventory, node: Node, role: str, conninfo_: str, *, because: str = ""
) -> ProvenLogin:
    """`role` logs in with its password, from `node`."""
    return ProvenLogin(
        on=node.name,
        snapshot=snapshot(inventory),
        server=inventory.primary.name,
        role=role,
        conninfo=f"{conninfo_} user={conninfo(role)} connect_timeout={ANSWER_SECONDS}",
        password=inventory.roles[role].password,
        because=because,
    )


def replication_login(inventory: Inventory, node: Node) -> ProvenLogin:
    """The replication role logs in from a replica, with its passfile."""
    streaming = f"{replica.conninfo(inventory, node)} replication=true"
    return ProvenLogin(
        on=node.name,
        snapshot=snapshot(inventory),
        server=inventory.primary.name,
        role=inventory.postgres.replication.role,
        conninfo=f"{streaming} connect_timeout={ANSWER_SECONDS}",
    )


def where(inventory: Inventory, address: str, database: str) -> str:
    """The primary at an address, verified by its name."""
    parts = {
        "host": inventory.primary.name,
        "hostaddr": address,
        "port": str(inventory.postgres.port),
        "dbname": database,
        "sslmode": "verify-full",
        "sslrootcert": CLUSTER_CA,
    }
    return " ".join(f"{key}={conninfo(value)}" for key, value in parts.items())


def _from_here(inventory: Inventory, node: Node) -> Iterator[tuple[HbaRule, str]]:
    for rule in inventory.postgres.hba:
        if any(node.private_ip in network for network in rule.addresses):
            for user in rule.users:
                if inventory.roles[user].password and inventory.roles[user].login:
                    yield rule, user
