"""A restored copy on a host of its own, from its creation to its removal.

It listens on loopback alone, archives nothing, holds no slots and follows nobody; where the
inventory gives a read-only key pair, it has no other. Nothing here is on a production node.
"""

from collections.abc import Iterable, Iterator
from functools import partial
from ipaddress import IPv4Address

from pgprovision.engine.model import Resource, Tier
from pgprovision.inventory.rules.drill import drill_server_name
from pgprovision.inventory.schema.cluster import Inventory, Node
from pgprovision.inventory.topology import Topology
from pgprovision.recovery_target import RecoveryTarget
from pgprovision.render import render
from pgprovision.resources.data_directory import integrity, restore
from pgprovision.resources.data_directory.drill_cleanup import DrillCleanup
from pgprovision.resources.data_directory.integrity import Integrity
from pgprovision.resources.data_directory.restore import RestoredDataDirectory
from pgprovision.resources.hetzner.deleted_resource import DeletedResource
from pgprovision.resources.node.identity import PGPROVISION_DIRECTORY
from pgprovision.resources.node.marker import ClaimFile
from pgprovision.resources.postgres.configuration.pg_hba import PgHba
from pgprovision.resources.postgres.configuration.pg_hba_rules import RequiredLogin, pg_hba_sections
from pgprovision.resources.postgres.configuration.postgresql_conf import PostgresqlConf
from pgprovision.resources.postgres.configuration.settings_sizing import ConfSetting
from pgprovision.resources.system.disk_space import DiskSpaceCheck
from pgprovision.resources.system.file import Directory
from pgprovision.resources.system.first_boot import FirstBoot
from pgprovision.resources.system.unit import Unit
from pgprovision.tasks import cloud, features, host, replica, system
from pgprovision.tasks import restored_copy as copied
from pgprovision.tasks.context import PlanContext
from pgprovision.tasks.paths import TLS, drop_in_path, instance

DRILL_LABEL = "drill"  # the label of a drill's server; its value is the owner
LOOPBACK = IPv4Address("127.0.0.1")
REQUIRED_SETTINGS = frozenset({"shared_preload_libraries", "max_prepared_transactions"})


def drill_node(inventory: Inventory, address: str | None) -> Node:
    """The drill's machine as a node that is in no inventory: an existing host, or a server like the
    primary's."""
    primary = Topology.declared(inventory).primary
    backup, cloud_ = inventory.backup, inventory.hetzner
    of_type = {"server_type": backup.drill.server_type if backup else ""}
    offered = {
        key: of_type.get(key) or getattr(primary, key) or (getattr(cloud_, key) if cloud_ else "")
        for key in ("server_type", "location", "image")
    }
    own = {
        "name": drill_server_name(inventory.cluster),
        "role": "copy",
        "private_ip": LOOPBACK,
        "address": address,
        "ssh": inventory.ssh,
        "machine": inventory.machine,
        "restore": None,
    }
    return primary.model_copy(update=own | offered)


def drill_inventory(inventory: Inventory, node: Node, repository: int = 1) -> Inventory:
    """The inventory with the drill's node and one repository, with its read-only keys if there are
    any."""
    backup = inventory.backup
    if backup is not None:
        chosen = dict(backup.repositories)[repository].with_read_key()
        backup = backup.model_copy(update={"repository": chosen, "second_repository": None})
    return inventory.model_copy(update={"nodes": (*inventory.nodes, node), "backup": backup})


def machine_tiers(inventory: Inventory, node: Node, owner: str) -> tuple[Tier, ...]:
    """The host: a server that is labelled as `owner`'s drill, or an empty host."""
    context = PlanContext.declared(inventory, node)
    on, target_instance = context.on, context.instance
    claim = ClaimFile(on=on, cluster=inventory.cluster, node=on, instance=target_instance)
    return _non_empty(
        *cloud.temporary_server(inventory, node, {DRILL_LABEL: owner}),
        Tier("identity", tuple(host.identity(context))),
        Tier("empty host", tuple(copied.empty_host(context))),
        Tier("first boot", (FirstBoot(on=on), DiskSpaceCheck(on=on))),
        Tier("claim file", (claim,)),
        cloud.host_key_rotation(inventory, (node,)),
    )


def package_tiers(inventory: Inventory, node: Node) -> tuple[Tier, ...]:
    """PostgreSQL, pgBackRest and its configuration."""
    context = PlanContext.declared(inventory, node)
    return _non_empty(
        Tier("package repository", tuple(system.repository(context))),
        Tier("packages", tuple(host.packages(context))),
        Tier("configuration directory", tuple(_directories(context))),
        Tier("pgBackRest configuration", tuple(copied.configuration(context))),
        Tier("PostgreSQL configuration", tuple(_configuration(context))),
    )


def copy_tiers(inventory: Inventory, node: Node, target: RecoveryTarget) -> tuple[Tier, ...]:
    """The data as they were at `target`, and a server that runs with them."""
    target_instance, stanza = (
        instance(inventory),
        inventory.backup.stanza if inventory.backup else "",
    )
    return (
        Tier(
            "restore",
            (
                RestoredDataDirectory(
                    on=node.name, instance=target_instance, stanza=stanza, target=target
                ),
            ),
        ),
        Tier(
            "PostgreSQL service",
            (
                Unit(
                    on=node.name,
                    unit=target_instance.unit,
                    drop_ins=(drop_in_path(target_instance),),
                ),
            ),
        ),
    )


def integrity_tiers(inventory: Inventory, node: Node) -> tuple[Tier, ...]:
    """Every page and index, read once; the server is stopped after it."""
    checks = Integrity(
        on=node.name,
        instance=instance(inventory),
        checksums=inventory.postgres.data_checksums,
        jobs=inventory.backup.process_max if inventory.backup else 1,
    )
    return (Tier("integrity", (checks,)),)


def removal_tiers(inventory: Inventory, node: Node, reachable: bool = False) -> tuple[Tier, ...]:
    """Delete the drill's server with its pin and secret; on a host of the inventory, only the copy.

    A label proves nothing: `reachable` means that the server's identity is checked first.
    """
    cluster, on = inventory.cluster, node.name
    if node.address is not None:
        jobs = (restore.RESTORE_UNIT, integrity.INTEGRITY_UNIT)
        target_instance = instance(inventory)
        cleanup = DrillCleanup(on=on, cluster=cluster, node=on, instance=target_instance, jobs=jobs)
        return (Tier("deletion", (cleanup,)),)
    server = DeletedResource(
        cluster=cluster, collection="servers", object_name=on, required_label=DRILL_LABEL
    )
    key = cloud.bootstrap_host_key(inventory, on, absent=True)
    context = PlanContext.declared(inventory, node)
    identity = tuple(host.identity(context, for_deletion=True)) if reachable else ()
    return _non_empty(
        Tier("identity", identity), Tier("deletion", (server,)), Tier("host keys", (key,))
    )


def _directories(context: PlanContext) -> Iterator[Resource]:
    for path in (PGPROVISION_DIRECTORY, TLS):
        yield Directory(on=context.on, path=path)
    yield from replica.config_directory(context)
    yield from host.unit_drop_in(context)


def _configuration(context: PlanContext) -> Iterator[Resource]:
    """The inventory's settings that PostgreSQL needs to open the data, and no others."""
    inventory, node, query = context.inventory, context.node, context.snapshot
    postgres = inventory.postgres
    needed = {
        n: v for n, v in postgres.settings.items() if n.lower() in REQUIRED_SETTINGS or "." in n
    }
    yield PostgresqlConf(
        on=node.name,
        snapshot=query,
        render=partial(render, "postgresql.conf.j2", inventory.folder),
        node=node.name,
        overrides=needed,
        fixed=(
            ConfSetting("archive_mode", "off", "the drill's: a drill never archives"),
            ConfSetting("archive_command", "", "the drill's"),
        ),
        preload_libraries=features.preload_libraries(context),
        memory=node.machine.memory,
        cores=node.machine.cores,
        disk=node.machine.disk,
    )
    sections = pg_hba_sections(replication_role=postgres.replication.role, replicas=[], access=[])
    yield PgHba(
        on=node.name,
        snapshot=query,
        render=partial(render, "pg_hba.conf.j2", inventory.folder),
        sections=tuple(sections),
        required_logins=(RequiredLogin("the drill's checks", "postgres", "postgres", "peer"),),
    )


def _non_empty(*tiers: Tier) -> tuple[Tier, ...]:
    filled: Iterable[Tier] = (tier for tier in tiers if tier.resources)
    return tuple(filled)
