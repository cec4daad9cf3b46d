"""Private networks: ranges, subnets, routes."""

from collections.abc import Callable
from ipaddress import IPv4Network

from pgprovision.lab.cloud import actions, addresses, private_interfaces
from pgprovision.lab.cloud.body import RequestBody
from pgprovision.lab.cloud.call import (
    NO_CONTENT,
    ApiCall,
    ApiResponse,
    Handler,
    Routes,
    created_response,
)
from pgprovision.lab.cloud.catalog import ZONES
from pgprovision.lab.cloud.errors import ApiError, invalid_input
from pgprovision.lab.cloud.object_kind import ObjectKind
from pgprovision.lab.cloud.project import CloudProject
from pgprovision.lab.cloud.store import Doc

MAX_SUBNETS = 50
_TYPES = ("cloud", "server", "vswitch")


def create(call: ApiCall) -> ApiResponse:
    network: Doc = {
        "name": call.body.name(),
        "ip_range": str(addresses.parse_range(call.body.text("ip_range"))),
        "subnets": [],
        "routes": [],
        "labels": call.body.labels(),
        "protection": {"delete": False},
        "expose_routes_to_vswitch": call.body.flag("expose_routes_to_vswitch", False),
    }
    for subnet in call.body.nested_list("subnets"):
        _add_subnet(network, subnet)
    network["routes"] = [_route(network, route) for route in call.body.nested_list("routes")]
    return created_response(network=view(call.project, call.project.add("network", **network)))


def _add_subnet(network: Doc, body: RequestBody) -> None:
    kind = body.choice("type", _TYPES)
    if kind == "vswitch":
        raise ApiError("unsupported_error", "this lab has no vSwitch")
    if len(network["subnets"]) >= MAX_SUBNETS:
        limits = {"limits": [{"name": "subnet_limit"}]}
        raise ApiError("resource_limit_exceeded", "too many subnets", limits)
    zone = body.choice("network_zone", ZONES)
    if any(subnet["network_zone"] != zone for subnet in network["subnets"]):
        raise invalid_input("network_zone", "all subnets of a network are in one network zone")
    if "ip_range" in body:
        chosen = addresses.parse_network("ip_range", body.text("ip_range"))
        addresses.check_subnet(network, chosen)
    else:
        chosen = addresses.next_subnet(network)
    subnet = {"type": kind, "ip_range": str(chosen), "network_zone": zone, "vswitch_id": None}
    network["subnets"].append(subnet)


def _route(network: Doc, body: RequestBody) -> Doc:
    gateway = addresses.parse_ip("gateway", body.text("gateway"))
    if gateway not in IPv4Network(network["ip_range"]):
        raise invalid_input("gateway", "the gateway must be an address of this network")
    try:
        destination = IPv4Network(body.text("destination"))
    except ValueError:
        raise invalid_input("destination", "not an IPv4 network in CIDR notation") from None
    return {"destination": str(destination), "gateway": str(gateway)}


def add_subnet(call: ApiCall, network: Doc) -> None:
    _add_subnet(network, call.body)


def delete_subnet(call: ApiCall, network: Doc) -> None:
    ip_range = call.body.text("ip_range")
    if ip_range not in [subnet["ip_range"] for subnet in network["subnets"]]:
        raise invalid_input("ip_range", "no such subnet")
    if any(
        interface["subnet"] == ip_range
        for _, interface in private_interfaces.interfaces_in_network(call.project, network["id"])
    ):
        raise ApiError("resource_in_use", "servers still have addresses in this subnet")
    network["subnets"] = [s for s in network["subnets"] if s["ip_range"] != ip_range]


def add_route(call: ApiCall, network: Doc) -> None:
    route = _route(network, call.body)
    if route["destination"] in [known["destination"] for known in network["routes"]]:
        raise invalid_input("destination", "there is a route for this destination already")
    network["routes"].append(route)


def delete_route(call: ApiCall, network: Doc) -> None:
    route = {name: call.body.text(name) for name in ("destination", "gateway")}
    if route not in network["routes"]:
        raise invalid_input("destination", "no such route")
    network["routes"].remove(route)


def change_ip_range(call: ApiCall, network: Doc) -> None:
    wider = addresses.parse_range(call.body.text("ip_range"))
    if not IPv4Network(network["ip_range"]).subnet_of(wider):
        raise invalid_input("ip_range", "a network can only be made wider")
    network["ip_range"] = str(wider)


def _as_action(edit: Callable[[ApiCall, Doc], None]) -> Handler:
    """The route of a change that holds the network for a while; the action is named after it."""

    def handle(call: ApiCall) -> ApiResponse:
        network = KIND.find(call)
        ref = ("network", call.id)
        call.project.check_unlocked(ref)
        edit(call, network)
        call.project.save("network", network)
        return created_response(
            action=actions.view(call.project.begin_action(edit.__name__, ref, locks=[ref]))
        )

    return handle


def change_protection(call: ApiCall) -> ApiResponse:
    network = KIND.find(call)
    network["protection"]["delete"] = call.body.flag("delete", network["protection"]["delete"])
    call.project.save("network", network)
    action = call.project.finished_action("change_protection", ("network", call.id))
    return created_response(action=actions.view(action))


def delete(call: ApiCall) -> ApiResponse:
    """Servers still attached are detached in the background."""
    network = KIND.find(call)
    if network["protection"]["delete"]:
        raise ApiError("protected", "the network is protected against deletion")
    call.project.check_unlocked(("network", call.id))
    for server, _ in private_interfaces.interfaces_in_network(call.project, call.id):
        private_interfaces.begin_detach(call.project, server, call.id)
    call.project.remove("network", network)
    return NO_CONTENT


def view(project: CloudProject, network: Doc) -> Doc:
    gateway = str(addresses.gateway(network["ip_range"]))
    shown = {name: network[name] for name in _FIELDS}
    return shown | {
        "subnets": [subnet | {"gateway": gateway} for subnet in network["subnets"]],
        "servers": [
            server["id"]
            for server, _ in private_interfaces.interfaces_in_network(project, network["id"])
        ],
        "load_balancers": [],
    }


def _update(call: ApiCall, network: Doc) -> None:
    name = "expose_routes_to_vswitch"
    network[name] = call.body.flag(name, network[name])


_FIELDS = [
    "id",
    "name",
    "ip_range",
    "routes",
    "labels",
    "protection",
    "created",
    "expose_routes_to_vswitch",
]
KIND = ObjectKind("network", "networks", view, apply_update=_update)
_ACT = "/networks/{id:int}/actions/"
ROUTES: Routes = {
    **KIND.routes(),
    ("POST", "/networks"): create,
    ("DELETE", "/networks/{id:int}"): delete,
    ("GET", "/networks/{id:int}/members"): private_interfaces.members,
    ("POST", _ACT + "add_subnet"): _as_action(add_subnet),
    ("POST", _ACT + "delete_subnet"): _as_action(delete_subnet),
    ("POST", _ACT + "add_route"): _as_action(add_route),
    ("POST", _ACT + "delete_route"): _as_action(delete_route),
    ("POST", _ACT + "change_ip_range"): _as_action(change_ip_range),
    ("POST", _ACT + "change_protection"): change_protection,
}
