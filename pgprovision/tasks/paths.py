"""Where our own files are on a node, and how nodes are named inside PostgreSQL."""

from pgprovision.inventory.schema.cluster import Inventory, Node
from pgprovision.resources.postgres.replication.slot import slot_name
from pgprovision.resources.postgres.server.instance import Instance
from pgprovision.resources.postgres.server.snapshot import SnapshotQuery
from pgprovision.resources.system.file import File

TLS = "/etc/pgprovision/tls"
SERVER_KEY = f"{TLS}/server.key"
SERVER_CERTIFICATE = f"{TLS}/server.crt"
CLUSTER_CA = f"{TLS}/ca.crt"
REPOSITORY_CAS = {1: f"{TLS}/repository-ca.crt", 2: f"{TLS}/repository2-ca.crt"}
REPLICATION_PASSFILE = "/etc/pgprovision/replication.pgpass"
UNIT_DIRECTORY = "/etc/systemd/system"


def instance(inventory: Inventory) -> Instance:
    """The one instance every node runs."""
    return Instance(version=inventory.postgres.version, port=inventory.postgres.port)


def drop_in_path(target_instance: Instance) -> str:
    """The path of our drop-in for the instance's systemd unit."""
    return f"/etc/systemd/system/{target_instance.unit}.d/pgprovision.conf"


def snapshot(inventory: Inventory) -> SnapshotQuery:
    """The query for everything inside PostgreSQL."""
    return SnapshotQuery(
        instance(inventory), tuple(inventory.databases), (SERVER_CERTIFICATE, CLUSTER_CA)
    )


def replica_slot(node: Node) -> str:
    """The physical slot of a replica on its primary."""
    return slot_name(node.name)


def config_file(target_instance: Instance, node: Node, name: str, content: str) -> File:
    """A file that pg_createcluster would write, with our content."""
    return File(
        on=node.name,
        path=f"{target_instance.config_directory}/{name}",
        content=f"# Written by pgprovision.\n{content}",
        mode="0640",
        owner="postgres",
        group="postgres",
    )
