"""What all kinds of objects share: list, read, update, and the actions that touched them."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from pgprovision.lab.cloud import actions
from pgprovision.lab.cloud.body import RequestBody
from pgprovision.lab.cloud.call import ApiCall, ApiResponse, Handler, Routes
from pgprovision.lab.cloud.labels import parse_selector
from pgprovision.lab.cloud.lists import paginate, sort_documents
from pgprovision.lab.cloud.project import CloudProject
from pgprovision.lab.cloud.store import Doc

UpdateFunction = Callable[[ApiCall, Doc], None]


def _nothing(call: ApiCall, doc: Doc) -> None:
    """Nothing beyond name and labels."""


@dataclass(frozen=True)
class ObjectKind:
    """`view` makes the API's shape; `filters` name the query parameters beyond the usual."""

    kind: str
    plural: str
    view: Callable[[CloudProject, Doc], Doc]
    filters: Mapping[str, Callable[[CloudProject, Doc], object]] = field(default_factory=dict)
    sort_fields: tuple[str, ...] = ("id", "name", "created")
    apply_update: UpdateFunction = _nothing
    parse_name: Callable[[RequestBody], str] = RequestBody.name

    def find(self, call: ApiCall) -> Doc:
        return call.project.find(self.kind, call.id)

    def response(self, project: CloudProject, doc: Doc) -> ApiResponse:
        return ApiResponse({self.kind: self.view(project, doc)})

    def list_objects(self, call: ApiCall) -> ApiResponse:
        docs = call.project.list_all(self.kind)
        if selector := call.query.get("label_selector"):
            matches = parse_selector(selector)
            docs = [doc for doc in docs if matches(doc["labels"])]
        filters = {"name": lambda world, doc: doc["name"], **self.filters}
        for parameter, value_of in filters.items():
            if requested := call.query.getlist(parameter):
                docs = [doc for doc in docs if str(value_of(call.project, doc)) in requested]
        docs = sort_documents(call, docs, self.sort_fields)
        return paginate(call, self.plural, docs, lambda doc: self.view(call.project, doc))

    def get_object(self, call: ApiCall) -> ApiResponse:
        return self.response(call.project, self.find(call))

    def update_object(self, call: ApiCall) -> ApiResponse:
        doc = self.find(call)
        if "name" in call.body:
            doc["name"] = self.parse_name(call.body)
            call.project.check_unique(self.kind, "name", doc["name"], except_id=doc["id"])
        if "labels" in call.body:
            doc["labels"] = call.body.labels()
        self.apply_update(call, doc)
        call.project.save(self.kind, doc)
        return self.response(call.project, doc)

    def routes(self, with_actions: bool = True) -> Routes:
        base = f"/{self.plural}"
        routes: dict[tuple[str, str], Handler] = {
            ("GET", base): self.list_objects,
            ("GET", base + "/{id:int}"): self.get_object,
            ("PUT", base + "/{id:int}"): self.update_object,
        }
        if with_actions:
            routes[("GET", base + "/actions")] = lambda call: actions.list_for_kind(call, self.kind)
            routes[("GET", base + "/actions/{action_id:int}")] = actions.get_action
            routes[("GET", base + "/{id:int}/actions")] = lambda call: actions.list_for_object(
                call, self.kind
            )
            routes[("GET", base + "/{id:int}/actions/{action_id:int}")] = actions.get_action
        return routes
