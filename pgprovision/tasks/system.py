"""The operating system under PostgreSQL, as the runbook has it: who may reach it, kernel, SSH,
upgrades, clock, journal, comforts.

Read it from top to bottom: each function is one step, in the order it is done.
"""

from collections.abc import Iterator
from ipaddress import ip_network

from pgprovision.inventory.model import Inventory, Node
from pgprovision.model import Resource
from pgprovision.render import render
from pgprovision.resources.file import File
from pgprovision.resources.nftables import HostFirewall, Opening
from pgprovision.resources.packages import PackageSet
from pgprovision.resources.unit import Unit

UNITS = "/etc/systemd/system"


def packages(inventory: Inventory, node: Node) -> Iterator[Resource]:
    """What the steps below need."""
    names = ("nftables",) if inventory.host.firewall else ()
    yield PackageSet(on=node.name, title="what the host needs", names=names)


def firewall(inventory: Inventory, node: Node) -> Iterator[Resource]:
    """B7: shut before PostgreSQL is there; SSH as declared, 5432 for nodes and hba ranges."""
    if inventory.host.firewall:
        openings = tuple(_openings(inventory, node))
        text = render("nftables.conf.j2", inventory.folder, openings=openings)
        yield HostFirewall(on=node.name, text=text, ssh=openings[0])


def firewall_at_boot(inventory: Inventory, node: Node) -> Iterator[Resource]:
    """B7: up before the network is, at every boot."""
    if inventory.host.firewall:
        unit = "pgprovision-firewall.service"
        text = render(f"{unit}.j2", inventory.folder)
        yield File(on=node.name, path=f"{UNITS}/{unit}", content=text)
        yield Unit(on=node.name, unit=unit)


def _openings(inventory: Inventory, node: Node) -> Iterator[Opening]:
    """SSH first. On its usual port, too: behind a NAT the port that we dial is another."""
    yield Opening("SSH", tuple(sorted({22, node.ssh.port})), inventory.host.ssh_source_ips)
    others = [ip_network(other.private_ip) for other in inventory.nodes if other != node]
    declared = [address for rule in inventory.postgres.hba for address in rule.addresses]
    yield Opening("PostgreSQL", (inventory.postgres.port,), (*others, *declared))
    for extra in inventory.host.open_ports:
        yield Opening(extra.purpose, (extra.port,), extra.source_ips, extra.protocol)
