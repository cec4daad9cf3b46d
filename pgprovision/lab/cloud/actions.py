"""Actions, as they are read: alone, by ids, of a kind, of one object."""

from pgprovision.lab.cloud.call import ApiCall, ApiResponse, Routes
from pgprovision.lab.cloud.errors import ApiError, invalid_input, not_found
from pgprovision.lab.cloud.lists import paginate, sort_documents
from pgprovision.lab.cloud.store import Doc

_FIELDS = ["id", "command", "status", "progress", "started", "finished", "resources", "error"]
_SORTS = ("id", "command", "status", "progress", "started", "finished")


def view(action: Doc) -> Doc:
    return {name: action[name] for name in _FIELDS}


def views(actions: list[Doc]) -> list[Doc]:
    return [view(action) for action in actions]


def get_action(call: ApiCall) -> ApiResponse:
    action = call.project.find("action", call.ids["action_id"])
    if "id" in call.ids and call.id not in [resource["id"] for resource in action["resources"]]:
        raise not_found("action", call.ids["action_id"])
    return ApiResponse({"action": view(action)})


def get_actions(call: ApiCall) -> ApiResponse:
    """`GET /actions?id=..&id=..`; listing them all is gone since 2025-01-30."""
    ids = call.query.getlist("id")
    if not ids:
        raise ApiError("deprecated_api_endpoint", "this endpoint needs the query parameter id")
    if not all(ident.isdecimal() for ident in ids):
        raise invalid_input("id", "must be a number")
    found = [call.project.get("action", int(ident)) for ident in dict.fromkeys(ids)]
    return _page(call, [action for action in found if action])


def list_for_kind(call: ApiCall, kind: str) -> ApiResponse:
    return _page(call, [a for a in call.project.list_all("action") if _touches(a, kind)])


def list_for_object(call: ApiCall, kind: str) -> ApiResponse:
    call.project.find(kind, call.id)
    return _page(call, [a for a in call.project.list_all("action") if _touches(a, kind, call.id)])


def _touches(action: Doc, kind: str, ident: int | None = None) -> bool:
    resources = action["resources"]
    return any(r["type"] == kind and ident in (None, r["id"]) for r in resources)


def _page(call: ApiCall, found: list[Doc]) -> ApiResponse:
    for name in ("id", "status"):
        if requested := call.query.getlist(name):
            found = [action for action in found if str(action[name]) in requested]
    return paginate(call, "actions", sort_documents(call, found, _SORTS), view)


ROUTES: Routes = {
    ("GET", "/actions"): get_actions,
    ("GET", "/actions/{action_id:int}"): get_action,
}
