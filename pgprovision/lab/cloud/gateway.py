"""The way in: token, method, rate limit, faults, body; then the handler in one transaction."""

import json
import secrets
import time
from collections import deque
from collections.abc import Mapping
from typing import Any

import anyio
from anyio.to_thread import run_sync
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.types import Receive, Scope, Send

from pgprovision.lab.cloud.body import Body
from pgprovision.lab.cloud.call import Answer, Call, Handler
from pgprovision.lab.cloud.errors import ApiError
from pgprovision.lab.cloud.faults import Fault, Faults
from pgprovision.lab.cloud.project import WorldOf
from pgprovision.lab.cloud.rate_limit import Bucket
from pgprovision.lab.cloud.runner import Runner
from pgprovision.lab.cloud.settings import Settings, Token
from pgprovision.lab.cloud.store import Store

Log = deque[dict[str, Any]]


class Dropped(Response):
    """No answer at all: the connection is cut (`serve` puts `abort` into the scope)."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        scope["abort"]()
        while (await receive())["type"] != "http.disconnect":
            pass


def error_response(error: ApiError) -> Response:
    return JSONResponse(error.envelope(), error.status)


def bearer(request: Request) -> str:
    return request.headers.get("authorization", "").removeprefix("Bearer ").strip()


class Gate:
    """Endpoints for known paths. `log` keeps every request that came through, newest last."""

    def __init__(self, store: Store, world_of: WorldOf, runner: Runner, settings: Settings) -> None:
        self._store = store
        self._world_of = world_of
        self._runner = runner
        self._settings = settings
        self._buckets: dict[str, Bucket] = {}
        self.faults = Faults()
        self.log: Log = deque(maxlen=20_000)

    async def answer(self, request: Request, methods: Mapping[str, Handler]) -> Response:
        entry = {
            "at": time.time(),
            "method": request.method,
            "path": request.url.path,
            "query": request.url.query,
            "status": 0,  # stays so when the answer is dropped
        }
        self.log.append(entry)
        headers = {"X-Correlation-Id": secrets.token_hex(8)}
        try:
            token = self._token(request)
            bucket = self._bucket(token)
            allowed = bucket.take()
            headers |= bucket.headers()
            if not allowed:
                message = f"limit of {bucket.limit} requests per hour reached"
                raise ApiError("rate_limit_exceeded", message)
            response = await self._let_in(request, token, methods)
        except ApiError as error:
            response = error_response(error)
        response.headers.update(headers)
        if not isinstance(response, Dropped):
            entry["status"] = response.status_code
        return response

    def _token(self, request: Request) -> Token:
        given = bearer(request)
        if not given:
            raise ApiError("unauthorized", "token is required")
        for secret, token in self._settings.tokens.items():
            if secrets.compare_digest(secret.encode(), given.encode()):
                return token
        raise ApiError("unauthorized", "the token you have provided is invalid")

    def _bucket(self, token: Token) -> Bucket:
        return self._buckets.setdefault(token.project, Bucket(self._settings.rate_limit))

    async def _let_in(
        self, request: Request, token: Token, methods: Mapping[str, Handler]
    ) -> Response:
        handler = methods.get("GET" if request.method == "HEAD" else request.method)
        if handler is None:
            raise ApiError("method_not_allowed", f"{request.method} is not allowed here")
        if token.read_only and request.method not in ("GET", "HEAD"):
            raise ApiError("token_readonly", "the token is only allowed to read")
        fault = self.faults.strike(request.method, request.url.path.removeprefix("/v1"))
        await anyio.sleep(fault.delay)
        if fault.code:
            raise ApiError(fault.code, fault.message, status=fault.status or None)
        if fault.status:
            return PlainTextResponse(fault.message, fault.status)
        if fault.drop == "before":
            return Dropped()
        body = await read_body(request)
        try:
            answer = await run_sync(self._carry_out, request, token, handler, body, fault)
        except ApiError:
            if fault.drop != "after":
                raise
        if fault.drop == "after":
            return Dropped()
        if answer.body is None:
            return Response(status_code=answer.status)
        headers = {"Link": answer.link} if answer.link else {}
        return JSONResponse(answer.body, answer.status, headers)

    def _carry_out(
        self, request: Request, token: Token, handler: Handler, body: Body, fault: Fault
    ) -> Answer:
        world = self._world_of(token.project)
        if fault.action:
            world.failing = {"code": fault.action, "message": fault.message}
        url = str(request.url.replace(query=""))
        call = Call(world, request.path_params, request.query_params, body, url)
        with self._store.transaction():
            answer = handler(call)
        self._runner.wake()
        return answer


async def read_body(request: Request) -> Body:
    """Raises json_error unless the body is empty or a JSON object."""
    text = await request.body()
    if not text.strip():
        return Body({})
    try:
        document = json.loads(text)
    except ValueError:
        raise ApiError("json_error", "the request body is not valid JSON") from None
    if not isinstance(document, dict):
        raise ApiError("json_error", "the request body is not a JSON object")
    return Body(document)
