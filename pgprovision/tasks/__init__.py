"""What a cluster is made of, in order. `tiers` is the whole runbook as one list."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from functools import partial
from types import MappingProxyType

from pgprovision.engine.model import Resource, Tier
from pgprovision.inventory.schema.cluster import Inventory, Node
from pgprovision.recovery_target import RecoveryTarget
from pgprovision.tasks import (
    cloud,
    configuration,
    features,
    host,
    login_checks,
    postgres,
    preflight,
    replica,
    restored_copy,
    system,
)
from pgprovision.tasks.features.feature import NodeGroup, Position, Task

CONFIGURATION_DIRECTORY = "configuration directory"


def tiers(
    inventory: Inventory,
    nodes: Sequence[Node],
    now: datetime,
    also_open_access_on: Sequence[Node] = (),
    recovery_targets: Mapping[str, RecoveryTarget] = MappingProxyType({}),
) -> tuple[Tier, ...]:
    """Everything these nodes should be. A tier may assume the ones before it, on all nodes.

    Replicas bring their primary's part with them: the way in, the role, the slots.
    `also_open_access_on` are other nodes whose ways in are brought up to date. `recovery_targets`:
    nodes whose data come from the backups, as they were then; a copy's always do.
    """
    primary = [node for node in nodes if node.is_primary]
    replicas = [node for node in nodes if node.role == "replica"]
    copies = [node for node in nodes if node.is_copy]
    members = [node for node in nodes if not node.is_copy]
    restored = [node for node in nodes if node.is_copy or node.name in recovery_targets]
    new_primaries, writable = (
        [node for node in primary if node not in restored],
        [*primary, *copies],
    )
    upstream = [inventory.primary] if replicas and not primary else []
    access_only = [*upstream, *also_open_access_on]

    def tier(title: str, on: Sequence[Node], *steps: Task) -> Tier:
        return Tier(title, tuple(_resources(inventory, on, steps)))

    groups: dict[NodeGroup, Sequence[Node]] = {
        "members": members,
        "primary": primary,
        "copies": copies,
    }

    def feature_tiers(position: Position) -> Iterator[Tier]:
        for title, on, steps in features.tiers_at(position, inventory):
            yield tier(title, groups[on], *steps)

    signed = partial(host.signed_certificate, now=now)
    conf = partial(configuration.postgresql_conf, in_scope=nodes)
    loaded = partial(configuration.pending_configuration, in_scope=nodes)
    live_roles = partial(host.split_brain_check, primary_required=bool(upstream))
    split_brain_checked = (
        [inventory.primary] if members or not copies else []
    )  # a copy needs no primary
    restored_data = partial(restored_copy.restored_data, targets=recovery_targets)
    all_tiers = (
        *cloud.server_tiers(inventory, nodes),
        tier("identity", [*nodes, *access_only], host.identity),
        tier("vacancy", copies, restored_copy.empty_host),
        tier("live roles", split_brain_checked, live_roles),
        tier("first boot", nodes, host.first_boot),
        tier("preflight", nodes, preflight.preflight),
        tier("claim", nodes, host.claim_file),
        cloud.host_key_rotation(inventory, nodes),
        tier("upgrades", nodes, system.upgrades),
        tier("package repository", nodes, system.repository),
        tier("packages", nodes, host.packages),
        tier("host firewall", [*nodes, *access_only], system.firewall),
        tier("SSH daemon", nodes, system.sshd),
        tier("host services", nodes, system.services),
        tier("held packages", nodes, system.held_packages),
        tier("cluster", new_primaries, postgres.cluster),
        tier(CONFIGURATION_DIRECTORY, [*replicas, *restored], replica.config_directory),
        tier("certificates", nodes, host.certificates, host.unit_drop_in),
        tier("signed certificates", nodes, signed),
        *feature_tiers(Position.BEFORE_CONFIGURATION),
        tier("configuration", [*replicas, *writable], conf, configuration.pg_hba),
        tier("ways in", access_only, configuration.pg_hba),
        tier("restored data", restored, restored_data),
        tier("configuration for these data", copies, conf),
        tier("kernel", writable, system.kernel),
        tier("start at boot", new_primaries, postgres.at_boot),
        tier("service", writable, postgres.service),
        tier("loaded configuration", writable, configuration.setting_overrides, loaded),
        tier("answers", restored, restored_copy.accepts_writes),
        tier("roles", primary, postgres.roles),
        tier("replication role", upstream, postgres.replication_role),
        tier("databases", primary, postgres.databases),
        tier(
            "inside the databases",
            primary,
            postgres.database_contents,
            postgres.slots,
            postgres.unmanaged,
        ),
        tier("slots", upstream, postgres.slots),
        *feature_tiers(Position.AFTER_DATABASES),
        tier("standby", replicas, replica.passfile, replica.standby),
        tier("standby's kernel", replicas, system.kernel),
        tier("standby's service", replicas, postgres.service),
        tier("standby's loaded configuration", replicas, configuration.setting_overrides, loaded),
        tier("streaming", replicas, replica.streaming),
        tier("connections", replicas, login_checks.network_access),
        *feature_tiers(Position.SCHEDULES),
        tier("closed to others", nodes, system.file_permissions),
        tier("marker", nodes, host.marker),
        cloud.node_registry(inventory, nodes),
    )
    return tuple(tier for tier in all_tiers if tier.resources)


def _resources(
    inventory: Inventory, nodes: Sequence[Node], steps: Sequence[Task]
) -> Iterator[Resource]:
    for node in nodes:
        for step in steps:
            yield from step(inventory, node)
