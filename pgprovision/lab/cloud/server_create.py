"""POST /servers: everything that can be wrong with it, then the actions that make it."""

import secrets

from pgprovision.lab.cloud import (
    actions,
    placement_groups,
    primary_ips,
    private_interfaces,
    ssh_keys,
)
from pgprovision.lab.cloud.body import RequestBody
from pgprovision.lab.cloud.call import ApiCall, ApiResponse, created_response
from pgprovision.lab.cloud.catalog import IMAGES, LOCATIONS, find_by_ref, server_types
from pgprovision.lab.cloud.errors import ApiError, invalid_input
from pgprovision.lab.cloud.project import CloudProject
from pgprovision.lab.cloud.server_view import view
from pgprovision.lab.cloud.store import Doc

MAX_USER_DATA = 32 * 1024  # bytes
MAX_FIREWALLS = 5


def create(call: ApiCall) -> ApiResponse:
    project, body = call.project, call.body
    _reject_removed_fields(body)
    name = body.hostname()
    image = choose_image(project, body)
    kind, location = _choose_type(project, body)
    keys = [ssh_keys.find_key(project, ref) for ref in body.refs("ssh_keys")]
    networks = [project.find("network", ident) for ident in body.numbers("networks")]
    firewalls = _firewalls(project, body)
    group = body.number("placement_group", 0) or None
    if group:
        placement_groups.check_capacity(project, group)
    if len(project.list_all("server")) >= project.settings.server_limit:
        limits = {"limits": [{"name": "server_limit"}]}
        raise ApiError("resource_limit_exceeded", "server limit exceeded", limits)
    server = project.add(
        "server",
        name=name,
        image=image["name"],
        server_type=kind["name"],
        location=location,
        labels=body.labels(),
        user_data=parse_user_data(body),
        authorized_keys=[key["public_key"] for key in keys],
        placement_group=group,
        primary_disk_size=kind["disk"],
        private_net=[],
        protection={"delete": False, "rebuild": False},
        made=False,
    )
    _public_net(project, body.nested("public_net"), server)
    for firewall in firewalls:
        firewall["applied_to"].append({"type": "server", "server": {"id": server["id"]}})
        project.save("firewall", firewall)
    first, rest = _begin(project, server, networks, body.flag("start_after_create", True))
    # Without keys there is a password, as the API has it; the lab's machines take keys only.
    return created_response(
        server=view(project, server),
        action=actions.view(first),
        next_actions=actions.views(rest),
        root_password=None if keys else secrets.token_urlsafe(15),
    )


def _begin(
    project: CloudProject, server: Doc, networks: list[Doc], start: bool
) -> tuple[Doc, list[Doc]]:
    ref = ("server", server["id"])
    first = project.begin_action("create_server", ref, locks=[ref])
    rest = [
        private_interfaces.begin_attach(project, server, network, after=first)
        for network in networks
    ]
    if start:
        rest.append(project.begin_action("start_server", ref, locks=[ref], after=first))
    return first, rest


def _reject_removed_fields(body: RequestBody) -> None:
    if "datacenter" in body:
        raise invalid_input("datacenter", "removed on 2026-07-01; use location")
    if body.numbers("volumes"):
        raise ApiError("unsupported_error", "this lab has no volumes")


def parse_user_data(body: RequestBody) -> str:
    text = body.text("user_data", "", max_length=MAX_USER_DATA)
    if len(text.encode()) > MAX_USER_DATA:
        raise invalid_input("user_data", "longer than 32 KiB")
    return text


def choose_image(project: CloudProject, body: RequestBody) -> Doc:
    """Raises invalid_input for an unknown image, unsupported_error for one this lab cannot boot."""
    image = find_by_ref(IMAGES, body.ref("image"))
    if image is None:
        raise invalid_input("image", "unknown image")
    if image["name"] not in project.settings.bootable:
        bootable = ", ".join(project.settings.bootable)
        raise ApiError(
            "unsupported_error", f"this lab cannot boot {image['name']}; it can boot {bootable}"
        )
    return image


def _choose_type(project: CloudProject, body: RequestBody) -> tuple[Doc, str]:
    kind = find_by_ref(server_types(project.settings), body.ref("server_type"))
    if kind is None:
        raise invalid_input("server_type", "unknown server type")
    if "location" not in body:
        free = [location["name"] for location in kind["locations"] if location["available"]]
        if free:
            return kind, free[0]
        raise ApiError("resource_unavailable", "error during placement")
    location = find_by_ref(LOCATIONS, body.ref("location"))
    if location is None:
        raise invalid_input("location", "unknown location")
    if (kind["name"], location["name"]) in project.settings.sold_out:
        raise ApiError("resource_unavailable", "error during placement")
    return kind, location["name"]


def _firewalls(project: CloudProject, body: RequestBody) -> list[Doc]:
    idents = [part.number("firewall") for part in body.nested_list("firewalls")]
    if len(idents) > MAX_FIREWALLS:
        raise invalid_input("firewalls", f"at most {MAX_FIREWALLS} firewalls")
    return [project.find("firewall", ident) for ident in dict.fromkeys(idents)]


def _public_net(project: CloudProject, body: RequestBody, server: Doc) -> None:
    for kind in ("ipv4", "ipv6"):
        if not body.flag(f"enable_{kind}", True):
            continue
        if ident := body.number(kind, 0):
            primary_ips.assign(project, ident, kind, server["id"], server["location"])
        else:
            primary_ips.allocate(project, kind, server["location"], server["id"])
