"""A streaming replica: seeded from its primary or from a backup, verified, caught up."""

from collections.abc import Iterator

from pgprovision.engine.model import Resource
from pgprovision.inventory.schema.cluster import Inventory, Node
from pgprovision.quote import pgpass
from pgprovision.resources.data_directory.source import BaseBackup, DataSource, PgbackrestRestore
from pgprovision.resources.data_directory.standby import CLONE_UNIT, Standby, primary_conninfo
from pgprovision.resources.postgres.replication.replication_status import StreamingReplication
from pgprovision.resources.system.file import Directory, File
from pgprovision.resources.system.unit import Unit
from pgprovision.secret import Secret
from pgprovision.tasks import features
from pgprovision.tasks.host import release_compatibility
from pgprovision.tasks.paths import (
    CLUSTER_CA,
    REPLICATION_PASSFILE,
    config_file,
    instance,
    replica_slot,
    snapshot,
)


def config_directory(inventory: Inventory, node: Node) -> Iterator[Resource]:
    """What pg_createcluster would lay out: Debian's wrappers find the cluster by it."""
    target_instance = instance(inventory)
    for path in (f"/etc/postgresql/{target_instance.version}", target_instance.config_directory):
        yield Directory(on=node.name, path=path, mode="0750", owner="postgres", group="postgres")
    contents = {
        "start.conf": "auto\n",
        "environment": "",
        "pg_ctl.conf": "pg_ctl_options = ''\n",
        "pg_ident.conf": "",
    }
    for name, content in contents.items():
        yield config_file(target_instance, node, name, content)


def passfile(inventory: Inventory, node: Node) -> Iterator[Resource]:
    """The replication password, for libpq alone (PostgreSQL manual, The Password File)."""
    replication, primary = inventory.postgres.replication, inventory.primary
    password = replication.password
    line = f"{primary.name}:{inventory.postgres.port}:*:{replication.role}:"
    yield File(
        on=node.name,
        path=REPLICATION_PASSFILE,
        content=Secret(
            f"{line}{pgpass(password.text())}\n", password.source, f"{line}{password.redacted}\n"
        ),
        mode="0600",
        owner="postgres",
        group="postgres",
    )


def standby(inventory: Inventory, node: Node) -> Iterator[Resource]:
    """The same release as the primary, its data through this node's slot."""
    target_instance, primary = instance(inventory), inventory.primary.name
    source: DataSource = BaseBackup(primary, upstream_conninfo(inventory, node), replica_slot(node))
    if inventory.backup and node.seed == "backup":
        source = PgbackrestRestore(inventory.backup.stanza)
    yield release_compatibility(inventory, node)
    yield Standby(on=node.name, instance=target_instance, primary=primary, data_source=source)


def streaming(inventory: Inventory, node: Node) -> Iterator[Resource]:
    """The replica streams and has caught up."""
    yield StreamingReplication(
        on=node.name,
        snapshot=snapshot(inventory),
        primary=inventory.primary.name,
        slot=replica_slot(node),
        has_archive=inventory.backup is not None and inventory.backup.archiving,
    )


def stopped(inventory: Inventory, node: Node) -> Iterator[Resource]:
    """The node follows nobody any more, also after a reboot. Its data stay."""
    target_instance, on = instance(inventory), node.name
    yield Unit(on=on, unit=CLONE_UNIT, enabled=None, active=False)
    yield config_file(target_instance, node, "start.conf", "manual\n")
    for feature in features.features(inventory):
        for timer in feature.timers():
            yield Unit(on=on, unit=timer, enabled=False, active=False)
    yield Unit(on=on, unit=target_instance.unit, enabled=False, active=False)


def upstream_conninfo(inventory: Inventory, node: Node) -> str:
    """How this node reaches its primary: by name in the certificate, by private address."""
    return primary_conninfo(
        host=inventory.primary.name,
        address=str(inventory.primary.private_ip),
        port=inventory.postgres.port,
        user=inventory.postgres.replication.role,
        passfile=REPLICATION_PASSFILE,
        ca=CLUSTER_CA,
        node=node.name,
    )
