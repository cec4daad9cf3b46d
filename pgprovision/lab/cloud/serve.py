"""Serving the simulator with uvicorn, on connections that can be cut."""

import asyncio
from typing import Any

import uvicorn
from starlette.applications import Starlette
from starlette.types import ASGIApp, Receive, Scope, Send
from uvicorn.protocols.http.h11_impl import H11Protocol

Transports = dict[tuple[str, int], asyncio.Transport]


class _Cuttable:
    """Puts `abort` into every request's scope: it cuts the connection that brought it."""

    def __init__(self, app: ASGIApp, transports: Transports) -> None:
        self._app = app
        self._transports = transports

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            scope["abort"] = self._transports[tuple(scope["client"])].abort
        await self._app(scope, receive, send)


def _remembering(transports: Transports) -> type[H11Protocol]:
    class Protocol(H11Protocol):
        def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
            super().connection_made(transport)
            if self.client:
                transports[self.client] = transport

        def connection_lost(self, exc: Exception | None) -> None:
            super().connection_lost(exc)
            if self.client:
                transports.pop(self.client, None)

    return Protocol


def server(app: Starlette, host: str, port: int, **options: Any) -> uvicorn.Server:
    """A server that is not running yet; `options` are uvicorn's."""
    transports: Transports = {}
    config = uvicorn.Config(
        _Cuttable(app, transports),
        host=host,
        port=port,
        http=_remembering(transports),
        proxy_headers=False,
        server_header=False,
        access_log=False,
        log_level="warning",
        lifespan="on",
        timeout_graceful_shutdown=5,
        **options,
    )
    return uvicorn.Server(config)


def serve(app: Starlette, host: str, port: int) -> None:
    """Until SIGTERM or SIGINT; running machine work is waited for a little, then left."""
    server(app, host, port).run()
