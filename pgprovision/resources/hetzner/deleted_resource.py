"""An object of this cluster at Hetzner that is to be deleted: by `destroy`, or at the end of a
drill."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import ClassVar

from pgprovision.engine.model import Action, Answer, Diff, Impact, Probe, Resource, State
from pgprovision.resources.hetzner.hetzner_resource import HETZNER, has_cluster_labels

DELETE_SECONDS = 300.0


@dataclass(frozen=True, kw_only=True)
class DeletedResource(Resource):
    """An object to delete: its protection is removed, then the object. A foreign object of the same
    name counts as absent."""

    kind: ClassVar[str] = "deletion of"
    on: str = HETZNER
    cluster: str
    collection: str
    """The collection in the API: "servers"."""
    object_name: str
    required_label: str = ""
    """An object without this label counts as absent; empty: any label."""

    @property
    def name(self) -> str:
        return f"{self.collection}/{self.object_name}"

    def probe(self) -> Probe:
        return Probe(self.collection)

    def read(self, answer: Answer) -> State | None:
        for item in answer.items:
            labels = {"": "", **(item.get("labels") or {})}
            if (
                item["name"] == self.object_name
                and has_cluster_labels(item, self.cluster)
                and self.required_label in labels
            ):
                protection = item.get("protection") or {}
                return {
                    "id": item["id"],
                    "protected": tuple(k for k, on in protection.items() if on),
                }
        return None

    def desired(self) -> None:
        return None

    def change(self, diff: Diff) -> Iterable[Action]:
        path = f"/{self.collection}/{{{self.collection}:{self.object_name}}}"
        protected = (diff.before or {})["protected"]
        if isinstance(protected, tuple) and protected:
            yield Action(
                f"unprotect {self.name}",
                f"POST {path}/actions/change_protection",
                body={str(key): False for key in protected},
                impact=Impact.DESTROY,
            )
        yield Action(
            f"delete {self.name}",
            f"DELETE {path}",
            impact=Impact.DESTROY,
            timeout=DELETE_SECONDS,
        )
