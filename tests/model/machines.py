"""Small worlds for the real loop: machines and a cloud that are plain values, and their faults.

Everything above the wire is the product's: `converge`, `Host`, frames, `LockKeeper`, the lock's
talk. Below it a machine is a dictionary, a rising number and whoever holds it; its faults come at
the k-th step of a run. Steps and looks are JSON, so that a machine needs no shell."""

import json
from collections import Counter
from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass, field
from typing import Literal, Self

from pgprovision.engine.loop import CLOUD
from pgprovision.engine.model import Answer

HOSTS = ("a", "b", "c")
JOB_PROBES = BOOT_PROBES = 2  # looks that long work, or a boot, is still seen under way

FaultPhase = Literal["before", "after", "late"]
FaultKind = Literal["kill", "lose", "fail", "gone", "stall", "stop"]
ObjectsByMachine = dict[str, dict[str, dict[str, str]]]


class Killed(BaseException):
    """The process is gone: nothing after this is reported, and nothing is tidied."""


@dataclass(frozen=True)
class ModelFault:
    """What goes wrong at the k-th step (from 0) that a run sends to one machine."""

    kind: FaultKind
    on: str
    at: int
    phase: FaultPhase = "before"


def action_name(text: str) -> str:
    """What a step is called: without the value, which a plan may not know yet."""
    return " ".join(json.loads(text)[:3])


@dataclass(frozen=True)
class ModelWrite:
    """A step that a machine carried out: its run, its number, and the one in force."""

    run: int
    on: str
    why: str
    fencing_token: int | None
    fence: str


@dataclass
class ModelMachine:
    """`late_actions`: what a run that is gone still does before the next one is let in."""

    name: str
    objects: dict[str, dict[str, str]] = field(default_factory=dict)
    running_jobs: dict[str, int] = field(default_factory=dict)
    created_count: int = 0
    booting: int = 0
    fence: str = ""
    lock_owner: str | None = None
    lock_channel: object | None = None
    late_actions: list[str] = field(default_factory=list)
    unreachable: bool = False

    def __deepcopy__(self, memo: dict[int, object]) -> Self:
        """Without whoever holds it: runs are not copied."""
        plain = {k: deepcopy(v) for k, v in vars(self).items() if k != "lock_channel"}
        return type(self)(**plain)

    def answer(self, name: str) -> Answer:
        if name in self.running_jobs:
            self.running_jobs[name] -= 1
            if self.running_jobs[name] > 0:
                return Answer(0, b'{"waiting": "under way"}')
            del self.running_jobs[name]
            self.created_count += 1
            self.objects.setdefault(name, {}).update(
                made="yes", id=f"{self.name}-{self.created_count}"
            )
        thing = self.objects.get(name)
        return Answer(4) if thing is None else Answer(0, json.dumps(thing).encode())

    def apply(self, text: str) -> None:
        """One step: set, remove, restart, begin."""
        verb, name, *rest = json.loads(text)
        match verb:
            case "set":
                self.objects.setdefault(name, {})[rest[0]] = rest[1]
            case "remove":
                self.objects.pop(name, None)
            case "restart":
                self.objects[name]["running"] = self.objects[name]["written"]
            case "begin":
                assert name not in self.running_jobs, f"{self.name}: a twin of {name} was begun"
                self.running_jobs[name] = JOB_PROBES


@dataclass
class ModelState:
    """The cloud and the machines; `writes` is what really happened, in order."""

    machines: dict[str, ModelMachine] = field(
        default_factory=lambda: {name: ModelMachine(name) for name in (CLOUD, *HOSTS)}
    )
    writes: list[ModelWrite] = field(default_factory=list)
    runs: int = 0

    @property
    def state(self) -> ObjectsByMachine:
        return {name: deepcopy(machine.objects) for name, machine in self.machines.items()}

    def exists(self, host: str) -> bool:
        return f"server {host}" in self.machines[CLOUD].objects


@dataclass
class FaultSchedule:
    """One run's. Each strikes once."""

    faults: tuple[ModelFault, ...] = ()
    on_stall: Callable[[], None] = lambda: None
    on_stop: Callable[[], None] = lambda: None
    struck: list[ModelFault] = field(default_factory=list)
    steps: Counter[str] = field(default_factory=Counter)
    dead: bool = False

    def next_fault(self, on: str) -> ModelFault | None:
        at, self.steps[on] = self.steps[on], self.steps[on] + 1
        for fault in self.faults:
            if (fault.on, fault.at) == (on, at):
                self.struck.append(fault)
                return fault
        return None
