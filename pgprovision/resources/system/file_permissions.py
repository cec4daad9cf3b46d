"""Files and directories that are not readable for others."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import ClassVar

from pgprovision.engine.model import Action, Answer, Diff, Probe, Resource, State
from pgprovision.quote import sh


@dataclass(frozen=True, kw_only=True)
class NotWorldReadable(Resource):
    """None of these, as far as they exist, is open to others than owner and group. Other files of a
    directory are left alone."""

    kind: ClassVar[str] = "file permissions"
    folder: str
    files: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        return self.folder

    @property
    def _paths(self) -> tuple[str, ...]:
        return (self.folder, *(f"{self.folder}/{file}" for file in self.files))

    def probe(self) -> Probe:
        return Probe(f"find {sh(*self._paths)} -maxdepth 0 -perm /o=rwx 2>/dev/null")

    def read(self, answer: Answer) -> State:
        return {"world_accessible": tuple(answer.text.splitlines())}

    def desired(self) -> State:
        return {"world_accessible": ()}

    def change(self, diff: Diff) -> Iterable[Action]:
        found = (diff.before or {}).get("world_accessible")
        if isinstance(found, tuple):
            yield Action(f"close {self.name} to others", sh("chmod", "o=", *map(str, found)))
