"""A daemon that reads its configuration only when it starts, and files written since."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import ClassVar

from pgprovision.engine.model import Action, Answer, Diff, Probe, Resource, State
from pgprovision.quote import sh


@dataclass(frozen=True, kw_only=True)
class ConfigurationApplied(Resource):
    """The unit was started after its file was written. Only for daemons that can be restarted at
    any time; one that does not run reads the file when it starts."""

    kind: ClassVar[str] = "daemon configuration"
    unit: str
    path: str

    @property
    def name(self) -> str:
        return self.unit

    def probe(self) -> Probe:
        keys = "ActiveState,ActiveEnterTimestamp"
        show = sh("systemctl", "show", "--timestamp=us+utc", "-p", keys, "--", self.unit)
        newer = f'find {sh(self.path)} -newermt "$since" 2>/dev/null'
        return Probe(
            f"{show} | {{ while IFS== read -r k v; do case $k in\n"
            "  ActiveState) state=$v;; *) since=$v;; esac; done\n"
            f'[ "$state" = active ] && [ -n "$({newer})" ] && echo older || echo read; }}'
        )

    def read(self, answer: Answer) -> State:
        return {"configuration": answer.text.strip()}

    def desired(self) -> State:
        return {"configuration": "read"}

    def change(self, diff: Diff) -> Iterable[Action]:
        if diff.before is None:
            return  # on a new machine the file comes first
        yield Action(
            f"restart {self.unit}: its configuration is new", sh("systemctl", "restart", self.unit)
        )
