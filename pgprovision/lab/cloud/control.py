"""/_lab: what tests and the lab ask besides the API. Needs the lab's token."""

import secrets
from collections.abc import Awaitable, Callable

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from pgprovision.lab.cloud.errors import ApiError
from pgprovision.lab.cloud.faults import parse_fault
from pgprovision.lab.cloud.gateway import Gate, bearer, error_response, read_body

Endpoint = Callable[[Request], Awaitable[Response]]


def control_routes(gate: Gate, lab_token: str) -> list[Route]:
    """`/_lab/requests` (GET, DELETE) and `/_lab/faults` (GET, PUT `{"faults": [..]}`, DELETE)."""

    def guarded(endpoint: Endpoint) -> Endpoint:
        async def guard(request: Request) -> Response:
            try:
                if not secrets.compare_digest(bearer(request).encode(), lab_token.encode()):
                    raise ApiError("unauthorized", "the lab's token is required")
                return await endpoint(request)
            except ApiError as error:
                return error_response(error)

        return guard

    async def requests(request: Request) -> Response:
        if request.method == "DELETE":
            gate.log.clear()
        listed = list(gate.log)
        writes = sum(entry["method"] not in ("GET", "HEAD") for entry in listed)
        counts = {"writes": writes, "reads": len(listed) - writes}
        return JSONResponse(counts | {"requests": listed})

    async def faults(request: Request) -> Response:
        if request.method == "PUT":
            body = await read_body(request)
            gate.faults.replace([parse_fault(part) for part in body.parts("faults")])
        elif request.method == "DELETE":
            gate.faults.replace([])
        return JSONResponse({"faults": gate.faults.listed()})

    return [
        Route("/_lab/requests", guarded(requests), methods=["GET", "DELETE"]),
        Route("/_lab/faults", guarded(faults), methods=["GET", "PUT", "DELETE"]),
    ]
