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

from pgprovision.lab.cloud.body import RequestBody
from pgprovision.lab.cloud.call import ApiCall, ApiResponse, Handler
from pgprovision.lab.cloud.errors import ApiError
from pgprovision.lab.cloud.faults import ApiFault, FaultRules
from pgprovision.lab.cloud.project import ProjectFactory
from pgprovision.lab.cloud.rate_limit import RequestRateLimit
from pgprovision.lab.cloud.runner import ActionRunner
from pgprovision.lab.cloud.settings import ApiToken, SimulatorSettings
from pgprovision.lab.cloud.store import DocumentStore

RequestLog = deque[dict[str, Any]]


class DroppedResponse(Response):
    """No answer at all: the connection is cut (`serve` puts `abort` into the scope)."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        scope["abort"]()
        while (await receive())["type"] != "http.disconnect":
            pass


def error_response(error: ApiError) -> Response:
    return JSONResponse(error.envelope(), error.status)


def bearer_token(request: Request) -> str:
    return request.headers.get("authorization", "").removeprefix("Bearer ").strip()


class ApiGateway:
    """Endpoints for known paths. `log` keeps every request that came through, newest last."""

    def __init__(
        self,
        store: DocumentStore,
        project_of: ProjectFactory,
        runner: ActionRunner,
        settings: SimulatorSettings,
    ) -> None:
        self._store = store
        self._project_of = project_of
        self._runner = runner
        self._settings = settings
        self._rate_limits: dict[str, RequestRateLimit] = {}
        self.faults = FaultRules()
        self.log: RequestLog = deque(maxlen=20_000)

    async def handle(self, request: Request, methods: Mapping[str, Handler]) -> Response:
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
            rate_limit = self._rate_limit(token)
            allowed = rate_limit.take()
            headers |= rate_limit.headers()
            if not allowed:
                message = f"limit of {rate_limit.limit} requests per hour reached"
                raise ApiError("rate_limit_exceeded", message)
            response = await self._dispatch(request, token, methods)
        except ApiError as error:
            response = error_response(error)
        response.headers.update(headers)
        if not isinstance(response, DroppedResponse):
            entry["status"] = response.status_code
        return response

    def _token(self, request: Request) -> ApiToken:
        given = bearer_token(request)
        if not given:
            raise ApiError("unauthorized", "token is required")
        for secret, token in self._settings.tokens.items():
            if secrets.compare_digest(secret.encode(), given.encode()):
                return token
        raise ApiError("unauthorized", "the token you have provided is invalid")

    def _rate_limit(self, token: ApiToken) -> RequestRateLimit:
        return self._rate_limits.setdefault(
            token.project, RequestRateLimit(self._settings.rate_limit)
        )

    async def _dispatch(
        self, request: Request, token: ApiToken, methods: Mapping[str, Handler]
    ) -> Response:
        handler = methods.get("GET" if request.method == "HEAD" else request.method)
        if handler is None:
            raise ApiError("method_not_allowed", f"{request.method} is not allowed here")
        if token.read_only and request.method not in ("GET", "HEAD"):
            raise ApiError("token_readonly", "the token is only allowed to read")
        fault = self.faults.match(request.method, request.url.path.removeprefix("/v1"))
        await anyio.sleep(fault.delay)
        if fault.code:
            raise ApiError(fault.code, fault.message, status=fault.status or None)
        if fault.status:
            return PlainTextResponse(fault.message, fault.status)
        if fault.drop == "before":
            return DroppedResponse()
        body = await read_body(request)
        try:
            answer = await run_sync(self._execute, request, token, handler, body, fault)
        except ApiError:
            if fault.drop != "after":
                raise
        if fault.drop == "after":
            return DroppedResponse()
        if answer.body is None:
            return Response(status_code=answer.status)
        headers = {"Link": answer.link} if answer.link else {}
        return JSONResponse(answer.body, answer.status, headers)

    def _execute(
        self,
        request: Request,
        token: ApiToken,
        handler: Handler,
        body: RequestBody,
        fault: ApiFault,
    ) -> ApiResponse:
        project = self._project_of(token.project)
        if fault.action:
            project.injected_error = {"code": fault.action, "message": fault.message}
        url = str(request.url.replace(query=""))
        call = ApiCall(project, request.path_params, request.query_params, body, url)
        with self._store.transaction():
            answer = handler(call)
        self._runner.wake()
        return answer


async def read_body(request: Request) -> RequestBody:
    """Raises json_error unless the body is empty or a JSON object."""
    text = await request.body()
    if not text.strip():
        return RequestBody({})
    try:
        document = json.loads(text)
    except ValueError:
        raise ApiError("json_error", "the request body is not valid JSON") from None
    if not isinstance(document, dict):
        raise ApiError("json_error", "the request body is not a JSON object")
    return RequestBody(document)
