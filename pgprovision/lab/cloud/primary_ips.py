"""Public addresses: those servers come with, and those made beforehand."""

from pgprovision.lab.cloud import actions
from pgprovision.lab.cloud.call import GONE, Answer, Call, Routes, created
from pgprovision.lab.cloud.catalog import LOCATIONS, pick
from pgprovision.lab.cloud.errors import ApiError, invalid
from pgprovision.lab.cloud.object_kind import Noun
from pgprovision.lab.cloud.project import World
from pgprovision.lab.cloud.store import Doc

_FIELDS = [
    "id",
    "name",
    "type",
    "ip",
    "labels",
    "created",
    "auto_delete",
    "protection",
    "assignee_id",
]


def allocate(world: World, kind: str, location: str, assignee: int | None, **fields: object) -> Doc:
    """A new address. Raises resource_unavailable where the lab has no more."""
    ident = world.store.new_id()
    return world.add(
        "primary_ip",
        **{"name": f"primary_ip-{ident}", "labels": {}, "auto_delete": True} | fields,
        id=ident,
        type=kind,
        ip=_free_ipv4(world) if kind == "ipv4" else f"2001:db8:{ident:x}::/64",
        location=location,
        assignee_id=assignee,
        protection={"delete": False},
    )


def _free_ipv4(world: World) -> str:
    used = {address["ip"] for address in world.store.all("primary_ip")}  # of every project
    for ip in world.hypervisor.public_addresses():
        if ip not in used:
            return ip
    raise ApiError(
        "resource_unavailable", f"this lab's public addresses are all in use ({len(used)})"
    )


def claim(world: World, ident: int, kind: str, server: int, location: str) -> Doc:
    """Give an address made beforehand to a server."""
    address = world.find("primary_ip", ident)
    if address["type"] != kind:
        raise ApiError("primary_ip_version_mismatch", f"primary IP {ident} is not {kind}")
    if address["assignee_id"]:
        raise ApiError("primary_ip_assigned", f"primary IP {ident} is assigned already")
    if address["location"] != location:
        raise invalid("public_net", f"primary IP {ident} is in {address['location']}")
    address["assignee_id"] = server
    world.save("primary_ip", address)
    return address


def release(world: World, server: int) -> None:
    """The server is gone: its addresses go too, or wait for another."""
    for address in world.all("primary_ip"):
        if address["assignee_id"] == server:
            if address["auto_delete"]:
                world.remove("primary_ip", address)
            else:
                address["assignee_id"] = None
                world.save("primary_ip", address)


def create(call: Call) -> Answer:
    if "assignee_id" in call.body:
        raise ApiError("unsupported_error", "this lab assigns primary IPs with a server's creation")
    location = pick(LOCATIONS, call.body.ref("location"))
    if location is None:
        raise invalid("location", "unknown location")
    address = allocate(
        call.world,
        call.body.choice("type", ("ipv4", "ipv6")),
        location["name"],
        None,
        name=call.body.name(),
        labels=call.body.labels(),
        auto_delete=call.body.flag("auto_delete", False),
    )
    action = call.world.instant("create_primary_ip", ("primary_ip", address["id"]))
    return created(primary_ip=view(call.world, address), action=actions.view(action))


def change_protection(call: Call) -> Answer:
    address = NOUN.find(call)
    address["protection"]["delete"] = call.body.flag("delete", address["protection"]["delete"])
    call.world.save("primary_ip", address)
    action = call.world.instant("change_protection", ("primary_ip", call.id))
    return created(action=actions.view(action))


def delete(call: Call) -> Answer:
    address = NOUN.find(call)
    if address["protection"]["delete"]:
        raise ApiError("protected", "the primary IP is protected against deletion")
    if address["assignee_id"]:
        raise ApiError("must_be_unassigned", "the primary IP is assigned to a server")
    call.world.remove("primary_ip", address)
    return GONE


def _not_here(call: Call) -> Answer:
    NOUN.find(call)
    raise ApiError("unsupported_error", "this lab assigns primary IPs with a server's creation")


def view(world: World, address: Doc) -> Doc:
    return {name: address[name] for name in _FIELDS} | {
        "assignee_type": "server" if address["assignee_id"] else "unassigned",
        "blocked": False,
        "dns_ptr": _dns_ptr(address),
        "location": pick(LOCATIONS, address["location"]),
    }


def _dns_ptr(address: Doc) -> list[Doc]:
    if address["type"] == "ipv6":
        return []
    return [{"ip": address["ip"], "dns_ptr": hostname(address["ip"])}]


def hostname(ip: str) -> str:
    """The reverse DNS name an address comes with."""
    return f"static.{'.'.join(reversed(ip.split('.')))}.clients.your-server.de"


def _update(call: Call, address: Doc) -> None:
    address["auto_delete"] = call.body.flag("auto_delete", address["auto_delete"])


NOUN = Noun("primary_ip", "primary_ips", view, {"ip": lambda world, doc: doc["ip"]}, update=_update)
_ACT = "/primary_ips/{id:int}/actions/"
ROUTES: Routes = {
    **NOUN.routes(),
    ("POST", "/primary_ips"): create,
    ("DELETE", "/primary_ips/{id:int}"): delete,
    ("POST", _ACT + "change_protection"): change_protection,
    ("POST", _ACT + "assign"): _not_here,
    ("POST", _ACT + "unassign"): _not_here,
    ("POST", _ACT + "change_dns_ptr"): _not_here,
}
