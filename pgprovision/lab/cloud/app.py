"""The simulator as one Starlette application."""

import re
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

from anyio.to_thread import run_sync
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from pgprovision.lab.cloud import (
    actions,
    catalog_routes,
    firewalls,
    networks,
    placement_groups,
    primary_ips,
    servers,
    ssh_keys,
)
from pgprovision.lab.cloud.call import Handler
from pgprovision.lab.cloud.control import control_routes
from pgprovision.lab.cloud.errors import ApiError
from pgprovision.lab.cloud.gateway import ApiGateway, error_response
from pgprovision.lab.cloud.project import CloudProject
from pgprovision.lab.cloud.runner import ActionRunner
from pgprovision.lab.cloud.settings import SimulatorSettings
from pgprovision.lab.cloud.store import DocumentStore
from pgprovision.lab.hypervisor import Hypervisor

_ROUTE_MODULES = (
    actions,
    catalog_routes,
    firewalls,
    networks,
    placement_groups,
    primary_ips,
    servers,
    ssh_keys,
)
_METHODS = ["GET", "POST", "PUT", "DELETE", "PATCH"]


class _SingleSlashes:
    """Clients given an endpoint with a trailing slash ask for `//servers`."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            scope["path"] = re.sub("/+", "/", scope["path"])
        await self._app(scope, receive, send)


async def _not_found(request: Request, error: Exception) -> Response:
    response = error_response(ApiError("not_found", "api route not found"))
    response.headers["X-Correlation-Id"] = secrets.token_hex(8)
    return response


def create_app(store_dir: Path, hypervisor: Hypervisor, settings: SimulatorSettings) -> Starlette:
    """State lives in `store_dir`; what was under way when it was last closed goes on."""
    store = DocumentStore(store_dir)

    def project_of(name: str) -> CloudProject:
        return CloudProject(store, name, settings, hypervisor)

    runner = ActionRunner(store, project_of, settings)
    gateway = ApiGateway(store, project_of, runner, settings)

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        runner.wake()
        yield
        await run_sync(runner.stop)

    api = [
        Route(f"/v1{path}", _endpoint(gateway, handlers), methods=_METHODS)
        for path, handlers in api_paths().items()
    ]
    return Starlette(
        routes=[*api, *control_routes(gateway, settings.control_token)],
        middleware=[Middleware(_SingleSlashes)],
        exception_handlers={404: _not_found},
        lifespan=lifespan,
    )


def api_paths() -> dict[str, dict[str, Handler]]:
    """Every path after /v1 that is known here, with its methods."""
    paths: dict[str, dict[str, Handler]] = {}
    for noun in _ROUTE_MODULES:
        for (method, path), handler in noun.ROUTES.items():
            paths.setdefault(path, {})[method] = handler
    return paths


def _endpoint(
    gateway: ApiGateway, handlers: Mapping[str, Handler]
) -> Callable[[Request], Awaitable[Response]]:
    async def endpoint(request: Request) -> Response:
        return await gateway.handle(request, handlers)

    return endpoint
