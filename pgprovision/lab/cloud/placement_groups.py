"""Spread placement groups: at most ten servers, each on a host of its own."""

from pgprovision.lab.cloud.call import NO_CONTENT, ApiCall, ApiResponse, Routes, created_response
from pgprovision.lab.cloud.errors import ApiError
from pgprovision.lab.cloud.object_kind import ObjectKind
from pgprovision.lab.cloud.project import CloudProject
from pgprovision.lab.cloud.store import Doc

MAX_SERVERS = 10
MAX_GROUPS = 50


def members(project: CloudProject, group: int) -> list[int]:
    return [s["id"] for s in project.list_all("server") if s["placement_group"] == group]


def check_capacity(project: CloudProject, group: int) -> None:
    """Raises not_found, or placement_error for a full group."""
    project.find("placement_group", group)
    if len(members(project, group)) >= MAX_SERVERS:
        raise ApiError("placement_error", f"the group has {MAX_SERVERS} servers, as many as it can")


def create(call: ApiCall) -> ApiResponse:
    if len(call.project.list_all("placement_group")) >= MAX_GROUPS:
        limits = {"limits": [{"name": "placement_group_limit"}]}
        raise ApiError("resource_limit_exceeded", "too many placement groups", limits)
    group = call.project.add(
        "placement_group",
        name=call.body.name(),
        type=call.body.choice("type", ("spread",)),
        labels=call.body.labels(),
    )
    return created_response(placement_group=view(call.project, group), action=None)


def delete(call: ApiCall) -> ApiResponse:
    group = KIND.find(call)
    if members(call.project, group["id"]):
        raise ApiError("resource_in_use", "servers still are in this placement group")
    call.project.remove("placement_group", group)
    return NO_CONTENT


def view(project: CloudProject, group: Doc) -> Doc:
    shown = {name: group[name] for name in ("id", "name", "labels", "type", "created")}
    return shown | {"servers": members(project, group["id"])}


KIND = ObjectKind(
    "placement_group", "placement_groups", view, {"type": lambda world, doc: doc["type"]}
)
ROUTES: Routes = {
    **KIND.routes(with_actions=False),
    ("POST", "/placement_groups"): create,
    ("DELETE", "/placement_groups/{id:int}"): delete,
}
