"""A server in the API's shape, its live state included."""

from pgprovision.lab.cloud import (
    firewall_targets,
    placement_groups,
    primary_ips,
    private_interfaces,
)
from pgprovision.lab.cloud.catalog import IMAGES, LOCATIONS, find_by_ref, server_types
from pgprovision.lab.cloud.project import CloudProject
from pgprovision.lab.cloud.store import Doc
from pgprovision.lab.hypervisor import HypervisorError

_TRANSIENT_STATUS = {
    "create_server": "initializing",
    "start_server": "starting",
    "stop_server": "stopping",
    "delete_server": "deleting",
    "rebuild_server": "rebuilding",
}


def status(project: CloudProject, server: Doc) -> str:
    """What an unfinished action makes of it, else whether the machine has power right now."""
    for action in project.running_actions("server", server["id"]):
        if transient := _TRANSIENT_STATUS.get(action["command"]):
            return transient
    if not server["made"]:
        return "off"
    try:
        return "running" if project.hypervisor.is_running(server["id"]) else "off"
    except HypervisorError:
        return "unknown"


def view(project: CloudProject, server: Doc) -> Doc:
    group = server["placement_group"]
    server_type = find_by_ref(server_types(project.settings), server["server_type"])
    return {
        "id": server["id"],
        "name": server["name"],
        "status": status(project, server),
        "created": server["created"],
        "public_net": _public_net(project, server),
        "private_net": [
            {name: interface[name] for name in ("network", "ip", "alias_ips", "mac_address")}
            for interface in private_interfaces.interfaces_present(project, server)
        ],
        "server_type": server_type,
        "location": find_by_ref(LOCATIONS, server["location"]),
        "image": find_by_ref(IMAGES, server["image"]),
        "iso": None,
        "rescue_enabled": False,
        "locked": project.is_locked("server", server["id"]),
        "backup_window": None,
        "outgoing_traffic": 0,
        "ingoing_traffic": 0,
        "included_traffic": _included_traffic(server_type, server["location"]),
        "protection": server["protection"],
        "labels": server["labels"],
        "volumes": [],
        "load_balancers": [],
        "primary_disk_size": server["primary_disk_size"],
        "placement_group": placement_groups.view(project, project.find("placement_group", group))
        if group
        else None,
    }


def _included_traffic(server_type: Doc | None, location: str) -> int:
    prices = server_type["prices"] if server_type else []
    return next((p["included_traffic"] for p in prices if p["location"] == location), 0)


def _public_net(project: CloudProject, server: Doc) -> Doc:
    addresses = {
        address["type"]: {"id": address["id"], "ip": address["ip"], "blocked": False}
        for address in project.list_all("primary_ip")
        if address["assignee_id"] == server["id"]
    }
    ipv4, ipv6 = addresses.get("ipv4"), addresses.get("ipv6")
    return {
        "ipv4": ipv4 and ipv4 | {"dns_ptr": primary_ips.reverse_dns_name(str(ipv4["ip"]))},
        "ipv6": ipv6 and ipv6 | {"dns_ptr": []},
        "floating_ips": [],
        "firewalls": [
            {"id": firewall["id"], "status": _firewall_status(project, server, firewall)}
            for firewall in firewall_targets.firewalls_of(project, server["id"])
        ],
    }


def _firewall_status(project: CloudProject, server: Doc, firewall: Doc) -> str:
    ref = {"id": firewall["id"], "type": "firewall"}
    running = project.running_actions("server", server["id"])
    busy = any(a["command"] == "apply_firewall" and ref in a["resources"] for a in running)
    return "pending" if busy or not server["made"] else "applied"
