"""What no single key can know: names that refer to each other, addresses, counts, duties."""

import os
from collections.abc import Iterable
from ipaddress import IPv4Address
from pathlib import Path

from pgprovision.inventory import access
from pgprovision.inventory.complaint import Found, Loc, closest, nearest
from pgprovision.inventory.examples import line
from pgprovision.inventory.model import Hetzner, Inventory, Ssh
from pgprovision.inventory.policy import secrets, settings

SPREAD = 10  # servers in one spread placement group, by Hetzner's documentation
GATEWAY = IPv4Address("172.31.1.1")  # Hetzner's gateway on the public side, reserved everywhere
SLOT_NAME = 51  # of the 63 characters of a slot's name, pgprovision_ takes 12
ZONES = {
    "fsn1": "eu-central",
    "nbg1": "eu-central",
    "hel1": "eu-central",
    "ash": "us-east",
    "hil": "us-west",
    "sin": "ap-southeast",
}
_PRIVILEGES = {
    "database": {"CREATE", "CONNECT", "TEMPORARY", "TEMP"},
    "schema": {"CREATE", "USAGE"},
    "tables": {"SELECT", "INSERT", "UPDATE", "DELETE", "TRUNCATE", "REFERENCES", "TRIGGER"},
    "sequences": {"SELECT", "USAGE", "UPDATE"},
    "functions": {"EXECUTE"},
}


def checked(inventory: Inventory) -> Found:
    """Everything wrong between the parts of a well-typed inventory, by key path."""
    checks = (
        _nodes,
        _replicas,
        _networks,
        _ports,
        _reach,
        _rules,
        _packages,
        _names,
        _references,
        access.checked,
        _files,
        settings,
        secrets,
    )
    for check in checks:
        yield from check(inventory)


def _nodes(inventory: Inventory) -> Found:
    nodes = inventory.nodes
    primaries = [i for i, node in enumerate(nodes) if node.is_primary]
    if not primaries:
        yield ("nodes",), "no primary; expected `role: primary` in exactly one node file"
    for index in primaries[1:]:
        first = nodes[primaries[0]].name
        yield (
            ("nodes", index, "role"),
            f"a second primary beside {first}; expected role: replica",
            "role: replica",
        )
    for name in ("private_ip", "address"):
        seen: dict[object, str] = {}
        for index, node in enumerate(nodes):
            value = getattr(node, name)
            if value is not None and value in seen:
                yield ("nodes", index, name), f"{value} is already {seen[value]}'s"
            seen.setdefault(value, node.name)
        if name == "address" and not inventory.hetzner:
            for index, node in enumerate(nodes):
                if node.address is None:
                    yield (
                        ("nodes", index, "address"),
                        "missing; expected the existing host's address (no hetzner: makes it)",
                        "address: 192.0.2.10",
                    )
    made = [node for node in nodes if node.address is None]
    if inventory.hetzner and len(made) > SPREAD:
        yield (
            ("hetzner", "placement_group"),
            f"{len(made)} servers in one spread group; expected at most {SPREAD}",
        )


def _replicas(inventory: Inventory) -> Found:
    backup = inventory.backup
    images = {
        node.image or inventory.hetzner.image
        for node in inventory.nodes
        if inventory.hetzner and node.is_primary and node.address is None
    }
    for index, node in enumerate(inventory.nodes):
        if len(node.name) > SLOT_NAME:
            text = f"expected at most {SLOT_NAME} characters: its slot is named after it"
            yield ("nodes", index, "name"), text
        if node.image and node.address is None and images and node.image not in images:
            text = f"expected {min(images)}, the primary's: another release sorts text differently"
            yield ("nodes", index, "image"), text, f"image: {min(images)}"
        if node.seed == "backup" and not (backup and backup.archiving):
            text = "there is no backup to seed from; expected a backup: that archives, or primary"
            yield ("nodes", index, "seed"), text, "seed: primary"


def _networks(inventory: Inventory) -> Found:
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
    taken = {
        network.ip_range.network_address: "the network's own",
        network.gateway: "the gateway's",
        network.ip_range.broadcast_address: "the range's broadcast",
        network.subnet.network_address: "the subnet's own",
        network.subnet.broadcast_address: "the subnet's broadcast",
        GATEWAY: "reserved by Hetzner",
    }
    used = taken.keys() | {node.private_ip for node in inventory.nodes}
    free = next((ip for ip in network.subnet.hosts() if ip not in used), "")
    for index, node in enumerate(inventory.nodes):
        at: Loc = ("nodes", index, "private_ip")
        if node.address is not None:
            continue
        zone = ZONES.get(node.location, network.network_zone)
        if node.location != hetzner.location and zone != network.network_zone:
            yield (
                ("nodes", index, "location"),
                f"{node.location} is in zone {zone}, the cluster's network in "
                f"{network.network_zone}: a private network never spans zones, and every commit "
                f"and backup would cross a continent; expected {_places(network.network_zone)}",
                f"location: {hetzner.location}",
            )
        if node.private_ip not in network.subnet:
            text = f"{node.private_ip}: expected an address inside {network.subnet}"
            yield at, text, f"private_ip: {free}"
        elif node.private_ip in taken:
            yield (
                at,
                f"{node.private_ip} is {taken[node.private_ip]} address; expected another "
                f"of {network.subnet}",
                f"private_ip: {free}",
            )


def _ports(inventory: Inventory) -> Found:
    """Ports of a host that two would listen on."""
    port = inventory.postgres.port
    at: list[tuple[Loc, int]] = [(("ssh", "port"), inventory.ssh.port)]
    at += [(("nodes", i, "ssh", "port"), node.ssh.port) for i, node in enumerate(inventory.nodes)]
    for loc, taken in at:
        if taken == port:
            yield loc, f"{port} is PostgreSQL's; expected another", "port: 22"


def _reach(inventory: Inventory) -> Found:
    """A password is the last wall, not the only one."""
    for i, rule in enumerate(inventory.postgres.hba):
        for j, network in enumerate(rule.addresses):
            if not network.prefixlen:
                yield (
                    ("postgres", "hba", i, "addresses", j),
                    f"{network} is everybody; expected the networks that clients come from",
                    "- 10.0.0.0/16",
                )


def _rules(inventory: Inventory) -> Found:
    """Two firewalls stand before a port: what one lets in, the other has to as well."""
    host = inventory.host
    open_there = {(extra.protocol, extra.port) for extra in host.open_ports}
    for index, rule in enumerate(inventory.hetzner.firewall.rules if inventory.hetzner else ()):
        if host.firewall and rule.port and (rule.protocol, rule.port) not in open_there:
            yield (
                ("hetzner", "firewall", "rules", index, "port"),
                f"{rule.port}/{rule.protocol} is shut by the host's own firewall; expected it "
                "under host.open_ports too",
            )


def _places(zone: str) -> str:
    return " or ".join(sorted(place for place, where in ZONES.items() if where == zone))


def _subnet(hetzner: Hetzner) -> Found:
    network = hetzner.network
    at = ("hetzner", "network")
    if not network.subnet.subnet_of(network.ip_range):
        yield (*at, "subnet"), f"{network.subnet}: expected a part of {network.ip_range}"
    for name in ("ip_range", "subnet"):
        if getattr(network, name).prefixlen > 24:
            yield (*at, name), "too small; expected a prefix length of at most 24"
    zone = ZONES.get(hetzner.location, network.network_zone)
    if zone != network.network_zone:
        text = f"expected {zone}, the zone of location {hetzner.location}"
        yield (*at, "network_zone"), text, f"network_zone: {zone}"


def _packages(inventory: Inventory) -> Found:
    apt = inventory.apt
    if apt.mirror and apt.source != "pgdg":
        text = "is a mirror of PGDG; expected `source: pgdg` beside it"
        yield ("apt", "mirror"), text, f"apt: {{source: pgdg, mirror: {apt.mirror}}}"
    if apt.mirror_key and not apt.mirror:
        yield ("apt", "mirror_key"), "without a mirror; PGDG's own key is known"


def _names(inventory: Inventory) -> Found:
    for kind, names in (("roles", inventory.roles), ("databases", inventory.databases)):
        seen: dict[str, str] = {}
        for name in names:
            if seen.setdefault(name.lower(), name) != name:
                yield (kind, name), f"differs from {seen[name.lower()]} by case only"
    replication = inventory.postgres.replication.role
    if replication in inventory.roles:
        yield (
            ("roles", replication),
            "is the replication role; expected it under postgres.replication only",
        )


def _references(inventory: Inventory) -> Found:
    roles, databases = access.roles(inventory), inventory.databases

    def missing(kind: str, name: str, at: Loc, known: Iterable[str]) -> Found:
        if name not in known:
            text = f"{kind} {name} is not declared under {kind}s{nearest(name, known)}"
            yield at, text, line(at, closest(name, known) or next(iter(known), ""))

    for name, role in inventory.roles.items():
        for i, group in enumerate(role.member_of):
            yield from missing("role", group, ("roles", name, "member_of", i), roles)
    for name, database in databases.items():
        at: Loc = ("databases", name)
        yield from missing("role", database.owner, (*at, "owner"), roles)
        for i, grant in enumerate(database.grants):
            here = (*at, "grants", i)
            yield from missing("role", grant.to, (*here, "to"), roles)
            if grant.created_by:
                yield from missing("role", grant.created_by, (*here, "created_by"), roles)
            known = _PRIVILEGES[grant.on] | {"ALL"}
            for j, privilege in enumerate(grant.privileges):
                if privilege not in known:
                    yield (
                        (*here, "privileges", j),
                        f"{privilege}: {grant.on} has {', '.join(sorted(known))}",
                        f"- {closest(privilege.lower(), known) or min(known - {'ALL'})}",
                    )
    for i, rule in enumerate(inventory.postgres.hba):
        for j, name in enumerate(rule.users):
            yield from missing("role", name, ("postgres", "hba", i, "users", j), roles)
        for j, name in enumerate(rule.databases):
            yield from missing("database", name, ("postgres", "hba", i, "databases", j), databases)


def _files(inventory: Inventory) -> Found:
    named: dict[Loc, Path | None] = {}
    places: list[tuple[Loc, Ssh]] = [(("ssh",), inventory.ssh)]
    places += [(("nodes", i, "ssh"), node.ssh) for i, node in enumerate(inventory.nodes)]
    for at, ssh in places:
        named[(*at, "identity_file")] = ssh.identity_file
        named[(*at, "config")] = ssh.config
    if inventory.backup:
        named[("backup", "repository", "ca_file")] = inventory.backup.repository.ca_file
    for at, path in named.items():
        if path is not None and not _readable(path):
            yield at, f"no readable file {path}"


def _readable(path: Path) -> bool:
    try:
        return path.is_file() and os.access(path, os.R_OK)
    except OSError:  # a name longer than any may be
        return False
