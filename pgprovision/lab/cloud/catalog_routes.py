"""The catalogue over HTTP, and the parts of the API that this lab answers with "none here"."""

from collections.abc import Callable

from pgprovision.lab.cloud.call import ApiCall, ApiResponse, Handler, Routes
from pgprovision.lab.cloud.catalog import IMAGES, LOCATIONS, pricing, server_types
from pgprovision.lab.cloud.errors import ApiError, not_found
from pgprovision.lab.cloud.lists import paginate, sort_documents
from pgprovision.lab.cloud.store import Doc

DocumentSource = Callable[[ApiCall], list[Doc]]


def _routes(kind: str, plural: str, source: DocumentSource, *filters: str) -> Routes:
    def listed(call: ApiCall) -> ApiResponse:
        docs = source(call)
        for name in filters:
            if requested := call.query.getlist(name):
                docs = [doc for doc in docs if doc[name] in requested]
        return paginate(
            call, plural, sort_documents(call, docs, ("id", "name", "created")), lambda doc: doc
        )

    def one(call: ApiCall) -> ApiResponse:
        for doc in source(call):
            if doc["id"] == call.id:
                return ApiResponse({kind: doc})
        raise not_found(kind, call.id)

    return {("GET", f"/{plural}"): listed, ("GET", f"/{plural}/{{id:int}}"): one}


def _removed_endpoint(call: ApiCall) -> ApiResponse:
    raise ApiError("deprecated_api_endpoint", "datacenters were removed; use locations")


def _unsupported(call: ApiCall) -> ApiResponse:
    raise ApiError("unsupported_error", "not supported by the simulator")


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
            routes["POST", f"/{plural}"] = _unsupported
    return routes


ROUTES: Routes = {
    **_routes("location", "locations", lambda call: LOCATIONS, "name"),
    **_routes(
        "server_type", "server_types", lambda call: server_types(call.project.settings), "name"
    ),
    **_routes("image", "images", lambda call: IMAGES, "name", "type", "status", "architecture"),
    **_empty_routes(),
    ("GET", "/pricing"): lambda call: ApiResponse({"pricing": pricing(call.project.settings)}),
    ("GET", "/datacenters"): _removed_endpoint,
    ("GET", "/datacenters/{id:int}"): _removed_endpoint,
}
