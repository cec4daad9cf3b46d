"""The running postmaster: is its program still the one on disk, and the OOM killer kept off?"""

from dataclasses import dataclass
from typing import ClassVar

from pgprovision.engine.model import Answer, Check, Probe, State, WithNotes
from pgprovision.resources.postgres.server.instance import Instance

OOM_SCORE = -900  # as postgresql-override.conf has it


def postmaster_pid(instance: Instance) -> str:
    """Shell text that sets $p to the postmaster's process id, or to nothing."""
    file = f"{instance.data_directory}/postmaster.pid"
    return f'p=; [ ! -r {file} ] || read -r p <{file}; [ -d "/proc/$p" ] || p='


@dataclass(frozen=True, kw_only=True)
class PostmasterCheck(Check, WithNotes):
    """Reports two things: a program on disk that is not the one that runs (only a restart changes
    that), and a kernel that may kill it first."""

    kind: ClassVar[str] = "postmaster"
    instance: Instance

    @property
    def name(self) -> str:
        return self.instance.unit

    def probe(self) -> Probe:
        return Probe(
            f'{postmaster_pid(self.instance)}; [ -n "$p" ] || exit 0\n'
            'cat "/proc/$p/oom_score_adj"; readlink "/proc/$p/exe"'
        )

    def read(self, answer: Answer) -> State:
        score, _, program = answer.text.strip().partition("\n")
        if not score:
            return {}
        return {"oom_score": int(score), "binary_replaced": program.endswith(" (deleted)")}

    def desired(self) -> State:
        return {}

    def notes(self, state: State) -> tuple[str, ...]:
        messages = []
        if state.get("binary_replaced"):
            messages.append("binary newer than process: PostgreSQL runs as before its upgrade")
        score = state.get("oom_score", OOM_SCORE)
        if isinstance(score, int) and score > OOM_SCORE:
            messages.append(
                f"cannot be set in here (a container): the postmaster's OOM score is {score},"
                f" expected {OOM_SCORE}"
            )
        return tuple(messages)
