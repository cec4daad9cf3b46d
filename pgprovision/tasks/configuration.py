"""The complete postgresql.conf and pg_hba.conf of a node."""

from collections.abc import Iterator
from dataclasses import replace
from functools import partial

from pgprovision.engine.model import Resource
from pgprovision.render import render
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
from pgprovision.tasks import features, replica
from pgprovision.tasks.context import PlanContext
from pgprovision.tasks.paths import CLUSTER_CA, SERVER_CERTIFICATE, SERVER_KEY, replica_slot


def postgresql_conf(context: PlanContext) -> Iterator[Resource]:
    """postgresql.conf, sized for the host, with the declared settings; the nodes of this run
    restart in the order that standbys need."""
    yield replace(plain_conf(context), rollout_order=_rollout_order(context))


def pending_configuration(context: PlanContext) -> Iterator[Resource]:
    """The written files are loaded, also after a run that was killed between the two, and the
    server runs with their values."""
    order = _rollout_order(context)
    yield PendingConfiguration(on=context.on, snapshot=context.snapshot, rollout_order=order)
    yield LiveSettings(on=context.on, snapshot=context.snapshot)


def loaded_access_rules(context: PlanContext) -> Iterator[Resource]:
    """pg_hba.conf is loaded, also after a run that was killed between write and reload; for a node
    of which this run changes nothing else, so nothing is restarted."""
    yield PendingConfiguration(on=context.on, snapshot=context.snapshot, reload_only=True)


def pg_hba(context: PlanContext) -> Iterator[Resource]:
    """pg_hba.conf: superuser by peer, named roles over TLS, replication from the other nodes."""
    others = [str(other.private_ip) for other in context.inventory.other_members(context.node)]
    replicator = context.inventory.postgres.replication.role
    access = [
        HbaRule("hostssl", rule.databases, rule.users, SCRAM, str(address))
        for rule in context.inventory.postgres.hba
        for address in rule.addresses
    ]
    yield PgHba(
        on=context.on,
        snapshot=context.snapshot,
        render=partial(render, "pg_hba.conf.j2", context.inventory.folder),
        sections=tuple(
            pg_hba_sections(
                replication_role=replicator,
                replicas=others,
                access=access,
                features=[s for f in features.features(context.inventory) for s in f.hba(context)],
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


def setting_overrides(context: PlanContext) -> Iterator[Resource]:
    """Settings that ALTER SYSTEM overrides are reset."""
    yield SettingOverrides(
        on=context.on,
        snapshot=context.snapshot,
        managed=plain_conf(context).managed_names(),
        declared=frozenset(
            (role.name, name.lower())
            for role in context.inventory.roles.values()
            for name in role.settings
        ),
    )


def _rollout_order(context: PlanContext) -> RolloutOrder:
    kind = RestoredCopyOrder if context.is_copy else RolloutOrder
    return kind(
        primary=context.primary.name,
        replicas=tuple(standby.name for standby in context.topology.standbys),
        in_scope=frozenset(node.name for node in context.in_scope),
    )


def plain_conf(context: PlanContext) -> PostgresqlConf:
    """postgresql.conf without the rollout order among the nodes."""
    postgres, enabled = context.inventory.postgres, features.features(context.inventory)
    upstream = None
    if context.is_standby:
        upstream = Upstream(replica.upstream_conninfo(context), replica_slot(context.node))
    slot_limit = postgres.replication.max_slot_wal_keep_size
    limits = {"max_slot_wal_keep_size": slot_limit} if slot_limit else {}
    return PostgresqlConf(
        on=context.on,
        snapshot=context.snapshot,
        render=partial(render, "postgresql.conf.j2", context.inventory.folder),
        node=context.on,
        addresses=(str(context.node.private_ip),),
        tls=TlsPaths(SERVER_CERTIFICATE, SERVER_KEY, CLUSTER_CA),
        archive_mode=not context.is_copy,
        upstream=upstream,
        feature_sections=tuple(s for feature in enabled for s in feature.settings(context)),
        preload_libraries=features.preload_libraries(context),
        overrides={**limits, **postgres.settings},
        memory=context.node.machine.memory,
        cores=context.node.machine.cores,
        disk=context.node.machine.disk,
    )
