"""Servers: power, protection, type, group, rebuild, delete."""

import secrets

from pgprovision.lab.cloud import actions, firewall_targets, placement_groups, private_interfaces
from pgprovision.lab.cloud.body import RequestBody
from pgprovision.lab.cloud.call import ApiCall, ApiResponse, Handler, Routes, created_response
from pgprovision.lab.cloud.catalog import find_by_ref, server_types
from pgprovision.lab.cloud.errors import ApiError, invalid_input
from pgprovision.lab.cloud.object_kind import ObjectKind
from pgprovision.lab.cloud.project import CloudProject
from pgprovision.lab.cloud.server_create import choose_image, create, parse_user_data
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


def _unlocked_server(call: ApiCall) -> Doc:
    server = KIND.find(call)
    call.project.check_unlocked(("server", call.id))
    return server


def _begin(call: ApiCall, command: str) -> Doc:
    ref = ("server", call.id)
    return actions.view(call.project.begin_action(command, ref, locks=[ref]))


def _power(command: str) -> Handler:
    def handle(call: ApiCall) -> ApiResponse:
        _unlocked_server(call)
        return created_response(action=_begin(call, command))

    return handle


def rebuild(call: ApiCall) -> ApiResponse:
    server = _unlocked_server(call)
    _check_unprotected(server, "rebuild")
    server["image"] = choose_image(call.project, call.body)["name"]
    if "user_data" in call.body:
        server["user_data"] = parse_user_data(call.body)
    call.project.save("server", server)
    password = None if server["authorized_keys"] else secrets.token_urlsafe(15)
    return created_response(action=_begin(call, "rebuild_server"), root_password=password)


def delete(call: ApiCall) -> ApiResponse:
    _check_unprotected(_unlocked_server(call), "delete")
    return ApiResponse({"action": _begin(call, "delete_server")})


def _check_unprotected(server: Doc, against: str) -> None:
    if server["protection"][against]:
        raise ApiError("protected", f"the server is protected against {against}")


def change_protection(call: ApiCall) -> ApiResponse:
    server = _unlocked_server(call)
    requested = {n: call.body.flag(n, server["protection"][n]) for n in ("delete", "rebuild")}
    if requested["delete"] != requested["rebuild"]:
        raise invalid_input("rebuild", "delete and rebuild must have the same value")
    server["protection"] = requested
    call.project.save("server", server)
    action = call.project.finished_action("change_protection", ("server", call.id))
    return created_response(action=actions.view(action))


def change_type(call: ApiCall) -> ApiResponse:
    server = _unlocked_server(call)
    kind = find_by_ref(server_types(call.project.settings), call.body.ref("server_type"))
    if kind is None:
        raise invalid_input("server_type", "unknown server type")
    _check_off(call.project, server)
    bigger_disk = call.body.flag("upgrade_disk")
    if kind["disk"] < server["primary_disk_size"]:
        raise ApiError("invalid_server_type", "the server's disk does not fit into that type")
    if (kind["name"], server["location"]) in call.project.settings.sold_out:
        raise ApiError("resource_unavailable", "error during placement")
    server["server_type"] = kind["name"]
    if bigger_disk:
        server["primary_disk_size"] = kind["disk"]
    call.project.save("server", server)
    return created_response(action=_begin(call, "change_server_type"))


def _check_off(project: CloudProject, server: Doc) -> None:
    if status(project, server) != "off":
        raise ApiError("server_not_stopped", "the server must be off")


def add_to_placement_group(call: ApiCall) -> ApiResponse:
    server = _unlocked_server(call)
    group = call.body.number("placement_group")
    if server["placement_group"]:
        raise ApiError("server_already_added", "the server is in a placement group already")
    _check_off(call.project, server)
    placement_groups.check_capacity(call.project, group)
    server["placement_group"] = group
    call.project.save("server", server)
    return created_response(action=_begin(call, "add_to_placement_group"))


def remove_from_placement_group(call: ApiCall) -> ApiResponse:
    server = _unlocked_server(call)
    if not server["placement_group"]:
        raise invalid_input("placement_group", "the server is in no placement group")
    server["placement_group"] = None
    call.project.save("server", server)
    action = call.project.finished_action("remove_from_placement_group", ("server", call.id))
    return created_response(action=actions.view(action))


def _unsupported(call: ApiCall) -> ApiResponse:
    KIND.find(call)
    raise ApiError("unsupported_error", "this lab cannot do that; Hetzner can")


def _update(call: ApiCall, server: Doc) -> None:
    before = firewall_targets.firewalls_of(call.project, call.id)
    call.project.save("server", server)  # selectors look at what is saved
    firewall_targets.follow_label_change(call.project, call.id, before)


KIND = ObjectKind(
    "server",
    "servers",
    view,
    {"status": status},
    apply_update=_update,
    parse_name=RequestBody.hostname,
)
_ACT = "/servers/{id:int}/actions/"
ROUTES: Routes = {
    **KIND.routes(),
    ("POST", "/servers"): create,
    ("GET", "/servers/{id:int}/metrics"): _unsupported,
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
    **{("POST", _ACT + name): _unsupported for name in _UNSUPPORTED},
}
