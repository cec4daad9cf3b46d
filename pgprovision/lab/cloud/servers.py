"""Servers: power, protection, type, group, rebuild, delete."""

import secrets

from pgprovision.lab.cloud import actions, firewall_targets, placement_groups, private_interfaces
from pgprovision.lab.cloud.body import Body
from pgprovision.lab.cloud.call import Answer, Call, Handler, Routes, created
from pgprovision.lab.cloud.catalog import pick, server_types
from pgprovision.lab.cloud.errors import ApiError, invalid
from pgprovision.lab.cloud.object_kind import Noun
from pgprovision.lab.cloud.project import World
from pgprovision.lab.cloud.server_create import choose_image, create, user_data
from pgprovision.lab.cloud.server_view import status, view
from pgprovision.lab.cloud.store import Doc

_UNSUPPORTED = (
    "attach_iso",
    "change_dns_ptr",
    "create_image",
    "detach_iso",
    "disable_backup",
    "disable_rescue",
    "enable_backup",
    "enable_rescue",
    "request_console",
    "reset_password",
)


def _free(call: Call) -> Doc:
    server = NOUN.find(call)
    call.world.check_free(("server", call.id))
    return server


def _begin(call: Call, command: str) -> Doc:
    ref = ("server", call.id)
    return actions.view(call.world.begin(command, ref, holds=[ref]))


def _power(command: str) -> Handler:
    def handle(call: Call) -> Answer:
        _free(call)
        return created(action=_begin(call, command))

    return handle


def rebuild(call: Call) -> Answer:
    server = _free(call)
    _check_unprotected(server, "rebuild")
    server["image"] = choose_image(call.world, call.body)["name"]
    if "user_data" in call.body:
        server["user_data"] = user_data(call.body)
    call.world.save("server", server)
    password = None if server["authorized_keys"] else secrets.token_urlsafe(15)
    return created(action=_begin(call, "rebuild_server"), root_password=password)


def delete(call: Call) -> Answer:
    _check_unprotected(_free(call), "delete")
    return Answer({"action": _begin(call, "delete_server")})


def _check_unprotected(server: Doc, against: str) -> None:
    if server["protection"][against]:
        raise ApiError("protected", f"the server is protected against {against}")


def change_protection(call: Call) -> Answer:
    server = _free(call)
    wanted = {n: call.body.flag(n, server["protection"][n]) for n in ("delete", "rebuild")}
    if wanted["delete"] != wanted["rebuild"]:
        raise invalid("rebuild", "delete and rebuild must have the same value")
    server["protection"] = wanted
    call.world.save("server", server)
    action = call.world.instant("change_protection", ("server", call.id))
    return created(action=actions.view(action))


def change_type(call: Call) -> Answer:
    server = _free(call)
    kind = pick(server_types(call.world.settings), call.body.ref("server_type"))
    if kind is None:
        raise invalid("server_type", "unknown server type")
    _check_off(call.world, server)
    bigger_disk = call.body.flag("upgrade_disk")
    if kind["disk"] < server["primary_disk_size"]:
        raise ApiError("invalid_server_type", "the server's disk does not fit into that type")
    if (kind["name"], server["location"]) in call.world.settings.sold_out:
        raise ApiError("resource_unavailable", "error during placement")
    server["server_type"] = kind["name"]
    if bigger_disk:
        server["primary_disk_size"] = kind["disk"]
    call.world.save("server", server)
    return created(action=_begin(call, "change_server_type"))


def _check_off(world: World, server: Doc) -> None:
    if status(world, server) != "off":
        raise ApiError("server_not_stopped", "the server must be off")


def add_to_placement_group(call: Call) -> Answer:
    server = _free(call)
    group = call.body.number("placement_group")
    if server["placement_group"]:
        raise ApiError("server_already_added", "the server is in a placement group already")
    _check_off(call.world, server)
    placement_groups.check_room(call.world, group)
    server["placement_group"] = group
    call.world.save("server", server)
    return created(action=_begin(call, "add_to_placement_group"))


def remove_from_placement_group(call: Call) -> Answer:
    server = _free(call)
    if not server["placement_group"]:
        raise invalid("placement_group", "the server is in no placement group")
    server["placement_group"] = None
    call.world.save("server", server)
    action = call.world.instant("remove_from_placement_group", ("server", call.id))
    return created(action=actions.view(action))


def _not_here(call: Call) -> Answer:
    NOUN.find(call)
    raise ApiError("unsupported_error", "this lab cannot do that; Hetzner can")


def _update(call: Call, server: Doc) -> None:
    before = firewall_targets.of_server(call.world, call.id)
    call.world.save("server", server)  # selectors look at what is saved
    firewall_targets.relabelled(call.world, call.id, before)


NOUN = Noun("server", "servers", view, {"status": status}, update=_update, rename=Body.hostname)
_ACT = "/servers/{id:int}/actions/"
ROUTES: Routes = {
    **NOUN.routes(),
    ("POST", "/servers"): create,
    ("GET", "/servers/{id:int}/metrics"): _not_here,
    ("DELETE", "/servers/{id:int}"): delete,
    ("POST", _ACT + "poweron"): _power("start_server"),
    ("POST", _ACT + "poweroff"): _power("stop_server"),
    ("POST", _ACT + "shutdown"): _power("shutdown_server"),
    ("POST", _ACT + "reboot"): _power("reboot_server"),
    ("POST", _ACT + "reset"): _power("reset_server"),
    ("POST", _ACT + "rebuild"): rebuild,
    ("POST", _ACT + "change_protection"): change_protection,
    ("POST", _ACT + "change_type"): change_type,
    ("POST", _ACT + "add_to_placement_group"): add_to_placement_group,
    ("POST", _ACT + "remove_from_placement_group"): remove_from_placement_group,
    ("POST", _ACT + "attach_to_network"): private_interfaces.attach,
    ("POST", _ACT + "detach_from_network"): private_interfaces.detach,
    ("POST", _ACT + "change_alias_ips"): private_interfaces.change_alias_ips,
    **{("POST", _ACT + name): _not_here for name in _UNSUPPORTED},
}
