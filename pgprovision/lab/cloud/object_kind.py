"""What all kinds of objects share: list, read, update, and the actions that touched them."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from pgprovision.lab.cloud import actions
from pgprovision.lab.cloud.body import Body
from pgprovision.lab.cloud.call import Answer, Call, Handler, Routes
from pgprovision.lab.cloud.labels import parse_selector
from pgprovision.lab.cloud.lists import page, sort
from pgprovision.lab.cloud.project import World
from pgprovision.lab.cloud.store import Doc

Update = Callable[[Call, Doc], None]


def _nothing(call: Call, doc: Doc) -> None:
    """Nothing beyond name and labels."""


@dataclass(frozen=True)
class Noun:
    """`view` makes the API's shape; `filters` name the query parameters besides the usual."""

    kind: str
    plural: str
    view: Callable[[World, Doc], Doc]
    filters: Mapping[str, Callable[[World, Doc], object]] = field(default_factory=dict)
    sorts: tuple[str, ...] = ("id", "name", "created")
    update: Update = _nothing
    rename: Callable[[Body], str] = Body.name

    def find(self, call: Call) -> Doc:
        return call.world.find(self.kind, call.id)

    def one(self, world: World, doc: Doc) -> Answer:
        return Answer({self.kind: self.view(world, doc)})

    def list(self, call: Call) -> Answer:
        found = call.world.all(self.kind)
        if selector := call.query.get("label_selector"):
            matches = parse_selector(selector)
            found = [doc for doc in found if matches(doc["labels"])]
        filters = {"name": lambda world, doc: doc["name"], **self.filters}
        for parameter, value_of in filters.items():
            if wanted := call.query.getlist(parameter):
                found = [doc for doc in found if str(value_of(call.world, doc)) in wanted]
        found = sort(call, found, self.sorts)
        return page(call, self.plural, found, lambda doc: self.view(call.world, doc))

    def read(self, call: Call) -> Answer:
        return self.one(call.world, self.find(call))

    def put(self, call: Call) -> Answer:
        doc = self.find(call)
        if "name" in call.body:
            doc["name"] = self.rename(call.body)
            call.world.check_unique(self.kind, "name", doc["name"], but=doc["id"])
        if "labels" in call.body:
            doc["labels"] = call.body.labels()
        self.update(call, doc)
        call.world.save(self.kind, doc)
        return self.one(call.world, doc)

    def routes(self, with_actions: bool = True) -> Routes:
        base = f"/{self.plural}"
        routes: dict[tuple[str, str], Handler] = {
            ("GET", base): self.list,
            ("GET", base + "/{id:int}"): self.read,
            ("PUT", base + "/{id:int}"): self.put,
        }
        if with_actions:
            routes[("GET", base + "/actions")] = lambda call: actions.of_kind(call, self.kind)
            routes[("GET", base + "/actions/{action_id:int}")] = actions.one
            routes[("GET", base + "/{id:int}/actions")] = lambda call: actions.of(call, self.kind)
            routes[("GET", base + "/{id:int}/actions/{action_id:int}")] = actions.one
        return routes
