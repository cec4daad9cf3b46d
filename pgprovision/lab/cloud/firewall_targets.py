"""Which servers a firewall reaches, which rules a server gets, and telling the machines."""

from pgprovision.lab.cloud.firewall_rules import compile_rules
from pgprovision.lab.cloud.labels import parse_selector
from pgprovision.lab.cloud.project import CloudProject
from pgprovision.lab.cloud.store import Doc
from pgprovision.lab.hypervisor import LabFirewallRule


def servers_matching(project: CloudProject, resource: Doc) -> list[int]:
    """The servers that one entry of `applied_to` stands for."""
    if resource["type"] == "server":
        return [resource["server"]["id"]]
    matches = parse_selector(resource["label_selector"]["selector"])
    return [server["id"] for server in project.list_all("server") if matches(server["labels"])]


def servers_reached(project: CloudProject, firewall: Doc) -> list[int]:
    return sorted({i for r in firewall["applied_to"] for i in servers_matching(project, r)})


def firewalls_of(project: CloudProject, server: int) -> list[Doc]:
    return [fw for fw in project.list_all("firewall") if server in servers_reached(project, fw)]


def rules_for(project: CloudProject, server: int) -> tuple[LabFirewallRule, ...] | None:
    """What the server's machine shall enforce: the union over its firewalls, None without any."""
    firewalls = firewalls_of(project, server)
    return compile_rules([r for fw in firewalls for r in fw["rules"]]) if firewalls else None


def begin_refresh(
    project: CloudProject, command: str, firewall: Doc, servers: list[int]
) -> list[Doc]:
    """Begin one action per server; queued behind whatever the server does, but not locking it."""
    ref = ("firewall", firewall["id"])
    return [project.begin_action(command, ("server", ident), ref, locks=[ref]) for ident in servers]


def begin_for_target(
    project: CloudProject, command: str, firewall: Doc, resource: Doc
) -> list[Doc]:
    """Actions for one entry of `applied_to`; a selector that matches nobody has one of its own."""
    servers = servers_matching(project, resource)
    if not servers:
        return [project.finished_action(command, ("firewall", firewall["id"]))]
    return begin_refresh(project, command, firewall, servers)


def follow_label_change(project: CloudProject, server: int, before: list[Doc]) -> None:
    """Follow label selectors after a server got other labels; `before` is what reached it."""
    after = firewalls_of(project, server)
    for firewall in after:
        if firewall not in before:
            begin_refresh(project, "apply_firewall", firewall, [server])
    for firewall in before:
        if firewall not in after:
            begin_refresh(project, "remove_firewall", firewall, [server])


def remove_server(project: CloudProject, server: int) -> None:
    """Take a deleted server out of every firewall."""
    resource = {"type": "server", "server": {"id": server}}
    for firewall in project.list_all("firewall"):
        if resource in firewall["applied_to"]:
            firewall["applied_to"].remove(resource)
            project.save("firewall", firewall)
