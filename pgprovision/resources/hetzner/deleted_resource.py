"""Something of ours at Hetzner that shall be gone. Only `destroy` and the end of a drill wish for
it."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import ClassVar

from pgprovision.engine.model import Answer, Ask, Diff, Do, Impact, Resource, State
from pgprovision.resources.hetzner.hetzner_resource import HETZNER, is_ours

DELETE_SECONDS = 300.0


@dataclass(frozen=True, kw_only=True)
class Removal(Resource):
    """An object of `collection` ("servers"), without its protection and then without itself.

    A stranger of the same name is not there as far as this is concerned, nor is one without the
    label `marked`, where it is given.
    """

    kind: ClassVar[str] = "removal of"
    on: str = HETZNER
    cluster: str
    collection: str
    called: str
    marked: str = ""

    @property
    def name(self) -> str:
        return f"{self.collection}/{self.called}"

    def probe(self) -> Ask:
        return Ask(self.collection)

    def read(self, answer: Answer) -> State | None:
        for item in answer.items:
            worn = {"": "", **(item.get("labels") or {})}
            if item["name"] == self.called and is_ours(item, self.cluster) and self.marked in worn:
                protection = item.get("protection") or {}
                return {
                    "id": item["id"],
                    "protected": tuple(k for k, on in protection.items() if on),
                }
        return None

    def desired(self) -> None:
        return None

    def change(self, diff: Diff) -> Iterable[Do]:
        path = f"/{self.collection}/{{{self.collection}:{self.called}}}"
        protected = (diff.before or {})["protected"]
        if isinstance(protected, tuple) and protected:
            yield Do(
                f"unprotect {self.name}",
                f"POST {path}/actions/change_protection",
                body={str(key): False for key in protected},
                impact=Impact.DESTROY,
            )
        yield Do(
            f"delete {self.name}",
            f"DELETE {path}",
            impact=Impact.DESTROY,
            timeout=DELETE_SECONDS,
        )
