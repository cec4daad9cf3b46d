"""Cloud firewalls: rules, and the servers they are applied to directly or by label selector."""

from pgprovision.lab.cloud import actions
from pgprovision.lab.cloud.body import Body
from pgprovision.lab.cloud.call import GONE, Answer, Call, Routes, created
from pgprovision.lab.cloud.errors import ApiError
from pgprovision.lab.cloud.firewall_rules import parse_rules
from pgprovision.lab.cloud.firewall_targets import (
    begin_on,
    matched_by,
    reached_by,
    refresh,
)
from pgprovision.lab.cloud.labels import parse_selector
from pgprovision.lab.cloud.object_kind import Noun
from pgprovision.lab.cloud.project import World
from pgprovision.lab.cloud.store import Doc

MAX_FIREWALLS = 50


def create(call: Call) -> Answer:
    world = call.world
    if len(world.all("firewall")) >= MAX_FIREWALLS:
        limits = {"limits": [{"name": "firewall_limit"}]}
        raise ApiError("resource_limit_exceeded", "too many firewalls", limits)
    firewall = world.add(
        "firewall",
        name=call.body.name(),
        rules=parse_rules(call.body),
        labels=call.body.labels(),
        applied_to=[],
    )
    begun = []
    for resource in _resources(call, "apply_to"):
        firewall["applied_to"].append(resource)
        world.save("firewall", firewall)
        begun += begin_on(world, "apply_firewall", firewall, resource)
    return created(firewall=view(world, firewall), actions=actions.views(begun))


def _resources(call: Call, field: str) -> list[Doc]:
    return [_resource(call.world, part) for part in call.body.parts(field)]


def _resource(world: World, body: Body) -> Doc:
    if body.choice("type", ("server", "label_selector")) == "label_selector":
        selector = body.part("label_selector").text("selector")
        parse_selector(selector)
        return {"type": "label_selector", "label_selector": {"selector": selector}}
    server = body.part("server").number("id")
    if world.get("server", server) is None:
        raise ApiError("firewall_resource_not_found", f"server {server} not found")
    return {"type": "server", "server": {"id": server}}


def set_rules(call: Call) -> Answer:
    firewall = NOUN.find(call)
    ref = ("firewall", call.id)
    call.world.check_free(ref)
    firewall["rules"] = parse_rules(call.body)
    call.world.save("firewall", firewall)
    begun = [call.world.begin("set_firewall_rules", ref, holds=[ref])]
    begun += refresh(call.world, "apply_firewall", firewall, reached_by(call.world, firewall))
    return created(actions=actions.views(begun))


def apply_to_resources(call: Call) -> Answer:
    firewall = NOUN.find(call)
    call.world.check_free(("firewall", call.id))
    begun = []
    for resource in _resources(call, "apply_to"):
        if resource in firewall["applied_to"]:
            raise ApiError("firewall_already_applied", "the firewall is applied there already")
        firewall["applied_to"].append(resource)
        call.world.save("firewall", firewall)
        begun += begin_on(call.world, "apply_firewall", firewall, resource)
    return created(actions=actions.views(begun))


def remove_from_resources(call: Call) -> Answer:
    firewall = NOUN.find(call)
    call.world.check_free(("firewall", call.id))
    begun = []
    for resource in _resources(call, "remove_from"):
        if resource not in firewall["applied_to"]:
            _explain_absent(call.world, firewall, resource)
        firewall["applied_to"].remove(resource)
        call.world.save("firewall", firewall)
        begun += begin_on(call.world, "remove_firewall", firewall, resource)
    return created(actions=actions.views(begun))


def _explain_absent(world: World, firewall: Doc, resource: Doc) -> None:
    if resource["type"] == "server" and resource["server"]["id"] in reached_by(world, firewall):
        raise ApiError(
            "firewall_managed_by_label_selector", "applied to this server by a label selector"
        )
    raise ApiError("firewall_resource_not_found", "the firewall is not applied there")


def delete(call: Call) -> Answer:
    firewall = NOUN.find(call)
    if firewall["applied_to"]:
        raise ApiError("resource_in_use", "the firewall is still applied to resources")
    call.world.remove("firewall", firewall)
    return GONE


def view(world: World, firewall: Doc) -> Doc:
    shown = {name: firewall[name] for name in ("id", "name", "labels", "created", "rules")}
    return shown | {"applied_to": [_target(world, r) for r in firewall["applied_to"]]}


def _target(world: World, resource: Doc) -> Doc:
    if resource["type"] == "server":
        return resource
    matched = matched_by(world, resource)
    return resource | {
        "applied_to_resources": [{"type": "server", "server": {"id": ident}} for ident in matched]
    }


NOUN = Noun("firewall", "firewalls", view)
_ACT = "/firewalls/{id:int}/actions/"
ROUTES: Routes = {
    **NOUN.routes(),
    ("POST", "/firewalls"): create,
    ("DELETE", "/firewalls/{id:int}"): delete,
    ("POST", _ACT + "set_rules"): set_rules,
    ("POST", _ACT + "apply_to_resources"): apply_to_resources,
    ("POST", _ACT + "remove_from_resources"): remove_from_resources,
}
