"""Cloud firewalls: rules, and the servers they are applied to directly or by label selector."""

from pgprovision.lab.cloud import actions
from pgprovision.lab.cloud.body import RequestBody
from pgprovision.lab.cloud.call import NO_CONTENT, ApiCall, ApiResponse, Routes, created_response
from pgprovision.lab.cloud.errors import ApiError
from pgprovision.lab.cloud.firewall_rules import parse_rules
from pgprovision.lab.cloud.firewall_targets import (
    begin_for_target,
    begin_refresh,
    servers_matching,
    servers_reached,
)
from pgprovision.lab.cloud.labels import parse_selector
from pgprovision.lab.cloud.object_kind import ObjectKind
from pgprovision.lab.cloud.project import CloudProject
from pgprovision.lab.cloud.store import Doc

MAX_FIREWALLS = 50


def create(call: ApiCall) -> ApiResponse:
    project = call.project
    if len(project.list_all("firewall")) >= MAX_FIREWALLS:
        limits = {"limits": [{"name": "firewall_limit"}]}
        raise ApiError("resource_limit_exceeded", "too many firewalls", limits)
    firewall = project.add(
        "firewall",
        name=call.body.name(),
        rules=parse_rules(call.body),
        labels=call.body.labels(),
        applied_to=[],
    )
    started = []
    for resource in _resources(call, "apply_to"):
        firewall["applied_to"].append(resource)
        project.save("firewall", firewall)
        started += begin_for_target(project, "apply_firewall", firewall, resource)
    return created_response(firewall=view(project, firewall), actions=actions.views(started))


def _resources(call: ApiCall, field: str) -> list[Doc]:
    return [_resource(call.project, part) for part in call.body.nested_list(field)]


def _resource(project: CloudProject, body: RequestBody) -> Doc:
    if body.choice("type", ("server", "label_selector")) == "label_selector":
        selector = body.nested("label_selector").text("selector")
        parse_selector(selector)
        return {"type": "label_selector", "label_selector": {"selector": selector}}
    server = body.nested("server").number("id")
    if project.get("server", server) is None:
        raise ApiError("firewall_resource_not_found", f"server {server} not found")
    return {"type": "server", "server": {"id": server}}


def set_rules(call: ApiCall) -> ApiResponse:
    firewall = KIND.find(call)
    ref = ("firewall", call.id)
    call.project.check_unlocked(ref)
    firewall["rules"] = parse_rules(call.body)
    call.project.save("firewall", firewall)
    started = [call.project.begin_action("set_firewall_rules", ref, locks=[ref])]
    started += begin_refresh(
        call.project, "apply_firewall", firewall, servers_reached(call.project, firewall)
    )
    return created_response(actions=actions.views(started))


def apply_to_resources(call: ApiCall) -> ApiResponse:
    firewall = KIND.find(call)
    call.project.check_unlocked(("firewall", call.id))
    started = []
    for resource in _resources(call, "apply_to"):
        if resource in firewall["applied_to"]:
            raise ApiError("firewall_already_applied", "the firewall is applied there already")
        firewall["applied_to"].append(resource)
        call.project.save("firewall", firewall)
        started += begin_for_target(call.project, "apply_firewall", firewall, resource)
    return created_response(actions=actions.views(started))


def remove_from_resources(call: ApiCall) -> ApiResponse:
    firewall = KIND.find(call)
    call.project.check_unlocked(("firewall", call.id))
    started = []
    for resource in _resources(call, "remove_from"):
        if resource not in firewall["applied_to"]:
            _explain_absent(call.project, firewall, resource)
        firewall["applied_to"].remove(resource)
        call.project.save("firewall", firewall)
        started += begin_for_target(call.project, "remove_firewall", firewall, resource)
    return created_response(actions=actions.views(started))


def _explain_absent(project: CloudProject, firewall: Doc, resource: Doc) -> None:
    if resource["type"] == "server" and resource["server"]["id"] in servers_reached(
        project, firewall
    ):
        raise ApiError(
            "firewall_managed_by_label_selector", "applied to this server by a label selector"
        )
    raise ApiError("firewall_resource_not_found", "the firewall is not applied there")


def delete(call: ApiCall) -> ApiResponse:
    firewall = KIND.find(call)
    if firewall["applied_to"]:
        raise ApiError("resource_in_use", "the firewall is still applied to resources")
    call.project.remove("firewall", firewall)
    return NO_CONTENT


def view(project: CloudProject, firewall: Doc) -> Doc:
    shown = {name: firewall[name] for name in ("id", "name", "labels", "created", "rules")}
    return shown | {"applied_to": [_target(project, r) for r in firewall["applied_to"]]}


def _target(project: CloudProject, resource: Doc) -> Doc:
    if resource["type"] == "server":
        return resource
    matched = servers_matching(project, resource)
    return resource | {
        "applied_to_resources": [{"type": "server", "server": {"id": ident}} for ident in matched]
    }


KIND = ObjectKind("firewall", "firewalls", view)
_ACT = "/firewalls/{id:int}/actions/"
ROUTES: Routes = {
    **KIND.routes(),
    ("POST", "/firewalls"): create,
    ("DELETE", "/firewalls/{id:int}"): delete,
    ("POST", _ACT + "set_rules"): set_rules,
    ("POST", _ACT + "apply_to_resources"): apply_to_resources,
    ("POST", _ACT + "remove_from_resources"): remove_from_resources,
}
