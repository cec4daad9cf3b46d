"""The tiers of a cluster, in order, in sections as in the runbook.

A step yields the resources of one node; a tier may assume the tiers before it, on all nodes.
"""

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime

from pgprovision.engine.model import Tier
from pgprovision.inventory.schema.cluster import Inventory, Node
from pgprovision.inventory.topology import Topology
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
from pgprovision.tasks.context import NO_INTENTS
from pgprovision.tasks.features.feature import Position
from pgprovision.tasks.intent import Intent
from pgprovision.tasks.scope import PlanScope


def tiers(
    inventory: Inventory,
    nodes: Sequence[Node],
    now: datetime,
    also_open_access_on: Sequence[Node] = (),
    *,
    topology: Topology | None = None,
    intents: Mapping[str, Intent] = NO_INTENTS,
) -> tuple[Tier, ...]:
    """The desired state of these nodes.

    For standbys, also what their primary needs: access rules, the replication role, slots.
    `also_open_access_on`: other nodes; only their access rules are brought up to date. `topology`:
    who is primary; as declared, if not given. `intents`: what this run does with a node, by its
    name, in addition to converging it.
    """
    scope = PlanScope(
        inventory=inventory,
        nodes=tuple(nodes),
        also_open_access_on=tuple(also_open_access_on),
        topology=topology or Topology.declared(inventory),
        intents=intents,
        now=now,
    )
    sections = (
        machine,
        operating_system,
        new_cluster,
        configuration_files,
        restored_data,
        service,
        contents,
        standbys,
        finish,
    )
    return tuple(tier for section in sections for tier in section(scope) if tier.resources)


def machine(scope: PlanScope) -> Iterator[Tier]:
    """A host that answers, has the right identity and may become this node."""
    yield from cloud.server_tiers(scope.inventory, scope.nodes)
    yield scope.tier("identity", [*scope.nodes, *scope.access_only], host.identity)
    yield scope.tier("empty host", scope.copies, restored_copy.empty_host)
    yield scope.tier("split-brain check", scope.split_brain_check_on, host.split_brain_check)
    yield scope.tier("first boot", scope.nodes, host.first_boot, phase="machine")
    yield scope.tier("preflight", scope.nodes, preflight.preflight)
    yield scope.tier("claim file", scope.nodes, host.claim_file, phase="machine")
    yield cloud.host_key_rotation(scope.inventory, scope.nodes)


def operating_system(scope: PlanScope) -> Iterator[Tier]:
    """Packages, firewall, SSH, clock: all before PostgreSQL has data."""
    yield scope.tier("unattended upgrades", scope.nodes, system.upgrades, phase="packages")
    yield scope.tier("package repository", scope.nodes, system.repository, phase="packages")
    yield scope.tier("packages", scope.nodes, host.packages, phase="packages")
    yield scope.tier("host firewall", [*scope.nodes, *scope.access_only], system.firewall)
    yield scope.tier("SSH daemon", scope.nodes, system.sshd)
    yield scope.tier("host services", scope.nodes, system.services)
    yield scope.tier("held packages", scope.nodes, system.held_packages)


def new_cluster(scope: PlanScope) -> Iterator[Tier]:
    """A new cluster on the primary, a configuration directory elsewhere, certificates."""
    yield scope.tier("PostgreSQL cluster", scope.new_primary, postgres.cluster)
    yield scope.tier(
        "configuration directory", scope.configuration_directories, replica.config_directory
    )
    yield scope.tier(
        "server keys and unit limits", scope.nodes, host.certificates, host.unit_drop_in
    )
    yield scope.tier("server certificates", scope.nodes, host.signed_certificate)


def configuration_files(scope: PlanScope) -> Iterator[Tier]:
    """pgbackrest.conf first, as `archive_command` needs it; pg_hba.conf also on other nodes."""
    yield from _features(scope, Position.BEFORE_CONFIGURATION)
    everywhere = [*scope.standbys, *scope.writable]
    yield scope.tier(
        "PostgreSQL configuration", everywhere, configuration.postgresql_conf, configuration.pg_hba
    )
    yield scope.tier("access rules (pg_hba, firewall)", scope.access_only, configuration.pg_hba)
    yield scope.tier("loaded access rules", scope.access_only, configuration.loaded_access_rules)


def restored_data(scope: PlanScope) -> Iterator[Tier]:
    """Data restored from the backups."""
    data = restored_copy.restored_data
    yield scope.tier("restored data directory", scope.restored, data, phase="data")
    yield scope.tier(
        "configuration for the restored data", scope.copies, configuration.postgresql_conf
    )


def service(scope: PlanScope) -> Iterator[Tier]:
    """PostgreSQL runs with the settings of its files, and starts at boot."""
    yield scope.tier("kernel parameters", scope.writable, system.kernel)
    yield scope.tier("start at boot", scope.new_primary, postgres.at_boot)
    yield scope.tier("PostgreSQL service", scope.writable, postgres.service)
    yield scope.tier(
        "pending configuration",
        scope.writable,
        configuration.setting_overrides,
        configuration.pending_configuration,
    )
    yield scope.tier("accepts connections", scope.restored, restored_copy.accepts_writes)


def contents(scope: PlanScope) -> Iterator[Tier]:
    """Roles, databases, privileges, slots, a full backup: all on the primary."""
    yield scope.tier("roles", scope.primary, postgres.roles)
    yield scope.tier("replication role", scope.upstream, postgres.replication_role)
    yield scope.tier("databases", scope.primary, postgres.databases)
    yield scope.tier(
        "schemas, extensions and privileges",
        scope.primary,
        postgres.database_contents,
        postgres.slots,
        postgres.unmanaged,
    )
    yield scope.tier("slots", scope.upstream, postgres.slots)
    yield from _features(scope, Position.AFTER_DATABASES)


def standbys(scope: PlanScope) -> Iterator[Tier]:
    """Standbys: their data, PostgreSQL running with them, streaming, access from there."""
    yield scope.tier("standby", scope.standbys, replica.passfile, replica.standby)
    yield scope.tier("standby kernel parameters", scope.standbys, system.kernel)
    yield scope.tier("standby service", scope.standbys, postgres.service)
    yield scope.tier(
        "standby pending configuration",
        scope.standbys,
        configuration.setting_overrides,
        configuration.pending_configuration,
    )
    yield scope.tier("streaming replication", scope.standbys, replica.streaming)
    yield scope.tier("network access", scope.standbys, login_checks.network_access)


def finish(scope: PlanScope) -> Iterator[Tier]:
    """Timers; file modes; last the marker, and the label at Hetzner that the node is finished."""
    yield from _features(scope, Position.SCHEDULES)
    yield scope.tier("file permissions", scope.nodes, system.file_permissions)
    yield scope.tier("identity marker", scope.nodes, host.marker)
    yield cloud.node_registry(scope.inventory, scope.nodes, scope.topology, scope.intents)


def _features(scope: PlanScope, position: Position) -> Iterator[Tier]:
    for title, on, steps in features.tiers_at(position, scope.inventory):
        yield scope.tier(title, scope.group(on), *steps)
