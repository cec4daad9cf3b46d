"""A server in the API's shape, its live state included."""

from pgprovision.lab.cloud import (
    firewall_targets,
    placement_groups,
    primary_ips,
    private_interfaces,
)
from pgprovision.lab.cloud.catalog import IMAGES, LOCATIONS, pick, server_types
from pgprovision.lab.cloud.project import World
from pgprovision.lab.cloud.store import Doc
from pgprovision.lab.hypervisor import HypervisorError

_PASSING = {
    "create_server": "initializing",
    "start_server": "starting",
    "stop_server": "stopping",
    "delete_server": "deleting",
    "rebuild_server": "rebuilding",
}


def status(world: World, server: Doc) -> str:
    """What an unfinished action makes of it, else whether the machine has power right now."""
    for action in world.running("server", server["id"]):
        if passing := _PASSING.get(action["command"]):
            return passing
    if not server["made"]:
        return "off"
    try:
        return "running" if world.hypervisor.running(server["id"]) else "off"
    except HypervisorError:
        return "unknown"


def view(world: World, server: Doc) -> Doc:
    group = server["placement_group"]
    server_type = pick(server_types(world.settings), server["server_type"])
    return {
        "id": server["id"],
        "name": server["name"],
        "status": status(world, server),
        "created": server["created"],
        "public_net": _public_net(world, server),
        "private_net": [
            {name: seat[name] for name in ("network", "ip", "alias_ips", "mac_address")}
            for seat in private_interfaces.settled(world, server)
        ],
        "server_type": server_type,
        "location": pick(LOCATIONS, server["location"]),
        "image": pick(IMAGES, server["image"]),
        "iso": None,
        "rescue_enabled": False,
        "locked": world.held("server", server["id"]),
        "backup_window": None,
        "outgoing_traffic": 0,
        "ingoing_traffic": 0,
        "included_traffic": _included_traffic(server_type, server["location"]),
        "protection": server["protection"],
        "labels": server["labels"],
        "volumes": [],
        "load_balancers": [],
        "primary_disk_size": server["primary_disk_size"],
        "placement_group": placement_groups.view(world, world.find("placement_group", group))
        if group
        else None,
    }


def _included_traffic(server_type: Doc | None, location: str) -> int:
    prices = server_type["prices"] if server_type else []
    return next((p["included_traffic"] for p in prices if p["location"] == location), 0)


def _public_net(world: World, server: Doc) -> Doc:
    addresses = {
        address["type"]: {"id": address["id"], "ip": address["ip"], "blocked": False}
        for address in world.all("primary_ip")
        if address["assignee_id"] == server["id"]
    }
    ipv4, ipv6 = addresses.get("ipv4"), addresses.get("ipv6")
    return {
        "ipv4": ipv4 and ipv4 | {"dns_ptr": primary_ips.hostname(str(ipv4["ip"]))},
        "ipv6": ipv6 and ipv6 | {"dns_ptr": []},
        "floating_ips": [],
        "firewalls": [
            {"id": firewall["id"], "status": _firewall_status(world, server, firewall)}
            for firewall in firewall_targets.of_server(world, server["id"])
        ],
    }


def _firewall_status(world: World, server: Doc, firewall: Doc) -> str:
    ref = {"id": firewall["id"], "type": "firewall"}
    running = world.running("server", server["id"])
    busy = any(a["command"] == "apply_firewall" and ref in a["resources"] for a in running)
    return "pending" if busy or not server["made"] else "applied"
