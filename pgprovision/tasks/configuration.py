"""postgresql.conf and pg_hba.conf of a node, whole."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial

from pgprovision.engine.model import Resource
from pgprovision.inventory.schema.cluster import Inventory, Node
from pgprovision.quote import sh
from pgprovision.render import render
from pgprovision.resources.data_directory.source import restore_command
from pgprovision.resources.postgres.configuration.live_settings import LiveSettings
from pgprovision.resources.postgres.configuration.pending_configuration import PendingConfiguration
from pgprovision.resources.postgres.configuration.pg_hba import PgHba
from pgprovision.resources.postgres.configuration.pg_hba_rules import (
    REPLICATION,
    SCRAM,
    HbaRule,
    RequiredLogin,
    pg_hba_sections,
)
from pgprovision.resources.postgres.configuration.postgresql_conf import PostgresqlConf
from pgprovision.resources.postgres.configuration.setting_overrides import SettingOverrides
from pgprovision.resources.postgres.configuration.settings import TlsPaths, Upstream
from pgprovision.resources.postgres.configuration.shared_memory import (
    RestoredCopyOrder,
    RolloutOrder,
)
from pgprovision.tasks import replica
from pgprovision.tasks.paths import (
    CLUSTER_CA,
    SERVER_CERTIFICATE,
    SERVER_KEY,
    replica_slot,
    snapshot,
)


def postgresql_conf(
    inventory: Inventory, node: Node, in_scope: Sequence[Node] = ()
) -> Iterator[Resource]:
    """Rendered whole, sized from the machine, overridden setting by setting; a restart in
    the right order among the nodes that this run looks after."""
    yield replace(
        plain_conf(inventory, node), rollout_order=_rollout_order(inventory, in_scope, node)
    )


def pending_configuration(
    inventory: Inventory, node: Node, in_scope: Sequence[Node] = ()
) -> Iterator[Resource]:
    """What was written is loaded, also when a run was killed between the two. It is what
    the server runs with."""
    rollout_order = _rollout_order(inventory, in_scope, node)
    yield PendingConfiguration(
        on=node.name, snapshot=snapshot(inventory), rollout_order=rollout_order
    )
    yield LiveSettings(on=node.name, snapshot=snapshot(inventory))


def pg_hba(inventory: Inventory, node: Node) -> Iterator[Resource]:
    """pg_hba.conf: superuser by peer, named roles over TLS, replication from the other nodes."""
    others = [str(other.private_ip) for other in inventory.other_members(node)]
    replicator = inventory.postgres.replication.role
    access = [
        HbaRule("hostssl", rule.databases, rule.users, SCRAM, str(address))
        for rule in inventory.postgres.hba
        for address in rule.addresses
    ]
    yield PgHba(
        on=node.name,
        snapshot=snapshot(inventory),
        render=partial(render, "pg_hba.conf.j2", inventory.folder),
        sections=tuple(
            pg_hba_sections(
                replication_role=replicator,
                replicas=others,
                access=access,
            )
        ),
        required_logins=(
            RequiredLogin("maintenance and backups", "postgres", "postgres", "peer"),
            *(
                RequiredLogin(f"replication from {other}", REPLICATION, replicator, SCRAM, other)
                for other in others
            ),
        ),
    )


def setting_overrides(inventory: Inventory, node: Node) -> Iterator[Resource]:
    """What ALTER SYSTEM set over the file is put back."""
    yield SettingOverrides(
        on=node.name,
        snapshot=snapshot(inventory),
        managed=plain_conf(inventory, node).managed_names(),
        declared=frozenset(
            (role.name, name.lower()) for role in inventory.roles.values() for name in role.settings
        ),
    )


def _rollout_order(inventory: Inventory, in_scope: Sequence[Node], node: Node) -> RolloutOrder:
    kind = RestoredCopyOrder if node.is_copy else RolloutOrder
    return kind(
        primary=inventory.primary.name,
        replicas=tuple(replica.name for replica in inventory.replicas),
        in_scope=frozenset(node.name for node in in_scope),
    )


def plain_conf(inventory: Inventory, node: Node) -> PostgresqlConf:
    """The file by itself: no other node has a say in it."""
    backup, postgres = inventory.backup, inventory.postgres
    archive = restore = ""
    if backup is not None and backup.archiving and not node.is_copy:
        archive = sh("pgbackrest", f"--stanza={backup.stanza}", "archive-push") + " %p"
        restore = restore_command(backup.stanza)
    upstream = None
    if node.role == "replica":
        upstream = Upstream(replica.upstream_conninfo(inventory, node), replica_slot(node), restore)
    slot_limit = postgres.replication.max_slot_wal_keep_size
    limits = {"max_slot_wal_keep_size": slot_limit} if slot_limit else {}
    return PostgresqlConf(
        on=node.name,
        snapshot=snapshot(inventory),
        render=partial(render, "postgresql.conf.j2", inventory.folder),
        node=node.name,
        addresses=(str(node.private_ip),),
        tls=TlsPaths(SERVER_CERTIFICATE, SERVER_KEY, CLUSTER_CA),
        archive_mode=not node.is_copy,
        archive_command=archive,
        upstream=upstream,
        overrides={**limits, **postgres.settings},
        memory=node.machine.memory,
        cores=node.machine.cores,
        disk=node.machine.disk,
    )
