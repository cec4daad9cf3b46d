"""Actions, as they are read: alone, by ids, of a kind, of one object."""

from pgprovision.lab.cloud.call import Answer, Call, Routes
from pgprovision.lab.cloud.errors import ApiError, invalid, missing
from pgprovision.lab.cloud.lists import page, sort
from pgprovision.lab.cloud.store import Doc

_FIELDS = ["id", "command", "status", "progress", "started", "finished", "resources", "error"]
_SORTS = ("id", "command", "status", "progress", "started", "finished")


def view(action: Doc) -> Doc:
    return {name: action[name] for name in _FIELDS}


def views(actions: list[Doc]) -> list[Doc]:
    return [view(action) for action in actions]


def one(call: Call) -> Answer:
    action = call.world.find("action", call.ids["action_id"])
    if "id" in call.ids and call.id not in [resource["id"] for resource in action["resources"]]:
        raise missing("action", call.ids["action_id"])
    return Answer({"action": view(action)})


def by_id(call: Call) -> Answer:
    """`GET /actions?id=..&id=..`; listing them all is gone since 2025-01-30."""
    wanted = call.query.getlist("id")
    if not wanted:
        raise ApiError("deprecated_api_endpoint", "this endpoint needs the query parameter id")
    if not all(ident.isdecimal() for ident in wanted):
        raise invalid("id", "must be a number")
    found = [call.world.get("action", int(ident)) for ident in dict.fromkeys(wanted)]
    return _page(call, [action for action in found if action])


def of_kind(call: Call, kind: str) -> Answer:
    return _page(call, [a for a in call.world.all("action") if _touches(a, kind)])


def of(call: Call, kind: str) -> Answer:
    call.world.find(kind, call.id)
    return _page(call, [a for a in call.world.all("action") if _touches(a, kind, call.id)])


def _touches(action: Doc, kind: str, ident: int | None = None) -> bool:
    resources = action["resources"]
    return any(r["type"] == kind and ident in (None, r["id"]) for r in resources)


def _page(call: Call, found: list[Doc]) -> Answer:
    for name in ("id", "status"):
        if wanted := call.query.getlist(name):
            found = [action for action in found if str(action[name]) in wanted]
    return page(call, "actions", sort(call, found, _SORTS), view)


ROUTES: Routes = {
    ("GET", "/actions"): by_id,
    ("GET", "/actions/{action_id:int}"): one,
}
