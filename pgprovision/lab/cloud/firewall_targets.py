"""Which servers a firewall reaches, which rules a server gets, and telling the machines."""

from pgprovision.lab.cloud.firewall_rules import compile_rules
from pgprovision.lab.cloud.labels import parse_selector
from pgprovision.lab.cloud.project import World
from pgprovision.lab.cloud.store import Doc
from pgprovision.lab.hypervisor import Rule


def matched_by(world: World, resource: Doc) -> list[int]:
    """The servers that one entry of `applied_to` stands for."""
    if resource["type"] == "server":
        return [resource["server"]["id"]]
    matches = parse_selector(resource["label_selector"]["selector"])
    return [server["id"] for server in world.all("server") if matches(server["labels"])]


def reached_by(world: World, firewall: Doc) -> list[int]:
    return sorted({i for r in firewall["applied_to"] for i in matched_by(world, r)})


def of_server(world: World, server: int) -> list[Doc]:
    return [fw for fw in world.all("firewall") if server in reached_by(world, fw)]


def rules_for(world: World, server: int) -> tuple[Rule, ...] | None:
    """What the server's machine shall enforce: the union over its firewalls, None without any."""
    firewalls = of_server(world, server)
    return compile_rules([r for fw in firewalls for r in fw["rules"]]) if firewalls else None


def refresh(world: World, command: str, firewall: Doc, servers: list[int]) -> list[Doc]:
    """Begin one action per server; queued behind whatever the server does, but not locking it."""
    ref = ("firewall", firewall["id"])
    return [world.begin(command, ("server", ident), ref, holds=[ref]) for ident in servers]


def begin_on(world: World, command: str, firewall: Doc, resource: Doc) -> list[Doc]:
    """Actions for one entry of `applied_to`; a selector that matches nobody has one of its own."""
    servers = matched_by(world, resource)
    if not servers:
        return [world.instant(command, ("firewall", firewall["id"]))]
    return refresh(world, command, firewall, servers)


def relabelled(world: World, server: int, before: list[Doc]) -> None:
    """Follow label selectors after a server got other labels; `before` is what reached it."""
    after = of_server(world, server)
    for firewall in after:
        if firewall not in before:
            refresh(world, "apply_firewall", firewall, [server])
    for firewall in before:
        if firewall not in after:
            refresh(world, "remove_firewall", firewall, [server])


def forget(world: World, server: int) -> None:
    """Take a deleted server out of every firewall."""
    resource = {"type": "server", "server": {"id": server}}
    for firewall in world.all("firewall"):
        if resource in firewall["applied_to"]:
            firewall["applied_to"].remove(resource)
            world.save("firewall", firewall)
