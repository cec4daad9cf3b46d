"""Spread placement groups: at most ten servers, each on a host of its own."""

from pgprovision.lab.cloud.call import GONE, Answer, Call, Routes, created
from pgprovision.lab.cloud.errors import ApiError
from pgprovision.lab.cloud.object_kind import Noun
from pgprovision.lab.cloud.project import World
from pgprovision.lab.cloud.store import Doc

MAX_SERVERS = 10
MAX_GROUPS = 50


def members(world: World, group: int) -> list[int]:
    return [s["id"] for s in world.all("server") if s["placement_group"] == group]


def check_room(world: World, group: int) -> None:
    """Raises not_found, or placement_error for a full group."""
    world.find("placement_group", group)
    if len(members(world, group)) >= MAX_SERVERS:
        raise ApiError("placement_error", f"the group has {MAX_SERVERS} servers, as many as it can")


def create(call: Call) -> Answer:
    if len(call.world.all("placement_group")) >= MAX_GROUPS:
        limits = {"limits": [{"name": "placement_group_limit"}]}
        raise ApiError("resource_limit_exceeded", "too many placement groups", limits)
    group = call.world.add(
        "placement_group",
        name=call.body.name(),
        type=call.body.choice("type", ("spread",)),
        labels=call.body.labels(),
    )
    return created(placement_group=view(call.world, group), action=None)


def delete(call: Call) -> Answer:
    group = NOUN.find(call)
    if members(call.world, group["id"]):
        raise ApiError("resource_in_use", "servers still are in this placement group")
    call.world.remove("placement_group", group)
    return GONE


def view(world: World, group: Doc) -> Doc:
    shown = {name: group[name] for name in ("id", "name", "labels", "type", "created")}
    return shown | {"servers": members(world, group["id"])}


NOUN = Noun("placement_group", "placement_groups", view, {"type": lambda world, doc: doc["type"]})
ROUTES: Routes = {
    **NOUN.routes(with_actions=False),
    ("POST", "/placement_groups"): create,
    ("DELETE", "/placement_groups/{id:int}"): delete,
}
