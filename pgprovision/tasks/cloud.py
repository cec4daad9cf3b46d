"""The cloud around a cluster: network, placement, firewall, keys, a server per node."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Protocol

from pgprovision.engine.model import Answer, Probe, Resource, Tier
from pgprovision.inventory.schema.cluster import CloudFirewall, HetznerSpec, Inventory, Node
from pgprovision.inventory.topology import Topology
from pgprovision.resources.hetzner.firewall import Firewall, FirewallRule, ssh_rule
from pgprovision.resources.hetzner.hetzner_resource import HetznerResource
from pgprovision.resources.hetzner.host_key import HostKey
from pgprovision.resources.hetzner.host_key_rotation import RotatedHostKey, RotatedHostKeyPin
from pgprovision.resources.hetzner.network import HetznerNetwork
from pgprovision.resources.hetzner.node_registry import NodeRegistry
from pgprovision.resources.hetzner.placement_group import PlacementGroup
from pgprovision.resources.hetzner.server import Server
from pgprovision.resources.hetzner.ssh_key import SshKey, fingerprint
from pgprovision.server_offers import Quote, ServerCatalog, ServerRequest
from pgprovision.tasks.context import NO_INTENTS, PlanContext
from pgprovision.tasks.intent import Intent, Rebuild, Resize


class ReadOnlyCloud(Protocol):
    """The Hetzner project, read only."""

    def observe(self, probes: Sequence[Probe]) -> Mapping[Probe, Answer]: ...


def server_tiers(inventory: Inventory, nodes: Sequence[Node]) -> tuple[Tier, ...]:
    """What these nodes need at Hetzner; nothing for nodes that exist already."""
    cloud = inventory.hetzner
    ours = _cloud_nodes(nodes)
    if cloud is None or not ours:
        return ()
    keys = {node.name: bootstrap_host_key(inventory, node.name) for node in ours}
    return (
        Tier("host keys", tuple(keys.values()), phase="machine"),
        Tier(
            "cloud",
            (
                *_shared_resources(inventory, cloud),
                *(_server(inventory, cloud, node, keys[node.name]) for node in ours),
            ),
            phase="machine",
        ),
    )


def declared_server(context: PlanContext) -> Iterator[Resource]:
    """The node's server by itself: its type is changed where that is this run's intent."""
    inventory, cloud = context.inventory, context.inventory.hetzner
    if cloud is None or context.node.address is not None:
        return
    key = bootstrap_host_key(inventory, context.on)
    allow_resize = isinstance(context.intent, Resize)
    yield _server(inventory, cloud, context.node, key, allow_resize=allow_resize)


def host_key_rotation(inventory: Inventory, nodes: Sequence[Node]) -> Tier:
    """After the first connection, each server gets a host key that only it has."""
    ours = _cloud_nodes(nodes) if inventory.hetzner else ()
    bootstrap_keys = [bootstrap_host_key(inventory, node.name) for node in ours]
    return Tier(
        "host key rotation",
        (
            *(RotatedHostKey(on=key.node, bootstrap_key=key) for key in bootstrap_keys),
            *(RotatedHostKeyPin(bootstrap_key=key) for key in bootstrap_keys),
        ),
        phase="machine",
    )


def node_registry(
    inventory: Inventory,
    nodes: Sequence[Node],
    topology: Topology | None = None,
    intents: Mapping[str, Intent] = NO_INTENTS,
) -> Tier:
    """The record of finished nodes: a server that had data is only created again where that is a
    node's intent. `topology`: the declared one if not given."""
    primary = (topology or Topology.declared(inventory)).primary
    ours = _cloud_nodes(nodes)
    if inventory.hetzner is None or not ours:
        return Tier("node registry", ())
    registry = NodeRegistry(
        cluster=inventory.cluster,
        object_name=inventory.hetzner.placement_group,
        host_keys=tuple(bootstrap_host_key(inventory, node.name) for node in ours),
        primary=primary.name if primary in ours else "",
        rebuilding=any(isinstance(intents.get(node.name), Rebuild) for node in ours),
    )
    return Tier("node registry", (registry,))


def temporary_server(
    inventory: Inventory, node: Node, extra_labels: Mapping[str, str]
) -> tuple[Tier, ...]:
    """A temporary server: labelled as such, in no group and no private network, unprotected."""
    if inventory.hetzner is None or node.address is not None:
        return ()
    key = bootstrap_host_key(inventory, node.name)
    server = replace(
        _server(inventory, inventory.hetzner, node, key),
        private_ip="",
        placement_group="",
        protection=False,
        extra_labels=tuple(extra_labels.items()),
    )
    return Tier("host keys", (key,)), Tier("cloud", (server,))


def server_quote(cloud: ReadOnlyCloud | None, inventory: Inventory, nodes: Sequence[Node]) -> Quote:
    """The servers that are to be created, with prices; no request where there are none.

    Raises CloudError where Hetzner does not answer.
    """
    ours = _cloud_nodes(nodes)
    if cloud is None or inventory.hetzner is None or not ours:
        return Quote()
    servers = Probe("servers")
    existing = {item["name"] for item in cloud.observe((servers,))[servers].items}
    missing = [node for node in ours if node.name not in existing]
    if not missing:
        return Quote()
    probes = (
        Probe("server_types"),
        Probe("images?type=system"),
        Probe("locations"),
        Probe("pricing"),
    )
    answers = cloud.observe(probes)
    types, images, locations, (pricing,) = (answers[probe].items for probe in probes)
    zone = inventory.hetzner.network.network_zone
    return ServerCatalog(types, images, locations, pricing).quote(
        ServerRequest(node.name, node.server_type, node.location, node.image, zone)
        for node in missing
    )


def _cloud_nodes(nodes: Sequence[Node]) -> tuple[Node, ...]:
    return tuple(node for node in nodes if node.address is None)


def bootstrap_host_key(inventory: Inventory, node: str, *, absent: bool = False) -> HostKey:
    """The first host key of a node's server. `absent`: it is deleted, with its pin."""
    secrets = inventory.secrets_folder
    return HostKey(
        cluster=inventory.cluster,
        node=node,
        folder=str(secrets / "host_keys"),
        known_hosts=str(secrets / "known_hosts"),
        absent=absent,
    )


def _shared_resources(inventory: Inventory, cloud: HetznerSpec) -> tuple[HetznerResource, ...]:
    """Network, placement group, firewall and SSH keys of all servers."""
    cluster, network, firewall = inventory.cluster, cloud.network, cloud.firewall
    return (
        HetznerNetwork(
            cluster=cluster,
            object_name=network.name,
            ip_range=str(network.ip_range),
            subnet=str(network.subnet),
            zone=network.network_zone,
            existing=network.existing,
        ),
        PlacementGroup(
            cluster=cluster,
            object_name=cloud.placement_group,
            size=len(_cloud_nodes(inventory.nodes)),
        ),
        Firewall(cluster=cluster, object_name=firewall.name, rules=_rules(firewall)),
        *(
            SshKey(cluster=cluster, object_name=key.name, public_key=key.public_key)
            for key in cloud.ssh_keys
        ),
    )


def _rules(firewall: CloudFirewall) -> tuple[FirewallRule, ...]:
    """SSH first, then what else the inventory lets in."""
    extra = (
        FirewallRule(
            "in",
            rule.protocol,
            tuple(map(str, rule.source_ips)),
            str(rule.port) if rule.port else None,
            rule.purpose,
        )
        for rule in firewall.rules
    )
    return ssh_rule(map(str, firewall.ssh_source_ips)), *extra


def _server(
    inventory: Inventory,
    cloud: HetznerSpec,
    node: Node,
    key: HostKey,
    *,
    allow_resize: bool = False,
) -> Server:
    return Server(
        cluster=inventory.cluster,
        object_name=node.name,
        server_type=node.server_type,
        image=node.image,
        location=node.location,
        network=cloud.network.name,
        private_ip=str(node.private_ip),
        placement_group=cloud.placement_group,
        firewall=cloud.firewall.name,
        ssh_keys=tuple(fingerprint(key.public_key) for key in cloud.ssh_keys),
        protection=cloud.protection,
        host_key=key,
        allow_resize=allow_resize,
    )
