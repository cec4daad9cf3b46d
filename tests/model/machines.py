"""Small worlds for the real loop: machines and a cloud that are plain values, and their faults.

Everything above the wire is the product's: `converge`, `Host`, frames, `Keeper`, the lock's talk.
Below it a machine is a dictionary, a rising number and whoever holds it; its faults come at the
k-th step of a run. Steps and looks are JSON, so that a machine needs no shell.
"""

import base64
import json
import re
import shlex
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from copy import deepcopy
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any, Literal, Self

from pgprovision.backends.hold import FENCED
from pgprovision.backends.wire import Line
from pgprovision.engine import CLOUD
from pgprovision.errors import CloudError, Unreachable
from pgprovision.model import Answer, Ask, Do, Waiting

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
    held: "LockLine | None" = None
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
                return Answer(0, b'{"waiting": ""}')
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


class LockLine(Line):
    """The far side of `backends/hold.py`: what its script says, without a shell."""

    def __init__(self, machine: Machine, script: str) -> None:
        self.alive = True
        self._machine = machine
        self._out: list[str] = ["hold"] if script.lstrip().startswith("echo hold") else []
        self._out += ["held"] if machine.held else ["free"]
        self._out += [_shown(machine.holder), _shown(machine.fence or None)]
        self._out += [] if machine.held else ["own"]

    def send(self, text: str) -> None:
        machine = self._machine
        if not self.alive:
            raise ConnectionError("the line is cut")
        word, _, rest = text.partition(" ")
        if word == "take":
            number, _, record = rest.split(" ")
            machine.fence, machine.held = number, self
            machine.holder = base64.b64decode(record).decode()
            if machine.late:
                self._out.append("busy a step of a run that is gone")
                while machine.late:
                    machine.do(machine.late.pop())
            self._out.append("taken")
        elif word in ("sync", "stop", "end"):
            if word == "stop":
                machine.fence = f"{machine.fence} stopped"
            elif word == "end":
                self.drop()
                machine.holder = None
            self._out.append("ok")

    def drop(self) -> None:
        """The kernel frees the lock: the run is gone, or was silent past its lease."""
        self.alive = False
        if self._machine.held is self:
            self._machine.held = None

    def _piece(self, seconds: float) -> bytes:
        return f"{self._out.pop(0)}\n".encode() if self._out else b""

    def close(self) -> None:
        self.drop()


def _shown(text: str | None) -> str:
    return "-" if text is None else base64.b64encode(text.encode()).decode()


_STEP = re.compile(r"\( (?P<guard>.*?; )?eval (?P<text>.*) \) </dev/null")
_MARK = re.compile(r"printf '%s %s %s\\n' (\S+) (\d+)")


class FakeWire:
    """One run's connection to one machine."""

    def __init__(self, world: World, run: int, machine: Machine, faults: Faults) -> None:
        self._world, self._run, self._machine, self._faults = world, run, machine, faults
        self._lines: list[LockLine] = []

    def run(self, script: bytes, patience: Callable[[], float]) -> Iterator[tuple[bytes, bytes]]:
        self._reach()
        lines = script.decode().splitlines()
        if begun := re.match(r"echo (\S+); echo \1 >&2$", lines[0]):
            yield f"{begun[1]}\n".encode(), f"{begun[1]}\n".encode()
        for body, after in pairwise(lines):
            if (step := _STEP.fullmatch(body)) and (mark := _MARK.search(after)):
                words = shlex.split(step["text"])[0]
                if words.startswith('["look"'):
                    answer = self._machine.answer(json.loads(words)[1])
                else:
                    answer = self._step(words, step["guard"] or "")
                out = answer.out + f"{mark[1]} {mark[2]} {answer.code}\n".encode()
                yield out, answer.err + f"{mark[1]}\n".encode()
                if answer.code and '[ "$c" = 0 ]' in script.decode():
                    return

    def line(self, *command: str) -> Line:
        self._reach()
        self._lines.append(LockLine(self._machine, command[2]))
        return self._lines[-1]

    def close(self) -> None:
        for line in self._lines:
            line.drop()

    def _reach(self) -> None:
        if self._faults.dead or self._machine.gone:
            raise ConnectionError("no route to host")

    def _step(self, text: str, guard: str) -> Answer:
        fault, machine = self._faults.due(self._machine.name), self._machine
        kind, phase = (fault.kind, fault.phase) if fault else (None, None)
        if kind == "stall":
            self._faults.stalled()
        found = re.search(r'"\$f" = (\d+)', guard)
        number = int(found[1]) if found else None
        if guard and str(number) != machine.fence:
            return Answer(FENCED, b"", f"fenced: {machine.fence}".encode())
        if kind == "fail":
            return Answer(1, b"", b"it failed")
        if kind == "kill" and phase == "late":
            machine.late.append(text)
        elif kind not in ("kill", "lose", "gone") or phase == "after":
            machine.do(text)
        if not (kind in ("kill", "lose", "gone") and phase == "before"):
            self._world.writes.append(
                Write(self._run, machine.name, why(text), number, machine.fence)
            )
        if kind == "kill":
            raise Killed
        if kind in ("lose", "gone"):
            machine.gone = kind == "gone"
            raise ConnectionError("reset by peer")
        if kind == "stop":
            self._faults.stopped()
        return Answer(0)


@dataclass
class Cloud:
    """What everything else hangs on. `boots`: a server that was made is not there at once."""

    world: World
    run: int
    faults: Faults
    name: str = CLOUD

    def look(self, asks: Sequence[Ask]) -> Mapping[Ask, Answer]:
        if self.world.machines[CLOUD].gone:
            raise CloudError("the API does not answer", where=CLOUD)
        cloud = self.world.machines[CLOUD]
        return {ask: cloud.answer(json.loads(ask.text)[1]) for ask in asks}

    def act(self, actions: Sequence[Do], done: Callable[[Do], None]) -> None:
        for action in actions:
            fault = self.faults.due(CLOUD)
            if fault and fault.kind == "fail":
                raise CloudError("refused", where=CLOUD)
            kill = fault is not None and fault.kind == "kill"
            if not kill or fault is None or fault.phase != "before":
                _, name, *_ = json.loads(action.text)
                host = name.removeprefix("server ")
                if not self.world.exists(host):
                    self.world.machines[host].booting = BOOT_LOOKS
                self.world.machines[CLOUD].do(action.text)
                self.world.writes.append(Write(self.run, CLOUD, action.why, None, ""))
            if kill:
                raise Killed
            done(action)


def connect(world: World, run: int, host: str, faults: Faults) -> FakeWire | Waiting | None:
    """A wire where there is a server; Waiting while it boots. Raises Unreachable."""
    machine = world.machines[host]
    if not world.exists(host):
        return None
    if machine.gone or faults.dead:
        raise Unreachable("no answer", where=host)
    if machine.booting:
        machine.booting -= 1
        return Waiting("booting", 50)
    return FakeWire(world, run, machine, faults)


class InTurn:
    """The loop's pools, one job after the other: what happens is the same each time."""

    def __init__(self, workers: int = 1) -> None: ...
    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None: ...

    def submit(self, job: Callable[..., Any], *given: object) -> "Future[Any]":
        future: Future[Any] = Future()
        try:
            future.set_result(job(*given))
        except Exception as error:
            future.set_exception(error)
        return future
