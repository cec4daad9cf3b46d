"""Private networks: ranges, subnets, routes."""

from collections.abc import Callable
from ipaddress import IPv4Network

from pgprovision.lab.cloud import actions, addresses, private_interfaces
from pgprovision.lab.cloud.body import Body
from pgprovision.lab.cloud.call import GONE, Answer, Call, Handler, Routes, created
from pgprovision.lab.cloud.catalog import ZONES
from pgprovision.lab.cloud.errors import ApiError, invalid
from pgprovision.lab.cloud.object_kind import Noun
from pgprovision.lab.cloud.project import World
from pgprovision.lab.cloud.store import Doc

MAX_SUBNETS = 50
_TYPES = ("cloud", "server", "vswitch")


def create(call: Call) -> Answer:
    network: Doc = {
        "name": call.body.name(),
        "ip_range": str(addresses.parse_range(call.body.text("ip_range"))),
        "subnets": [],
        "routes": [],
        "labels": call.body.labels(),
        "protection": {"delete": False},
        "expose_routes_to_vswitch": call.body.flag("expose_routes_to_vswitch", False),
    }
    for subnet in call.body.parts("subnets"):
        _add_subnet(network, subnet)
    network["routes"] = [_route(network, route) for route in call.body.parts("routes")]
    return created(network=view(call.world, call.world.add("network", **network)))


def _add_subnet(network: Doc, body: Body) -> None:
    kind = body.choice("type", _TYPES)
    if kind == "vswitch":
        raise ApiError("unsupported_error", "this lab has no vSwitch")
    if len(network["subnets"]) >= MAX_SUBNETS:
        limits = {"limits": [{"name": "subnet_limit"}]}
        raise ApiError("resource_limit_exceeded", "too many subnets", limits)
    zone = body.choice("network_zone", ZONES)
    if any(subnet["network_zone"] != zone for subnet in network["subnets"]):
        raise invalid("network_zone", "all subnets of a network lie in one network zone")
    if "ip_range" in body:
        chosen = addresses.parse_network("ip_range", body.text("ip_range"))
        addresses.check_subnet(network, chosen)
    else:
        chosen = addresses.next_subnet(network)
    subnet = {"type": kind, "ip_range": str(chosen), "network_zone": zone, "vswitch_id": None}
    network["subnets"].append(subnet)


def _route(network: Doc, body: Body) -> Doc:
    gateway = addresses.parse_ip("gateway", body.text("gateway"))
    if gateway not in IPv4Network(network["ip_range"]):
        raise invalid("gateway", "the gateway must be an address of this network")
    try:
        destination = IPv4Network(body.text("destination"))
    except ValueError:
        raise invalid("destination", "not an IPv4 network in CIDR notation") from None
    return {"destination": str(destination), "gateway": str(gateway)}


def add_subnet(call: Call, network: Doc) -> None:
    _add_subnet(network, call.body)


def delete_subnet(call: Call, network: Doc) -> None:
    wanted = call.body.text("ip_range")
    if wanted not in [subnet["ip_range"] for subnet in network["subnets"]]:
        raise invalid("ip_range", "no such subnet")
    if any(
        seat["subnet"] == wanted
        for _, seat in private_interfaces.of_network(call.world, network["id"])
    ):
        raise ApiError("resource_in_use", "servers still have addresses in this subnet")
    network["subnets"] = [s for s in network["subnets"] if s["ip_range"] != wanted]


def add_route(call: Call, network: Doc) -> None:
    route = _route(network, call.body)
    if route["destination"] in [known["destination"] for known in network["routes"]]:
        raise invalid("destination", "there is a route for this destination already")
    network["routes"].append(route)


def delete_route(call: Call, network: Doc) -> None:
    route = {name: call.body.text(name) for name in ("destination", "gateway")}
    if route not in network["routes"]:
        raise invalid("destination", "no such route")
    network["routes"].remove(route)


def change_ip_range(call: Call, network: Doc) -> None:
    wider = addresses.parse_range(call.body.text("ip_range"))
    if not IPv4Network(network["ip_range"]).subnet_of(wider):
        raise invalid("ip_range", "a network can only be made wider")
    network["ip_range"] = str(wider)


def _timed(edit: Callable[[Call, Doc], None]) -> Handler:
    """The route of a change that holds the network for a while; the action is named after it."""

    def handle(call: Call) -> Answer:
        network = NOUN.find(call)
        ref = ("network", call.id)
        call.world.check_free(ref)
        edit(call, network)
        call.world.save("network", network)
        return created(action=actions.view(call.world.begin(edit.__name__, ref, holds=[ref])))

    return handle


def change_protection(call: Call) -> Answer:
    network = NOUN.find(call)
    network["protection"]["delete"] = call.body.flag("delete", network["protection"]["delete"])
    call.world.save("network", network)
    action = call.world.instant("change_protection", ("network", call.id))
    return created(action=actions.view(action))


def delete(call: Call) -> Answer:
    """Servers still attached are detached in the background."""
    network = NOUN.find(call)
    if network["protection"]["delete"]:
        raise ApiError("protected", "the network is protected against deletion")
    call.world.check_free(("network", call.id))
    for server, _ in private_interfaces.of_network(call.world, call.id):
        private_interfaces.begin_detach(call.world, server, call.id)
    call.world.remove("network", network)
    return GONE


def view(world: World, network: Doc) -> Doc:
    gateway = str(addresses.gateway(network["ip_range"]))
    shown = {name: network[name] for name in _FIELDS}
    return shown | {
        "subnets": [subnet | {"gateway": gateway} for subnet in network["subnets"]],
        "servers": [
            server["id"] for server, _ in private_interfaces.of_network(world, network["id"])
        ],
        "load_balancers": [],
    }


def _update(call: Call, network: Doc) -> None:
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
NOUN = Noun("network", "networks", view, update=_update)
_ACT = "/networks/{id:int}/actions/"
ROUTES: Routes = {
    **NOUN.routes(),
    ("POST", "/networks"): create,
    ("DELETE", "/networks/{id:int}"): delete,
    ("GET", "/networks/{id:int}/members"): private_interfaces.members,
    ("POST", _ACT + "add_subnet"): _timed(add_subnet),
    ("POST", _ACT + "delete_subnet"): _timed(delete_subnet),
    ("POST", _ACT + "add_route"): _timed(add_route),
    ("POST", _ACT + "delete_route"): _timed(delete_route),
    ("POST", _ACT + "change_ip_range"): _timed(change_ip_range),
    ("POST", _ACT + "change_protection"): change_protection,
}
