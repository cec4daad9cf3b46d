"""Folders whose files are nobody else's business."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import ClassVar

from pgprovision.model import Answer, Ask, Diff, Do, Resource, State
from pgprovision.quote import sh


@dataclass(frozen=True, kw_only=True)
class Closed(Resource):
    """Nothing in here, the folders themselves included, is open to others than owner and group."""

    kind: ClassVar[str] = "closed to others"
    folders: tuple[str, ...]

    @property
    def name(self) -> str:
        return ", ".join(self.folders)

    def probe(self) -> Ask:
        return Ask(f"find {sh(*self.folders)} ! -type l -perm /o=rwx 2>/dev/null")

    def read(self, answer: Answer) -> State:
        return {"open": tuple(sorted(answer.text.splitlines()))}

    def desired(self) -> State:
        return {"open": ()}

    def change(self, diff: Diff) -> Iterable[Do]:
        if diff.before is not None:
            yield Do(f"close {self.name} to others", f"chmod -R o= {sh(*self.folders)}")
