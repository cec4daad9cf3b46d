"""The catalogue over HTTP, and the parts of the API that this lab answers with "none here"."""

from collections.abc import Callable

from pgprovision.lab.cloud.call import Answer, Call, Handler, Routes
from pgprovision.lab.cloud.catalog import IMAGES, LOCATIONS, pricing, server_types
from pgprovision.lab.cloud.errors import ApiError, missing
from pgprovision.lab.cloud.lists import page, sort
from pgprovision.lab.cloud.store import Doc

Source = Callable[[Call], list[Doc]]


def _routes(kind: str, plural: str, source: Source, *filters: str) -> Routes:
    def listed(call: Call) -> Answer:
        docs = source(call)
        for name in filters:
            if wanted := call.query.getlist(name):
                docs = [doc for doc in docs if doc[name] in wanted]
        return page(call, plural, sort(call, docs, ("id", "name", "created")), lambda doc: doc)

    def one(call: Call) -> Answer:
        for doc in source(call):
            if doc["id"] == call.id:
                return Answer({kind: doc})
        raise missing(kind, call.id)

    return {("GET", f"/{plural}"): listed, ("GET", f"/{plural}/{{id:int}}"): one}


def _gone(call: Call) -> Answer:
    raise ApiError("deprecated_api_endpoint", "datacenters are gone; use locations")


def _not_here(call: Call) -> Answer:
    raise ApiError("unsupported_error", "this lab has no such thing; Hetzner does")


_EMPTY = (
    "volumes",
    "floating_ips",
    "load_balancers",
    "load_balancer_types",
    "certificates",
    "isos",
)


def _empty_routes() -> Routes:
    routes: dict[tuple[str, str], Handler] = {}
    for plural in _EMPTY:
        routes |= _routes(plural.removesuffix("s"), plural, lambda call: [])
        if plural not in ("load_balancer_types", "isos"):
            routes["POST", f"/{plural}"] = _not_here
    return routes


ROUTES: Routes = {
    **_routes("location", "locations", lambda call: LOCATIONS, "name"),
    **_routes(
        "server_type", "server_types", lambda call: server_types(call.world.settings), "name"
    ),
    **_routes("image", "images", lambda call: IMAGES, "name", "type", "status", "architecture"),
    **_empty_routes(),
    ("GET", "/pricing"): lambda call: Answer({"pricing": pricing(call.world.settings)}),
    ("GET", "/datacenters"): _gone,
    ("GET", "/datacenters/{id:int}"): _gone,
}
