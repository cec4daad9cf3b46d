"""What became of the backups that the timers began: a skip on a standby, or a failure."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import ClassVar

from pgprovision.engine.model import Answer, Ask, Diff, Do, Resource, State
from pgprovision.quote import sh

SKIPPED = "exec-condition"  # systemd's result where ExecCondition says no


@dataclass(frozen=True, kw_only=True)
class ScheduledBackup(Resource):
    """The latest run of each timer. Only reported."""

    kind: ClassVar[str] = "scheduled backups"
    types: tuple[str, ...]

    @property
    def name(self) -> str:
        return ", ".join(self.types)

    def probe(self) -> Ask:
        units = [f"pgbackrest-backup@{kind}.service" for kind in self.types]
        keys = "Id,ActiveState,Result,InactiveEnterTimestamp"
        return Ask(sh("systemctl", "show", "-p", keys, "--", *units))

    def read(self, answer: Answer) -> State:
        said = []
        for block in answer.text.strip().split("\n\n"):
            seen = dict(line.split("=", 1) for line in block.splitlines() if "=" in line)
            unit, when = seen.get("Id", ""), seen.get("InactiveEnterTimestamp", "")
            kind = unit.partition("@")[2].partition(".")[0]
            if seen.get("Result") == SKIPPED:
                said.append(f"the {kind} backup due {when} was skipped: not the primary")
            elif seen.get("ActiveState") == "failed":
                said.append(f"the {kind} backup due {when} FAILED: journalctl -u {unit}")
        return {"said": tuple(said)}

    def desired(self) -> State:
        return {}

    def change(self, diff: Diff) -> Iterable[Do]:
        return ()

    def remarks(self, state: State) -> tuple[str, ...]:
        said = state["said"]
        return tuple(map(str, said)) if isinstance(said, tuple) else ()
