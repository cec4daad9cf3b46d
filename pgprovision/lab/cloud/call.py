"""What a handler gets and gives."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from starlette.datastructures import QueryParams

from pgprovision.lab.cloud.body import RequestBody
from pgprovision.lab.cloud.project import CloudProject
from pgprovision.lab.cloud.store import Doc


@dataclass(frozen=True)
class ApiCall:
    """One request of a known path, method and project."""

    project: CloudProject
    ids: Mapping[str, int] = field(default_factory=dict)
    query: QueryParams = field(default_factory=QueryParams)
    body: RequestBody = field(default_factory=lambda: RequestBody({}))
    url: str = ""

    @property
    def id(self) -> int:
        return self.ids["id"]


@dataclass(frozen=True)
class ApiResponse:
    body: Doc | None
    status: int = 200
    link: str = ""


Handler = Callable[[ApiCall], ApiResponse]
Routes = Mapping[tuple[str, str], Handler]


def created_response(**body: object) -> ApiResponse:
    return ApiResponse(body, 201)


NO_CONTENT = ApiResponse(None, 204)
