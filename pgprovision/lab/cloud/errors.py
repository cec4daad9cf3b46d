"""The API's errors: envelope, codes, HTTP status (status per code: Hetzner's API documentation)."""

from typing import Any

STATUS = {
    "json_error": 400,
    "unauthorized": 401,
    "token_readonly": 401,
    "resource_limit_exceeded": 403,
    "not_found": 404,
    "firewall_resource_not_found": 404,
    "method_not_allowed": 405,
    "uniqueness_error": 409,
    "conflict": 409,
    "deprecated_api_endpoint": 410,
    "resource_unavailable": 412,
    "locked": 423,
    "protected": 423,
    "rate_limit_exceeded": 429,
    "server_error": 500,
    "bad_gateway": 502,
    "unavailable": 503,
    "timeout": 504,
}


class ApiError(Exception):
    """An answer that is the error envelope. Codes not in `STATUS` are operation errors: 422."""

    def __init__(
        self,
        code: str,
        message: str,
        details: dict[str, Any] | None = None,
        status: int | None = None,
    ) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.details = details
        self.status = status or STATUS.get(code, 422)

    def envelope(self) -> dict[str, Any]:
        return {"error": {"code": self.code, "message": self.message, "details": self.details}}


def invalid_input(field: str, message: str) -> ApiError:
    """A body or query field that is not what the API takes."""
    return ApiError(
        "invalid_input",
        f"invalid input in field '{field}'",
        {"fields": [{"name": field, "messages": [message]}]},
    )


def uniqueness_error(field: str) -> ApiError:
    """A value that another object of the project already has."""
    return ApiError("uniqueness_error", f"{field} is already used", {"fields": [{"name": field}]})


def not_found(kind: str, ident: object) -> ApiError:
    return ApiError("not_found", f"{kind.replace('_', ' ')} with ID '{ident}' not found")
