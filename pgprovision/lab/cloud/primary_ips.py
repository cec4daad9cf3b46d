"""Public addresses: those servers come with, and those made beforehand."""

from pgprovision.lab.cloud import actions
from pgprovision.lab.cloud.call import NO_CONTENT, ApiCall, ApiResponse, Routes, created_response
from pgprovision.lab.cloud.catalog import LOCATIONS, find_by_ref
from pgprovision.lab.cloud.errors import ApiError, invalid_input
from pgprovision.lab.cloud.object_kind import ObjectKind
from pgprovision.lab.cloud.project import CloudProject
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


def allocate(
    project: CloudProject, kind: str, location: str, assignee: int | None, **fields: object
) -> Doc:
    """A new address. Raises resource_unavailable where the lab has no more."""
    ident = project.store.new_id()
    return project.add(
        "primary_ip",
        **{"name": f"primary_ip-{ident}", "labels": {}, "auto_delete": True} | fields,
        id=ident,
        type=kind,
        ip=_free_ipv4(project) if kind == "ipv4" else f"2001:db8:{ident:x}::/64",
        location=location,
        assignee_id=assignee,
        protection={"delete": False},
    )


def _free_ipv4(project: CloudProject) -> str:
    used = {address["ip"] for address in project.store.list_all("primary_ip")}  # of every project
    for ip in project.hypervisor.public_addresses():
        if ip not in used:
            return ip
    raise ApiError(
        "resource_unavailable", f"this lab's public addresses are all in use ({len(used)})"
    )


def assign(project: CloudProject, ident: int, kind: str, server: int, location: str) -> Doc:
    """Give an address made beforehand to a server."""
    address = project.find("primary_ip", ident)
    if address["type"] != kind:
        raise ApiError("primary_ip_version_mismatch", f"primary IP {ident} is not {kind}")
    if address["assignee_id"]:
        raise ApiError("primary_ip_assigned", f"primary IP {ident} is assigned already")
    if address["location"] != location:
        raise invalid_input("public_net", f"primary IP {ident} is in {address['location']}")
    address["assignee_id"] = server
    project.save("primary_ip", address)
    return address


def release_all(project: CloudProject, server: int) -> None:
    """The server is gone: its addresses go too, or wait for another."""
    for address in project.list_all("primary_ip"):
        if address["assignee_id"] == server:
            if address["auto_delete"]:
                project.remove("primary_ip", address)
            else:
                address["assignee_id"] = None
                project.save("primary_ip", address)


def create(call: ApiCall) -> ApiResponse:
    if "assignee_id" in call.body:
        raise ApiError("unsupported_error", "this lab assigns primary IPs with a server's creation")
    location = find_by_ref(LOCATIONS, call.body.ref("location"))
    if location is None:
        raise invalid_input("location", "unknown location")
    address = allocate(
        call.project,
        call.body.choice("type", ("ipv4", "ipv6")),
        location["name"],
        None,
        name=call.body.name(),
        labels=call.body.labels(),
        auto_delete=call.body.flag("auto_delete", False),
    )
    action = call.project.finished_action("create_primary_ip", ("primary_ip", address["id"]))
    return created_response(primary_ip=view(call.project, address), action=actions.view(action))


def change_protection(call: ApiCall) -> ApiResponse:
    address = KIND.find(call)
    address["protection"]["delete"] = call.body.flag("delete", address["protection"]["delete"])
    call.project.save("primary_ip", address)
    action = call.project.finished_action("change_protection", ("primary_ip", call.id))
    return created_response(action=actions.view(action))


def delete(call: ApiCall) -> ApiResponse:
    address = KIND.find(call)
    if address["protection"]["delete"]:
        raise ApiError("protected", "the primary IP is protected against deletion")
    if address["assignee_id"]:
        raise ApiError("must_be_unassigned", "the primary IP is assigned to a server")
    call.project.remove("primary_ip", address)
    return NO_CONTENT


def _unsupported(call: ApiCall) -> ApiResponse:
    KIND.find(call)
    raise ApiError("unsupported_error", "this lab assigns primary IPs with a server's creation")


def view(project: CloudProject, address: Doc) -> Doc:
    return {name: address[name] for name in _FIELDS} | {
        "assignee_type": "server" if address["assignee_id"] else "unassigned",
        "blocked": False,
        "dns_ptr": _dns_ptr(address),
        "location": find_by_ref(LOCATIONS, address["location"]),
    }


def _dns_ptr(address: Doc) -> list[Doc]:
    if address["type"] == "ipv6":
        return []
    return [{"ip": address["ip"], "dns_ptr": reverse_dns_name(address["ip"])}]


def reverse_dns_name(ip: str) -> str:
    """The reverse DNS name an address comes with."""
    return f"static.{'.'.join(reversed(ip.split('.')))}.clients.your-server.de"


def _update(call: ApiCall, address: Doc) -> None:
    address["auto_delete"] = call.body.flag("auto_delete", address["auto_delete"])


KIND = ObjectKind(
    "primary_ip", "primary_ips", view, {"ip": lambda world, doc: doc["ip"]}, apply_update=_update
)
_ACT = "/primary_ips/{id:int}/actions/"
ROUTES: Routes = {
    **KIND.routes(),
    ("POST", "/primary_ips"): create,
    ("DELETE", "/primary_ips/{id:int}"): delete,
    ("POST", _ACT + "change_protection"): change_protection,
    ("POST", _ACT + "assign"): _unsupported,
    ("POST", _ACT + "unassign"): _unsupported,
    ("POST", _ACT + "change_dns_ptr"): _unsupported,
}
