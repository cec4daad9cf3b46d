"""A server's places in private networks: attach, detach, alias addresses, members.

A seat is kept in its server's document: network, subnet, ip, alias_ips, mac_address, index, error.
"""

from ipaddress import IPv4Network

from pgprovision.lab.cloud import actions, addresses
from pgprovision.lab.cloud.call import Answer, Call, created
from pgprovision.lab.cloud.errors import ApiError, invalid
from pgprovision.lab.cloud.lists import page, sort
from pgprovision.lab.cloud.project import Ref, World
from pgprovision.lab.cloud.store import Doc
from pgprovision.lab.hypervisor import Seat

MAX_NETWORKS = 3
MAX_ALIASES = 5
_CHANGING = {
    "attach_to_network": "attaching",
    "detach_from_network": "detaching",
    "change_alias_ips": "updating",
}


def of_network(world: World, network: int) -> list[tuple[Doc, Doc]]:
    """(server, seat) for everybody in the network, also those on their way in or out."""
    servers = world.all("server")
    return [(s, seat) for s in servers for seat in s["private_net"] if seat["network"] == network]


def of_server(server: Doc, network: int) -> Doc | None:
    return next((seat for seat in server["private_net"] if seat["network"] == network), None)


def state(world: World, server: Doc, seat: Doc) -> str:
    """A member's status: ok, attaching, detaching, updating or error."""
    ref = {"id": seat["network"], "type": "network"}
    for action in world.running("server", server["id"]):
        if action["command"] in _CHANGING and ref in action["resources"]:
            return _CHANGING[action["command"]]
    return "error" if seat["error"] else "ok"


def settled(world: World, server: Doc) -> list[Doc]:
    """The seats whose network cards are, or shall be, in the machine."""
    return [seat for seat in server["private_net"] if state(world, server, seat) != "attaching"]


def for_machine(world: World, seat: Doc) -> Seat:
    network = world.find("network", seat["network"])
    return Seat(
        network_id=network["id"],
        ip=seat["ip"],
        network_range=network["ip_range"],
        gateway=str(addresses.gateway(network["ip_range"])),
        mac=seat["mac_address"],
        index=seat["index"],
        alias_ips=tuple(seat["alias_ips"]),
    )


def _taken(world: World, network: int) -> list[str]:
    seats = [seat for _, seat in of_network(world, network)]
    return [ip for seat in seats for ip in (seat["ip"], *seat["alias_ips"])]


def _aliases(network: Doc, taken: list[str], wanted: list[str]) -> list[str]:
    if len(wanted) > MAX_ALIASES:
        raise invalid("alias_ips", f"at most {MAX_ALIASES} alias IPs")
    chosen: list[str] = []
    for ip in wanted:
        chosen.append(addresses.choose_ip(network, [*taken, *chosen], ip)[0])
    return chosen


def _check_fits(world: World, server: Doc, network: Doc) -> None:
    if of_server(server, network["id"]):
        raise ApiError("server_already_attached", "the server is in this network already")
    if len(server["private_net"]) >= MAX_NETWORKS:
        limits = {"limits": [{"name": "private_networks_limit"}]}
        raise ApiError("resource_limit_exceeded", "a server can be in 3 networks", limits)
    for seat in server["private_net"]:
        other = world.find("network", seat["network"])
        if IPv4Network(other["ip_range"]).overlaps(IPv4Network(network["ip_range"])):
            raise ApiError("networks_overlap", f"overlaps network {other['id']} of this server")


def begin_attach(
    world: World,
    server: Doc,
    network: Doc,
    *,
    ip: str | None = None,
    subnet: str | None = None,
    alias_ips: list[str] | None = None,
    holds: tuple[Ref, ...] = (),
    after: Doc | None = None,
) -> Doc:
    """Take a seat in the server's document (saved) and begin the action that makes it real."""
    _check_fits(world, server, network)
    taken = _taken(world, network["id"])
    chosen, subnet = addresses.choose_ip(network, taken, ip, subnet)
    serial = world.store.new_id().to_bytes(4, "big")
    server["private_net"].append(
        {
            "network": network["id"],
            "subnet": subnet,
            "ip": chosen,
            "alias_ips": _aliases(network, [*taken, chosen], alias_ips or []),
            "mac_address": "86:00:" + serial.hex(":"),
            "index": min({0, 1, 2} - {seat["index"] for seat in server["private_net"]}),
            "error": False,
        }
    )
    world.save("server", server)
    refs = ("server", server["id"]), ("network", network["id"])
    return world.begin("attach_to_network", *refs, holds=(refs[0], *holds), after=after)


def begin_detach(world: World, server: Doc, network: int, holds: tuple[Ref, ...] = ()) -> Doc:
    ref = ("server", server["id"])
    refs = ref, ("network", network)
    return world.begin("detach_from_network", *refs, holds=(ref, *holds), network=network)


def _server_and_network(call: Call) -> tuple[Doc, Doc]:
    server = call.world.find("server", call.id)
    network = call.world.find("network", call.body.number("network"))
    call.world.check_free(("server", server["id"]), ("network", network["id"]))
    return server, network


def attach(call: Call) -> Answer:
    server, network = _server_and_network(call)
    action = begin_attach(
        call.world,
        server,
        network,
        ip=call.body.text("ip") if "ip" in call.body else None,
        subnet=call.body.text("ip_range") if "ip_range" in call.body else None,
        alias_ips=call.body.texts("alias_ips"),
        holds=(("network", network["id"]),),
    )
    return created(action=actions.view(action))


def _seat(server: Doc, network: Doc) -> Doc:
    seat = of_server(server, network["id"])
    if seat is None:
        raise invalid("network", "the server is not in this network")
    return seat


def detach(call: Call) -> Answer:
    server, network = _server_and_network(call)
    _seat(server, network)
    action = begin_detach(call.world, server, network["id"], (("network", network["id"]),))
    return created(action=actions.view(action))


def change_alias_ips(call: Call) -> Answer:
    server, network = _server_and_network(call)
    seat = _seat(server, network)
    others = [ip for ip in _taken(call.world, network["id"]) if ip not in seat["alias_ips"]]
    seat["alias_ips"] = _aliases(network, others, call.body.texts("alias_ips"))
    call.world.save("server", server)
    refs = ("server", server["id"]), ("network", network["id"])
    return created(action=actions.view(call.world.begin("change_alias_ips", *refs, holds=refs)))


def members(call: Call) -> Answer:
    call.world.find("network", call.id)
    found = [
        {
            "id": server["id"],
            "type": "server",
            "ip": seat["ip"],
            "alias_ips": seat["alias_ips"],
            "subnet": seat["subnet"],
            "status": state(call.world, server, seat),
        }
        for server, seat in of_network(call.world, call.id)
    ]
    for name in ("type", "status", "subnet"):
        if wanted := call.query.getlist(name):
            found = [member for member in found if member[name] in wanted]
    return page(call, "members", sort(call, found, ("id", "type", "status", "ip")), lambda m: m)
