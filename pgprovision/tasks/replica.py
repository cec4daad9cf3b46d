"""A streaming replica: cloned from its primary or from a backup, verified, caught up."""

from collections.abc import Iterator

from pgprovision.engine.model import Resource
from pgprovision.quote import pgpass
from pgprovision.resources.data_directory.source import BaseBackup, DataSource, PgbackrestRestore
from pgprovision.resources.data_directory.standby import CLONE_UNIT, Standby, primary_conninfo
from pgprovision.resources.postgres.replication.replication_status import StreamingReplication
from pgprovision.resources.system.file import Directory, File
from pgprovision.resources.system.unit import Unit
from pgprovision.secret import Secret
from pgprovision.tasks import features
from pgprovision.tasks.context import PlanContext
from pgprovision.tasks.host import release_compatibility
from pgprovision.tasks.paths import (
    CLUSTER_CA,
    REPLICATION_PASSFILE,
    config_file,
    replica_slot,
)


def config_directory(context: PlanContext) -> Iterator[Resource]:
    """The files that pg_createcluster would write: Debian's wrappers find the cluster by them."""
    for path in (f"/etc/postgresql/{context.instance.version}", context.instance.config_directory):
        yield Directory(on=context.on, path=path, mode="0750", owner="postgres", group="postgres")
    contents = {
        "start.conf": "auto\n",
        "environment": "",
        "pg_ctl.conf": "pg_ctl_options = ''\n",
        "pg_ident.conf": "",
    }
    for name, content in contents.items():
        yield config_file(context.instance, context.node, name, content)


def passfile(context: PlanContext) -> Iterator[Resource]:
    """The replication password, for libpq alone (PostgreSQL manual, The Password File)."""
    replication, primary = context.inventory.postgres.replication, context.primary
    password = replication.password
    line = f"{primary.name}:{context.inventory.postgres.port}:*:{replication.role}:"
    yield File(
        on=context.on,
        path=REPLICATION_PASSFILE,
        content=Secret(
            f"{line}{pgpass(password.text())}\n", password.source, f"{line}{password.redacted}\n"
        ),
        mode="0600",
        owner="postgres",
        group="postgres",
    )


def standby(context: PlanContext) -> Iterator[Resource]:
    """The standby's data directory, cloned by a host with its primary's release."""
    primary, slot = context.primary.name, replica_slot(context.node)
    source: DataSource = BaseBackup(primary, upstream_conninfo(context), slot)
    if context.inventory.backup and context.node.clone_from == "backup":
        source = PgbackrestRestore(context.inventory.backup.stanza)
    yield release_compatibility(context)
    yield Standby(
        on=context.on,
        instance=context.instance,
        primary=primary,
        data_source=source,
        former_inode=context.existing_inode,
    )


def streaming(context: PlanContext) -> Iterator[Resource]:
    """The replica streams and has caught up."""
    yield StreamingReplication(
        on=context.on,
        snapshot=context.snapshot,
        primary=context.primary.name,
        slot=replica_slot(context.node),
        has_archive=context.inventory.backup is not None and context.inventory.backup.archiving,
    )


def stopped(context: PlanContext) -> Iterator[Resource]:
    """The node no longer follows its primary, also after a reboot. Its data stay."""
    on = context.on
    yield Unit(on=on, unit=CLONE_UNIT, enabled=None, active=False)
    yield config_file(context.instance, context.node, "start.conf", "manual\n")
    for feature in features.features(context.inventory):
        for timer in feature.timers():
            yield Unit(on=on, unit=timer, enabled=False, active=False)
    yield Unit(on=on, unit=context.instance.unit, enabled=False, active=False)


def upstream_conninfo(context: PlanContext) -> str:
    """The connection string to the primary: its private address, its name in the certificate."""
    return primary_conninfo(
        host=context.primary.name,
        address=str(context.primary.private_ip),
        port=context.inventory.postgres.port,
        user=context.inventory.postgres.replication.role,
        passfile=REPLICATION_PASSFILE,
        ca=CLUSTER_CA,
        node=context.on,
    )
