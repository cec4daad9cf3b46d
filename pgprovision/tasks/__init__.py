"""What a cluster is made of, in order. `tiers` is the whole runbook as one list."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from functools import partial
from types import MappingProxyType

from pgprovision.engine.model import Resource, Tier
from pgprovision.inventory.schema.cluster import Inventory, Node
from pgprovision.recovery_target import Target
from pgprovision.tasks import (
    backup,
    cloud,
    configuration,
    host,
    login_checks,
    postgres,
    preflight,
    replica,
    restored_copy,
    system,
)

CONFIGURATION_DIRECTORY = "configuration directory"
Step = Callable[[Inventory, Node], Iterable[Resource]]


def tiers(
    inventory: Inventory,
    nodes: Sequence[Node],
    now: datetime,
    peers: Sequence[Node] = (),
    targets: Mapping[str, Target] = MappingProxyType({}),
) -> tuple[Tier, ...]:
    """Everything these nodes should be. A tier may assume the ones before it, on all nodes.

    Replicas bring their primary's part with them: the way in, the role, the slots. `peers` are
    other nodes whose ways in are brought up to date. `targets`: nodes whose data come from the
    backups, as they were then; a copy's always do.
    """
    primary = [node for node in nodes if node.is_primary]
    replicas = [node for node in nodes if node.role == "replica"]
    copies = [node for node in nodes if node.is_copy]
    members = [node for node in nodes if not node.is_copy]
    restored = [node for node in nodes if node.is_copy or node.name in targets]
    made, masters = [node for node in primary if node not in restored], [*primary, *copies]
    upstream = [inventory.primary] if replicas and not primary else []
    beside = [*upstream, *peers]

    def tier(title: str, on: Sequence[Node], *steps: Step) -> Tier:
        return Tier(title, tuple(_resources(inventory, on, steps)))

    signed = partial(host.signed, now=now)
    conf = partial(configuration.conf, moving=nodes)
    loaded = partial(configuration.loaded, moving=nodes)
    live_roles = partial(host.live_roles, needed=bool(upstream))
    judged = [inventory.primary] if members or not copies else []  # a copy needs no primary
    data = partial(restored_copy.restored, targets=targets)
    whole = (
        *cloud.cloud_tiers(inventory, nodes),
        tier("identity", [*nodes, *beside], host.identity),
        tier("vacancy", copies, restored_copy.vacant),
        tier("live roles", judged, live_roles),
        tier("first boot", nodes, host.first_boot),
        tier("preflight", nodes, preflight.preflight),
        tier("claim", nodes, host.claim),
        cloud.host_keys(inventory, nodes),
        tier("upgrades", nodes, system.upgrades),
        tier("package repository", nodes, system.repository),
        tier("packages", nodes, host.packages),
        tier("host firewall", [*nodes, *beside], system.firewall),
        tier("SSH daemon", nodes, system.sshd),
        tier("host services", nodes, system.services),
        tier("held packages", nodes, system.held),
        tier("cluster", made, postgres.cluster),
        tier(CONFIGURATION_DIRECTORY, [*replicas, *restored], replica.config_directory),
        tier("certificates", nodes, host.certificates, host.limits),
        tier("signed certificates", nodes, signed),
        tier("backup configuration", members, backup.configuration),
        tier("backups to read", copies, restored_copy.configuration),
        tier("archiving switched off", primary, backup.unarchived),
        tier("configuration", [*replicas, *masters], conf, configuration.hba),
        tier("ways in", beside, configuration.hba),
        tier("restored data", restored, data),
        tier("configuration for these data", copies, conf),
        tier("kernel", masters, system.kernel),
        tier("start at boot", made, postgres.at_boot),
        tier("service", masters, postgres.service),
        tier("loaded configuration", masters, configuration.overrides, loaded),
        tier("answers", restored, restored_copy.writable),
        tier("roles", primary, postgres.roles),
        tier("replication role", upstream, postgres.replication_role),
        tier("databases", primary, postgres.databases),
        tier("inside the databases", primary, postgres.inside, postgres.slots, postgres.unmanaged),
        tier("slots", upstream, postgres.slots),
        tier("stanza", primary, backup.first_backup),
        tier("second repository's stanza", primary, partial(backup.first_backup, number=2)),
        tier("first backup", primary, backup.full_backup),
        tier("second repository's first backup", primary, partial(backup.full_backup, number=2)),
        tier("archive", primary, backup.archived),
        tier("standby", replicas, replica.passfile, replica.standby),
        tier("standby's kernel", replicas, system.kernel),
        tier("standby's service", replicas, postgres.service),
        tier("standby's loaded configuration", replicas, configuration.overrides, loaded),
        tier("streaming", replicas, replica.streaming),
        tier("connections", replicas, login_checks.connections),
        tier("backup schedule", members, backup.schedule),
        tier("closed to others", nodes, system.closed),
        tier("marker", nodes, host.marker),
        cloud.known(inventory, nodes),
    )
    return tuple(tier for tier in whole if tier.resources)


def _resources(
    inventory: Inventory, nodes: Sequence[Node], steps: Sequence[Step]
) -> Iterator[Resource]:
    for node in nodes:
        for step in steps:
            yield from step(inventory, node)
