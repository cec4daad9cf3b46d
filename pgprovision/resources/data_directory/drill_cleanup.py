"""A host after a drill: the restored copy is stopped, its data are set aside, no secret is left."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import ClassVar

from pgprovision.engine.model import Action, Answer, Diff, Impact, Probe, Resource, State
from pgprovision.quote import sh
from pgprovision.resources.data_directory.initdb import list_set_aside, set_aside
from pgprovision.resources.node.identity import CLAIM_FILE, PGPROVISION_DIRECTORY, json_fields
from pgprovision.resources.pgbackrest import info
from pgprovision.resources.postgres.server.instance import Instance, in_progress_file

STOP_SECONDS = 660.0  # the unit's own limit is 600


@dataclass(frozen=True, kw_only=True)
class DrillCleanup(Resource):
    """Removes the drill's copy from a host that is claimed for `node` of `cluster`. A host that
    another cluster has claimed, or that is finished (it has a marker), is left alone."""

    kind: ClassVar[str] = "drill clean-up"
    cluster: str
    node: str
    instance: Instance
    jobs: tuple[str, ...] = ()
    """Units that may still run; they are stopped."""

    @property
    def name(self) -> str:
        return f"{self.instance.version}/{self.instance.name}"

    def probe(self) -> Probe:
        return Probe(f"[ ! -e {CLAIM_FILE} ] || cat {CLAIM_FILE}")

    def read(self, answer: Answer) -> State | None:
        owner = json_fields(answer.text, "cluster", "node")
        return {"claim": True} if owner == (self.cluster, self.node) else None

    def desired(self) -> None:
        return None

    def change(self, diff: Diff) -> Iterable[Action]:
        target_instance = self.instance
        data = target_instance.data_directory
        leftovers = [f"{data}.pgprovision-{word}" for word in ("restored", "progress", "checked")]
        files = [
            in_progress_file(target_instance),
            *leftovers,
            info.CONFIG_FILE,
            f"{target_instance.config_directory}",
        ]
        yield Action(
            f"stop {self.name}, set its data aside, remove its secrets",
            f"{sh('systemctl', 'stop', *self.jobs, target_instance.unit)} 2>/dev/null\n"
            f"set -e; ! {sh('systemctl', '--quiet', 'is-active', target_instance.unit)}\n"
            f"{set_aside(data)}\n"
            f"rm -rf {sh(*files)} {sh(f'{data}.pgprovision-recovery')}"
            f" {PGPROVISION_DIRECTORY}/tls\n"
            f"systemctl daemon-reload; rm {CLAIM_FILE}; sync {PGPROVISION_DIRECTORY}",
            impact=Impact.DESTROY,
            timeout=STOP_SECONDS,
        )


def set_aside_probe(instance: Instance) -> Probe:
    """Prints the data directories that were set aside, one per line."""
    return Probe(list_set_aside(instance.data_directory))
