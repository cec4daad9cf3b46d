"""POST /servers: everything that can be wrong with it, then the actions that make it."""

import secrets

from pgprovision.lab.cloud import (
    actions,
    placement_groups,
    primary_ips,
    private_interfaces,
    ssh_keys,
)
from pgprovision.lab.cloud.body import Body
from pgprovision.lab.cloud.call import Answer, Call, created
from pgprovision.lab.cloud.catalog import IMAGES, LOCATIONS, pick, server_types
from pgprovision.lab.cloud.errors import ApiError, invalid
from pgprovision.lab.cloud.project import World
from pgprovision.lab.cloud.server_view import view
from pgprovision.lab.cloud.store import Doc

MAX_USER_DATA = 32 * 1024  # bytes
MAX_FIREWALLS = 5


def create(call: Call) -> Answer:
    world, body = call.world, call.body
    _check_gone(body)
    name = body.hostname()
    image = choose_image(world, body)
    kind, location = _choose_type(world, body)
    keys = [ssh_keys.pick(world, ref) for ref in body.refs("ssh_keys")]
    networks = [world.find("network", ident) for ident in body.numbers("networks")]
    firewalls = _firewalls(world, body)
    group = body.number("placement_group", 0) or None
    if group:
        placement_groups.check_room(world, group)
    if len(world.all("server")) >= world.settings.server_limit:
        limits = {"limits": [{"name": "server_limit"}]}
        raise ApiError("resource_limit_exceeded", "server limit exceeded", limits)
    server = world.add(
        "server",
        name=name,
        image=image["name"],
        server_type=kind["name"],
        location=location,
        labels=body.labels(),
        user_data=user_data(body),
        authorized_keys=[key["public_key"] for key in keys],
        placement_group=group,
        primary_disk_size=kind["disk"],
        private_net=[],
        protection={"delete": False, "rebuild": False},
        made=False,
    )
    _public_net(world, body.part("public_net"), server)
    for firewall in firewalls:
        firewall["applied_to"].append({"type": "server", "server": {"id": server["id"]}})
        world.save("firewall", firewall)
    first, rest = _begin(world, server, networks, body.flag("start_after_create", True))
    # Without keys there is a password, as the API has it; the lab's machines take keys only.
    return created(
        server=view(world, server),
        action=actions.view(first),
        next_actions=actions.views(rest),
        root_password=None if keys else secrets.token_urlsafe(15),
    )


def _begin(world: World, server: Doc, networks: list[Doc], start: bool) -> tuple[Doc, list[Doc]]:
    ref = ("server", server["id"])
    first = world.begin("create_server", ref, holds=[ref])
    rest = [
        private_interfaces.begin_attach(world, server, network, after=first) for network in networks
    ]
    if start:
        rest.append(world.begin("start_server", ref, holds=[ref], after=first))
    return first, rest


def _check_gone(body: Body) -> None:
    if "datacenter" in body:
        raise invalid("datacenter", "gone since 2026-07-01; use location")
    if body.numbers("volumes"):
        raise ApiError("unsupported_error", "this lab has no volumes")


def user_data(body: Body) -> str:
    text = body.text("user_data", "", longest=MAX_USER_DATA)
    if len(text.encode()) > MAX_USER_DATA:
        raise invalid("user_data", "longer than 32 KiB")
    return text


def choose_image(world: World, body: Body) -> Doc:
    """Raises invalid_input for an unknown image, unsupported_error for one this lab cannot boot."""
    image = pick(IMAGES, body.ref("image"))
    if image is None:
        raise invalid("image", "unknown image")
    if image["name"] not in world.settings.bootable:
        bootable = ", ".join(world.settings.bootable)
        raise ApiError(
            "unsupported_error", f"this lab cannot boot {image['name']}; it can boot {bootable}"
        )
    return image


def _choose_type(world: World, body: Body) -> tuple[Doc, str]:
    kind = pick(server_types(world.settings), body.ref("server_type"))
    if kind is None:
        raise invalid("server_type", "unknown server type")
    if "location" not in body:
        free = [location["name"] for location in kind["locations"] if location["available"]]
        if free:
            return kind, free[0]
        raise ApiError("resource_unavailable", "error during placement")
    location = pick(LOCATIONS, body.ref("location"))
    if location is None:
        raise invalid("location", "unknown location")
    if (kind["name"], location["name"]) in world.settings.sold_out:
        raise ApiError("resource_unavailable", "error during placement")
    return kind, location["name"]


def _firewalls(world: World, body: Body) -> list[Doc]:
    idents = [part.number("firewall") for part in body.parts("firewalls")]
    if len(idents) > MAX_FIREWALLS:
        raise invalid("firewalls", f"at most {MAX_FIREWALLS} firewalls")
    return [world.find("firewall", ident) for ident in dict.fromkeys(idents)]


def _public_net(world: World, body: Body, server: Doc) -> None:
    for kind in ("ipv4", "ipv6"):
        if not body.flag(f"enable_{kind}", True):
            continue
        if ident := body.number(kind, 0):
            primary_ips.claim(world, ident, kind, server["id"], server["location"])
        else:
            primary_ips.allocate(world, kind, server["location"], server["id"])
