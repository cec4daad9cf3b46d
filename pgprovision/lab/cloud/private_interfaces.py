"""A server's places in private networks: attach, detach, alias addresses, members.

A seat is kept in its server's document: network, subnet, ip, alias_ips, mac_address, index, error.
"""

from ipaddress import IPv4Network

from pgprovision.lab.cloud import actions, addresses
from pgprovision.lab.cloud.call import ApiCall, ApiResponse, created_response
from pgprovision.lab.cloud.errors import ApiError, invalid_input
from pgprovision.lab.cloud.lists import paginate, sort_documents
from pgprovision.lab.cloud.project import CloudProject, ObjectRef
from pgprovision.lab.cloud.store import Doc
from pgprovision.lab.hypervisor import PrivateInterface

MAX_NETWORKS = 3
MAX_ALIASES = 5
_CHANGING = {
    "attach_to_network": "attaching",
    "detach_from_network": "detaching",
    "change_alias_ips": "updating",
}


def interfaces_in_network(project: CloudProject, network: int) -> list[tuple[Doc, Doc]]:
    """(server, seat) for everybody in the network, also those on their way in or out."""
    servers = project.list_all("server")
    return [
        (s, interface)
        for s in servers
        for interface in s["private_net"]
        if interface["network"] == network
    ]


def interface_of(server: Doc, network: int) -> Doc | None:
    return next(
        (interface for interface in server["private_net"] if interface["network"] == network), None
    )


def interface_status(project: CloudProject, server: Doc, interface: Doc) -> str:
    """A member's status: ok, attaching, detaching, updating or error."""
    ref = {"id": interface["network"], "type": "network"}
    for action in project.running_actions("server", server["id"]):
        if action["command"] in _CHANGING and ref in action["resources"]:
            return _CHANGING[action["command"]]
    return "error" if interface["error"] else "ok"


def interfaces_present(project: CloudProject, server: Doc) -> list[Doc]:
    """The interfaces with a network card that is, or shall be, in the machine."""
    return [
        interface
        for interface in server["private_net"]
        if interface_status(project, server, interface) != "attaching"
    ]


def as_private_interface(project: CloudProject, interface: Doc) -> PrivateInterface:
    network = project.find("network", interface["network"])
    return PrivateInterface(
        network_id=network["id"],
        ip=interface["ip"],
        network_range=network["ip_range"],
        gateway=str(addresses.gateway(network["ip_range"])),
        mac=interface["mac_address"],
        index=interface["index"],
        alias_ips=tuple(interface["alias_ips"]),
    )


def _used_addresses(project: CloudProject, network: int) -> list[str]:
    seats = [seat for _, seat in interfaces_in_network(project, network)]
    return [ip for interface in seats for ip in (interface["ip"], *interface["alias_ips"])]


def _aliases(network: Doc, taken: list[str], requested: list[str]) -> list[str]:
    if len(requested) > MAX_ALIASES:
        raise invalid_input("alias_ips", f"at most {MAX_ALIASES} alias IPs")
    chosen: list[str] = []
    for ip in requested:
        chosen.append(addresses.choose_ip(network, [*taken, *chosen], ip)[0])
    return chosen


def _check_attachable(project: CloudProject, server: Doc, network: Doc) -> None:
    if interface_of(server, network["id"]):
        raise ApiError("server_already_attached", "the server is in this network already")
    if len(server["private_net"]) >= MAX_NETWORKS:
        limits = {"limits": [{"name": "private_networks_limit"}]}
        raise ApiError("resource_limit_exceeded", "a server can be in 3 networks", limits)
    for interface in server["private_net"]:
        other = project.find("network", interface["network"])
        if IPv4Network(other["ip_range"]).overlaps(IPv4Network(network["ip_range"])):
            raise ApiError("networks_overlap", f"overlaps network {other['id']} of this server")


def begin_attach(
    project: CloudProject,
    server: Doc,
    network: Doc,
    *,
    ip: str | None = None,
    subnet: str | None = None,
    alias_ips: list[str] | None = None,
    locks: tuple[ObjectRef, ...] = (),
    after: Doc | None = None,
) -> Doc:
    """Take a seat in the server's document (saved) and begin the action that makes it real."""
    _check_attachable(project, server, network)
    taken = _used_addresses(project, network["id"])
    chosen, subnet = addresses.choose_ip(network, taken, ip, subnet)
    serial = project.store.new_id().to_bytes(4, "big")
    server["private_net"].append(
        {
            "network": network["id"],
            "subnet": subnet,
            "ip": chosen,
            "alias_ips": _aliases(network, [*taken, chosen], alias_ips or []),
            "mac_address": "86:00:" + serial.hex(":"),
            "index": min({0, 1, 2} - {interface["index"] for interface in server["private_net"]}),
            "error": False,
        }
    )
    project.save("server", server)
    refs = ("server", server["id"]), ("network", network["id"])
    return project.begin_action("attach_to_network", *refs, locks=(refs[0], *locks), after=after)


def begin_detach(
    project: CloudProject, server: Doc, network: int, locks: tuple[ObjectRef, ...] = ()
) -> Doc:
    ref = ("server", server["id"])
    refs = ref, ("network", network)
    return project.begin_action("detach_from_network", *refs, locks=(ref, *locks), network=network)


def _server_and_network(call: ApiCall) -> tuple[Doc, Doc]:
    server = call.project.find("server", call.id)
    network = call.project.find("network", call.body.number("network"))
    call.project.check_unlocked(("server", server["id"]), ("network", network["id"]))
    return server, network


def attach(call: ApiCall) -> ApiResponse:
    server, network = _server_and_network(call)
    action = begin_attach(
        call.project,
        server,
        network,
        ip=call.body.text("ip") if "ip" in call.body else None,
        subnet=call.body.text("ip_range") if "ip_range" in call.body else None,
        alias_ips=call.body.texts("alias_ips"),
        locks=(("network", network["id"]),),
    )
    return created_response(action=actions.view(action))


def _require_interface(server: Doc, network: Doc) -> Doc:
    interface = interface_of(server, network["id"])
    if interface is None:
        raise invalid_input("network", "the server is not in this network")
    return interface


def detach(call: ApiCall) -> ApiResponse:
    server, network = _server_and_network(call)
    _require_interface(server, network)
    action = begin_detach(call.project, server, network["id"], (("network", network["id"]),))
    return created_response(action=actions.view(action))


def change_alias_ips(call: ApiCall) -> ApiResponse:
    server, network = _server_and_network(call)
    interface = _require_interface(server, network)
    others = [
        ip
        for ip in _used_addresses(call.project, network["id"])
        if ip not in interface["alias_ips"]
    ]
    interface["alias_ips"] = _aliases(network, others, call.body.texts("alias_ips"))
    call.project.save("server", server)
    refs = ("server", server["id"]), ("network", network["id"])
    return created_response(
        action=actions.view(call.project.begin_action("change_alias_ips", *refs, locks=refs))
    )


def members(call: ApiCall) -> ApiResponse:
    call.project.find("network", call.id)
    found = [
        {
            "id": server["id"],
            "type": "server",
            "ip": interface["ip"],
            "alias_ips": interface["alias_ips"],
            "subnet": interface["subnet"],
            "status": interface_status(call.project, server, interface),
        }
        for server, interface in interfaces_in_network(call.project, call.id)
    ]
    for name in ("type", "status", "subnet"):
        if requested := call.query.getlist(name):
            found = [member for member in found if member[name] in requested]
    return paginate(
        call, "members", sort_documents(call, found, ("id", "type", "status", "ip")), lambda m: m
    )
