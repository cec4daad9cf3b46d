"""The results of the scheduled backups: skipped on a standby, or failed."""

from dataclasses import dataclass
from typing import ClassVar

from pgprovision.engine.model import Answer, Check, Probe, State, WithNotes
from pgprovision.quote import sh

SKIPPED = "exec-condition"  # systemd's result where ExecCondition says no


@dataclass(frozen=True, kw_only=True)
class BackupTimerResults(Check, WithNotes):
    """The latest run of each timer. Reports only."""

    kind: ClassVar[str] = "backup timer results"
    types: tuple[str, ...]

    @property
    def name(self) -> str:
        return ", ".join(self.types)

    def probe(self) -> Probe:
        units = [f"pgbackrest-backup@{kind}.service" for kind in self.types]
        keys = "Id,ActiveState,Result,InactiveEnterTimestamp"
        return Probe(sh("systemctl", "show", "-p", keys, "--", *units))

    def read(self, answer: Answer) -> State:
        messages = []
        for block in answer.text.strip().split("\n\n"):
            properties = dict(line.split("=", 1) for line in block.splitlines() if "=" in line)
            unit, when = properties.get("Id", ""), properties.get("InactiveEnterTimestamp", "")
            kind = unit.partition("@")[2].partition(".")[0]
            if properties.get("Result") == SKIPPED:
                messages.append(f"the {kind} backup due {when} was skipped: not the primary")
            elif properties.get("ActiveState") == "failed":
                messages.append(f"the {kind} backup due {when} FAILED: journalctl -u {unit}")
        return {"messages": tuple(messages)}

    def desired(self) -> State:
        return {}

    def notes(self, state: State) -> tuple[str, ...]:
        messages = state["messages"]
        return tuple(map(str, messages)) if isinstance(messages, tuple) else ()
