"""The cloud around a cluster: network, placement, firewall, keys, a server per node."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Protocol

from pgprovision.engine.model import Answer, Ask, Tier
from pgprovision.inventory.schema.cluster import CloudFirewall, Hetzner, Inventory, Node
from pgprovision.resources.hetzner.firewall import Firewall, Rule, ssh
from pgprovision.resources.hetzner.hetzner_resource import CloudObject
from pgprovision.resources.hetzner.host_key import HostKey
from pgprovision.resources.hetzner.host_key_rotation import OwnHostKey, OwnPin
from pgprovision.resources.hetzner.network import Network
from pgprovision.resources.hetzner.node_registry import KnownNodes
from pgprovision.resources.hetzner.placement_group import PlacementGroup
from pgprovision.resources.hetzner.server import Server
from pgprovision.resources.hetzner.ssh_key import SshKey, fingerprint
from pgprovision.server_offers import Quote, Shelf, Wish


class Looker(Protocol):
    """The cloud, to look at."""

    def look(self, asks: Sequence[Ask]) -> Mapping[Ask, Answer]: ...


def cloud_tiers(inventory: Inventory, nodes: Sequence[Node]) -> tuple[Tier, ...]:
    """What these nodes need at Hetzner; nothing for nodes that exist already."""
    cloud = inventory.hetzner
    ours = _made_by_us(nodes)
    if cloud is None or not ours:
        return ()
    keys = {node.name: host_key(inventory, node.name) for node in ours}
    return (
        Tier("host keys", tuple(keys.values())),
        Tier(
            "cloud",
            (
                *_surroundings(inventory, cloud),
                *(_server(inventory, cloud, node, keys[node.name]) for node in ours),
            ),
        ),
    )


def host_keys(inventory: Inventory, nodes: Sequence[Node]) -> Tier:
    """The first contact is over; each server takes a host key that is only its own."""
    ours = _made_by_us(nodes) if inventory.hetzner else ()
    born = [host_key(inventory, node.name) for node in ours]
    return Tier(
        "host keys of their own",
        (*(OwnHostKey(on=key.node, born=key) for key in born), *(OwnPin(born=key) for key in born)),
    )


def known(inventory: Inventory, nodes: Sequence[Node]) -> Tier:
    """What is finished is remembered: a server that held data is never made anew by itself."""
    ours = _made_by_us(nodes)
    if inventory.hetzner is None or not ours:
        return Tier("known nodes", ())
    wish = KnownNodes(
        cluster=inventory.cluster,
        called=inventory.hetzner.placement_group,
        host_keys=tuple(host_key(inventory, node.name) for node in ours),
        primary=inventory.primary.name if inventory.primary in ours else "",
    )
    return Tier("known nodes", (wish,))


def throw_away(inventory: Inventory, node: Node, marks: Mapping[str, str]) -> tuple[Tier, ...]:
    """A server for a while: labelled as such, in no group and no private network, unprotected."""
    if inventory.hetzner is None or node.address is not None:
        return ()
    key = host_key(inventory, node.name)
    made = replace(
        _server(inventory, inventory.hetzner, node, key),
        private_ip="",
        placement_group="",
        protection=False,
        marks=tuple(marks.items()),
    )
    return Tier("host keys", (key,)), Tier("cloud", (made,))


def preflight(cloud: Looker, inventory: Inventory, nodes: Sequence[Node]) -> Quote:
    """What the servers that are still to be made will be, with prices; no call where none is.

    Raises CloudError where Hetzner does not answer.
    """
    ours = _made_by_us(nodes)
    if inventory.hetzner is None or not ours:
        return Quote()
    servers = Ask("servers")
    there = {item["name"] for item in cloud.look((servers,))[servers].items}
    missing = [node for node in ours if node.name not in there]
    if not missing:
        return Quote()
    asks = Ask("server_types"), Ask("images?type=system"), Ask("locations"), Ask("pricing")
    seen = cloud.look(asks)
    types, images, locations, (pricing,) = (seen[ask].items for ask in asks)
    zone = inventory.hetzner.network.network_zone
    return Shelf(types, images, locations, pricing).quote(
        Wish(node.name, node.server_type, node.location, node.image, zone) for node in missing
    )


def _made_by_us(nodes: Sequence[Node]) -> tuple[Node, ...]:
    return tuple(node for node in nodes if node.address is None)


def host_key(inventory: Inventory, node: str) -> HostKey:
    """The key a node's server is born with."""
    secrets = inventory.secrets_folder
    return HostKey(
        cluster=inventory.cluster,
        node=node,
        folder=str(secrets / "host_keys"),
        known_hosts=str(secrets / "known_hosts"),
    )


def _surroundings(inventory: Inventory, cloud: Hetzner) -> tuple[CloudObject, ...]:
    """What the servers share."""
    cluster, network, firewall = inventory.cluster, cloud.network, cloud.firewall
    return (
        Network(
            cluster=cluster,
            called=network.name,
            ip_range=str(network.ip_range),
            subnet=str(network.subnet),
            zone=network.network_zone,
            existing=network.existing,
        ),
        PlacementGroup(
            cluster=cluster,
            called=cloud.placement_group,
            size=len(_made_by_us(inventory.nodes)),
        ),
        Firewall(cluster=cluster, called=firewall.name, rules=_rules(firewall)),
        *(
            SshKey(cluster=cluster, called=key.name, public_key=key.public_key)
            for key in cloud.ssh_keys
        ),
    )


def _rules(firewall: CloudFirewall) -> tuple[Rule, ...]:
    """SSH first, then what the inventory lets in besides."""
    extra = (
        Rule(
            "in",
            rule.protocol,
            tuple(map(str, rule.source_ips)),
            str(rule.port) if rule.port else None,
            rule.purpose,
        )
        for rule in firewall.rules
    )
    return ssh(map(str, firewall.ssh_source_ips)), *extra


def _server(inventory: Inventory, cloud: Hetzner, node: Node, key: HostKey) -> Server:
    return Server(
        cluster=inventory.cluster,
        called=node.name,
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
    )
