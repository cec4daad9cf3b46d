"""Small worlds for the real loop: machines and a cloud that are plain values, and their faults.

Everything above the wire is the product's: `converge`, `Host`, frames, `Keeper`, the lock's talk.
Below it a machine is a dictionary, a rising number and whoever holds it; its faults come at the
k-th step of a run. Steps and looks are JSON, so that a machine needs no shell.
"""

import json
from collections import Counter
from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass, field
from typing import Literal, Self

from pgprovision.engine.loop import CLOUD
from pgprovision.engine.model import Answer

HOSTS = ("a", "b", "c")
JOB_LOOKS = BOOT_LOOKS = 2  # looks that long work, or a boot, is still seen under way

Phase = Literal["before", "after", "late"]
Kind = Literal["kill", "lose", "fail", "gone", "stall", "stop"]
State = dict[str, dict[str, dict[str, str]]]


class Killed(BaseException):
    """The process is gone: nothing after this is told, and nothing is tidied."""


@dataclass(frozen=True)
class Fault:
    """What goes wrong at the k-th step (from 0) that a run sends to one machine."""

    kind: Kind
    on: str
    at: int
    phase: Phase = "before"


def why(text: str) -> str:
    """What a step is called: without the value, which a plan may not know yet."""
    return " ".join(json.loads(text)[:3])


@dataclass(frozen=True)
class Write:
    """A step that a machine carried out: whose, with which number, while which was in force."""

    run: int
    on: str
    why: str
    number: int | None
    fence: str


@dataclass
class Machine:
    """`late`: what a run that is gone still does before the next one is let in."""

    name: str
    things: dict[str, dict[str, str]] = field(default_factory=dict)
    jobs: dict[str, int] = field(default_factory=dict)
    made: int = 0
    booting: int = 0
    fence: str = ""
    holder: str | None = None
    held: object | None = None
    late: list[str] = field(default_factory=list)
    gone: bool = False

    def __deepcopy__(self, memo: dict[int, object]) -> Self:
        """Without whoever holds it: runs are not copied."""
        plain = {k: deepcopy(v) for k, v in vars(self).items() if k != "held"}
        return type(self)(**plain)

    def answer(self, name: str) -> Answer:
        if name in self.jobs:
            self.jobs[name] -= 1
            if self.jobs[name] > 0:
                return Answer(0, b'{"waiting": "under way"}')
            del self.jobs[name]
            self.made += 1
            self.things.setdefault(name, {}).update(made="yes", id=f"{self.name}-{self.made}")
        thing = self.things.get(name)
        return Answer(4) if thing is None else Answer(0, json.dumps(thing).encode())

    def do(self, text: str) -> None:
        """One step: set, remove, restart, begin."""
        verb, name, *rest = json.loads(text)
        match verb:
            case "set":
                self.things.setdefault(name, {})[rest[0]] = rest[1]
            case "remove":
                self.things.pop(name, None)
            case "restart":
                self.things[name]["running"] = self.things[name]["written"]
            case "begin":
                assert name not in self.jobs, f"{self.name}: a twin of {name} was begun"
                self.jobs[name] = JOB_LOOKS


@dataclass
class World:
    """The cloud and the machines; `writes` is what really happened, in order."""

    machines: dict[str, Machine] = field(
        default_factory=lambda: {name: Machine(name) for name in (CLOUD, *HOSTS)}
    )
    writes: list[Write] = field(default_factory=list)
    runs: int = 0

    @property
    def state(self) -> State:
        return {name: deepcopy(machine.things) for name, machine in self.machines.items()}

    def exists(self, host: str) -> bool:
        return f"server {host}" in self.machines[CLOUD].things


@dataclass
class Faults:
    """One run's. Each strikes once."""

    planned: tuple[Fault, ...] = ()
    stalled: Callable[[], None] = lambda: None
    stopped: Callable[[], None] = lambda: None
    struck: list[Fault] = field(default_factory=list)
    steps: Counter[str] = field(default_factory=Counter)
    dead: bool = False

    def due(self, on: str) -> Fault | None:
        at, self.steps[on] = self.steps[on], self.steps[on] + 1
        for fault in self.planned:
            if (fault.on, fault.at) == (on, at):
                self.struck.append(fault)
                return fault
        return None
