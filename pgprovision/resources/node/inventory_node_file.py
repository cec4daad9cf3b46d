"""The inventory file of a removed node: renamed, never rewritten or deleted."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import ClassVar

from pgprovision.engine.model import Action, Answer, Diff, Probe, Resource, State
from pgprovision.quote import sh


@dataclass(frozen=True, kw_only=True)
class RemovedNodeFile(Resource):
    """nodes/NAME.yml is renamed to NAME.yml.removed, or NAME.yml.removed-TIME where that exists."""

    kind: ClassVar[str] = "inventory node file"
    path: str

    @property
    def name(self) -> str:
        return self.path

    def probe(self) -> Probe:
        return Probe(f"[ -e {sh(self.path)} ] || exit 4")

    def read(self, answer: Answer) -> State | None:
        return None if answer.code == 4 else {"declared": True}

    def desired(self) -> None:
        return None

    def change(self, diff: Diff) -> Iterable[Action]:
        new = sh(f"{self.path}.removed")
        yield Action(
            f"rename {self.path} to .removed",
            f'new={new}; [ ! -e "$new" ] || new=$new-$(date -u +%Y%m%dT%H%M%SZ)\n'
            f'mv {sh(self.path)} "$new"',
        )
