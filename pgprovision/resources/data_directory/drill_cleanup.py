"""A spare host after a drill: nothing of the copy runs, its data are set aside, no secret stays."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import ClassVar

from pgprovision.engine.model import Answer, Ask, Diff, Do, Impact, Resource, State
from pgprovision.quote import sh
from pgprovision.resources.data_directory.initdb import asides, set_aside
from pgprovision.resources.node.identity import CLAIM, FOLDER, fields
from pgprovision.resources.pgbackrest import info
from pgprovision.resources.postgres.server.instance import Instance, note

STOP_SECONDS = 660.0  # the unit's own limit is 600


@dataclass(frozen=True, kw_only=True)
class Vacated(Resource):
    """What `node` of `cluster` was claimed for is over. A host that somebody else has claimed, or
    that is finished (a marker), is left alone. `jobs`: units that may still be at work."""

    kind: ClassVar[str] = "drill's copy"
    cluster: str
    node: str
    instance: Instance
    jobs: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        return f"{self.instance.version}/{self.instance.name}"

    def probe(self) -> Ask:
        return Ask(f"[ ! -e {CLAIM} ] || cat {CLAIM}")

    def read(self, answer: Answer) -> State | None:
        owner = fields(answer.text, "cluster", "node")
        return {"claim": True} if owner == (self.cluster, self.node) else None

    def desired(self) -> None:
        return None

    def change(self, diff: Diff) -> Iterable[Do]:
        here = self.instance
        data = here.data_directory
        beside = [f"{data}.pgprovision-{word}" for word in ("restored", "progress", "checked")]
        files = [note(here), *beside, info.CONFIG, f"{here.config_directory}"]
        yield Do(
            f"stop {self.name}, set its data aside, forget its secrets",
            f"{sh('systemctl', 'stop', *self.jobs, here.unit)} 2>/dev/null\n"
            f"set -e; ! {sh('systemctl', '--quiet', 'is-active', here.unit)}\n{set_aside(data)}\n"
            f"rm -rf {sh(*files)} {sh(f'{data}.pgprovision-recovery')} {FOLDER}/tls\n"
            f"systemctl daemon-reload; rm {CLAIM}; sync {FOLDER}",
            impact=Impact.DESTROY,
            timeout=STOP_SECONDS,
        )


def aside(instance: Instance) -> Ask:
    """Data directories that were set aside, one a line."""
    return Ask(asides(instance.data_directory))
