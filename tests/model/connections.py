"""The far side of the product's wires: what a machine's shells would say, without a shell."""

import base64
import json
import re
import shlex
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Self

from pgprovision.engine.loop import CLOUD
from pgprovision.engine.model import Answer, Ask, Do, Waiting
from pgprovision.errors import CloudError, Unreachable
from pgprovision.transport.connection import Line
from pgprovision.transport.lock import FENCED
from tests.model.machines import BOOT_LOOKS, Faults, Killed, Machine, World, Write, why


class LockLine(Line):
    """The far side of `transport/lock.py`: what its script says, without a shell."""

    def __init__(self, machine: Machine, script: str) -> None:
        self.alive = True
        self._machine = machine
        self._out: list[str] = ["", "hold"] if "echo hold\n" in script else []
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
