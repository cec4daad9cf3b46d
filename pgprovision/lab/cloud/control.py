"""/_lab: what tests and the lab request in addition to the API. Needs the lab's token."""

import secrets
from collections.abc import Awaitable, Callable

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from pgprovision.lab.cloud.errors import ApiError
from pgprovision.lab.cloud.faults import parse_fault
from pgprovision.lab.cloud.gateway import ApiGateway, bearer_token, error_response, read_body

Endpoint = Callable[[Request], Awaitable[Response]]


def control_routes(gateway: ApiGateway, control_token: str) -> list[Route]:
    """`/_lab/requests` (GET, DELETE) and `/_lab/faults` (GET, PUT `{"faults": [..]}`, DELETE)."""

    def guarded(endpoint: Endpoint) -> Endpoint:
        async def guard(request: Request) -> Response:
            try:
                if not secrets.compare_digest(
                    bearer_token(request).encode(), control_token.encode()
                ):
                    raise ApiError("unauthorized", "the lab's token is required")
                return await endpoint(request)
            except ApiError as error:
                return error_response(error)

        return guard

    async def request_log(request: Request) -> Response:
        if request.method == "DELETE":
            gateway.log.clear()
        listed = list(gateway.log)
        writes = sum(entry["method"] not in ("GET", "HEAD") for entry in listed)
        counts = {"writes": writes, "reads": len(listed) - writes}
        return JSONResponse(counts | {"requests": listed})

    async def fault_rules(request: Request) -> Response:
        if request.method == "PUT":
            body = await read_body(request)
            gateway.faults.replace([parse_fault(part) for part in body.nested_list("faults")])
        elif request.method == "DELETE":
            gateway.faults.replace([])
        return JSONResponse({"faults": gateway.faults.as_json()})

    return [
        Route("/_lab/requests", guarded(request_log), methods=["GET", "DELETE"]),
        Route("/_lab/faults", guarded(fault_rules), methods=["GET", "PUT", "DELETE"]),
    ]
