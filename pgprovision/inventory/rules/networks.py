"""What is wrong between addresses, networks, locations and ports."""

from ipaddress import IPv4Address

from pgprovision.inventory.problems import KeyPath, Problems
from pgprovision.inventory.schema.cluster import HetznerSpec, Inventory

HETZNER_GATEWAY = IPv4Address(
    "172.31.1.1"
)  # Hetzner's gateway on the public side, reserved everywhere
NETWORK_ZONES = {
    "fsn1": "eu-central",
    "nbg1": "eu-central",
    "hel1": "eu-central",
    "ash": "us-east",
    "hil": "us-west",
    "sin": "ap-southeast",
}


def check_networks(inventory: Inventory) -> Problems:
    """By key path."""
    for check in (_networks, _firewall_rules, _ports, _hba_addresses):
        yield from check(inventory)


def _networks(inventory: Inventory) -> Problems:
    hetzner = inventory.hetzner
    if hetzner is None:
        return
    yield from _subnet(hetzner)
    if not hetzner.ipv4:
        yield (
            ("hetzner", "ipv4"),
            "not supported: package archives and object storage do not all answer over IPv6, and "
            "cloud-init waits minutes for those that do not; expected true",
            "ipv4: true",
        )
    network = hetzner.network
    reserved_addresses = {
        network.ip_range.network_address: "the network's own",
        network.gateway: "the gateway's",
        network.ip_range.broadcast_address: "the range's broadcast",
        network.subnet.network_address: "the subnet's own",
        network.subnet.broadcast_address: "the subnet's broadcast",
        HETZNER_GATEWAY: "reserved by Hetzner",
    }
    used = reserved_addresses.keys() | {node.private_ip for node in inventory.nodes}
    free = next((ip for ip in network.subnet.hosts() if ip not in used), "")
    for index, node in enumerate(inventory.nodes):
        at: KeyPath = ("nodes", index, "private_ip")
        if node.address is not None:
            continue
        zone = NETWORK_ZONES.get(node.location, network.network_zone)
        if node.location != hetzner.location and zone != network.network_zone:
            yield (
                ("nodes", index, "location"),
                f"{node.location} is in zone {zone}, the cluster's network in "
                f"{network.network_zone}: a private network never spans zones, and every commit "
                f"and backup would cross a continent; "
                f"expected {_locations_in(network.network_zone)}",
                f"location: {hetzner.location}",
            )
        if node.private_ip not in network.subnet:
            text = f"{node.private_ip}: expected an address inside {network.subnet}"
            yield at, text, f"private_ip: {free}"
        elif node.private_ip in reserved_addresses:
            yield (
                at,
                f"{node.private_ip} is {reserved_addresses[node.private_ip]} address; "
                f"expected another of {network.subnet}",
                f"private_ip: {free}",
            )


def _ports(inventory: Inventory) -> Problems:
    """Ports of a host that two would listen on."""
    port = inventory.postgres.port
    at: list[tuple[KeyPath, int]] = [(("ssh", "port"), inventory.ssh.port)]
    at += [(("nodes", i, "ssh", "port"), node.ssh.port) for i, node in enumerate(inventory.nodes)]
    for loc, taken in at:
        if taken == port:
            yield loc, f"{port} is PostgreSQL's port; expected another", "port: 22"


def _hba_addresses(inventory: Inventory) -> Problems:
    """A password is the last wall, not the only one."""
    for i, rule in enumerate(inventory.postgres.hba):
        for j, network in enumerate(rule.addresses):
            if not network.prefixlen:
                yield (
                    ("postgres", "hba", i, "addresses", j),
                    f"{network} is everybody; expected the networks that clients come from",
                    "- 10.0.0.0/16",
                )


def _firewall_rules(inventory: Inventory) -> Problems:
    """Two firewalls stand before a port: what one lets in, the other has to as well."""
    host = inventory.host
    open_on_host = {(extra.protocol, extra.port) for extra in host.open_ports}
    for index, rule in enumerate(inventory.hetzner.firewall.rules if inventory.hetzner else ()):
        if host.firewall and rule.port and (rule.protocol, rule.port) not in open_on_host:
            yield (
                ("hetzner", "firewall", "rules", index, "port"),
                f"{rule.port}/{rule.protocol} is closed in the host's firewall; expected it "
                "under host.open_ports too",
            )


def _locations_in(zone: str) -> str:
    return " or ".join(sorted(place for place, where in NETWORK_ZONES.items() if where == zone))


def _subnet(hetzner: HetznerSpec) -> Problems:
    network = hetzner.network
    at = ("hetzner", "network")
    if not network.subnet.subnet_of(network.ip_range):
        yield (*at, "subnet"), f"{network.subnet}: expected a part of {network.ip_range}"
    for name in ("ip_range", "subnet"):
        if getattr(network, name).prefixlen > 24:
            yield (*at, name), "too small; expected a prefix length of at most 24"
    zone = NETWORK_ZONES.get(hetzner.location, network.network_zone)
    if zone != network.network_zone:
        text = f"expected {zone}, the zone of location {hetzner.location}"
        yield (*at, "network_zone"), text, f"network_zone: {zone}"
