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
from pgprovision.engine.model import Action, Answer, Probe, Waiting
from pgprovision.errors import CloudError, Unreachable
from pgprovision.transport.connection import Channel
from pgprovision.transport.lock import FENCED_EXIT_CODE
from tests.model.machines import (
    BOOT_PROBES,
    FaultSchedule,
    Killed,
    ModelMachine,
    ModelState,
    ModelWrite,
    action_name,
)


class FakeLockChannel(Channel):
    """The far side of `transport/lock.py`: what its script says, without a shell."""

    def __init__(self, machine: ModelMachine, script: str) -> None:
        self.alive = True
        self._machine = machine
        self._replies: list[str] = ["", "hold"] if "echo hold\n" in script else []
        self._replies += ["held"] if machine.lock_channel else ["free"]
        self._replies += [_encoded(machine.lock_owner), _encoded(machine.fence or None)]
        self._replies += [] if machine.lock_channel else ["own"]

    def send_line(self, text: str) -> None:
        machine = self._machine
        if not self.alive:
            raise ConnectionError("the line is cut")
        command, _, rest = text.partition(" ")
        if command == "take":
            number, _, record = rest.split(" ")
            machine.fence, machine.lock_channel = number, self
            machine.lock_owner = base64.b64decode(record).decode()
            if machine.late_actions:
                self._replies.append("busy a step of a run that is gone")
                while machine.late_actions:
                    machine.apply(machine.late_actions.pop())
            self._replies.append("taken")
        elif command in ("sync", "stop", "end"):
            if command == "stop":
                machine.fence = f"{machine.fence} stopped"
            elif command == "end":
                self.release()
                machine.lock_owner = None
            self._replies.append("ok")

    def release(self) -> None:
        """The kernel frees the lock: the run is gone, or was silent past its lease."""
        self.alive = False
        if self._machine.lock_channel is self:
            self._machine.lock_channel = None

    def _receive_bytes(self, seconds: float) -> bytes:
        return f"{self._replies.pop(0)}\n".encode() if self._replies else b""

    def close(self) -> None:
        self.release()


def _encoded(text: str | None) -> str:
    return "-" if text is None else base64.b64encode(text.encode()).decode()


_STEP_LINE = re.compile(r"\( (?P<guard>.*?; )?eval (?P<text>.*) \) </dev/null")
_MARK_LINE = re.compile(r"printf '%s %s %s\\n' (\S+) (\d+)")


class FakeConnection:
    """One run's connection to one machine."""

    def __init__(
        self, world: ModelState, run: int, machine: ModelMachine, faults: FaultSchedule
    ) -> None:
        self._world, self._run, self._machine, self._faults = world, run, machine, faults
        self._channels: list[FakeLockChannel] = []

    def run(
        self, script: bytes, remaining_seconds: Callable[[], float]
    ) -> Iterator[tuple[bytes, bytes]]:
        self._check_reachable()
        lines = script.decode().splitlines()
        if begun := re.match(r"echo (\S+); echo \1 >&2$", lines[0]):
            yield f"{begun[1]}\n".encode(), f"{begun[1]}\n".encode()
        for body, after in pairwise(lines):
            if (step := _STEP_LINE.fullmatch(body)) and (mark := _MARK_LINE.search(after)):
                step_text = shlex.split(step["text"])[0]
                if step_text.startswith('["look"'):
                    answer = self._machine.answer(json.loads(step_text)[1])
                else:
                    answer = self._step(step_text, step["guard"] or "")
                out = answer.out + f"{mark[1]} {mark[2]} {answer.code}\n".encode()
                yield out, answer.err + f"{mark[1]}\n".encode()
                if answer.code and '[ "$c" = 0 ]' in script.decode():
                    return

    def open_channel(self, *command: str) -> Channel:
        self._check_reachable()
        self._channels.append(FakeLockChannel(self._machine, command[2]))
        return self._channels[-1]

    def close(self) -> None:
        for line in self._channels:
            line.release()

    def _check_reachable(self) -> None:
        if self._faults.dead or self._machine.unreachable:
            raise ConnectionError("no route to host")

    def _step(self, text: str, guard: str) -> Answer:
        fault, machine = self._faults.next_fault(self._machine.name), self._machine
        kind, phase = (fault.kind, fault.phase) if fault else (None, None)
        if kind == "stall":
            self._faults.on_stall()
        found = re.search(r'"\$f" = (\d+)', guard)
        fencing_token = int(found[1]) if found else None
        if guard and str(fencing_token) != machine.fence:
            return Answer(FENCED_EXIT_CODE, b"", f"fenced: {machine.fence}".encode())
        if kind == "fail":
            return Answer(1, b"", b"it failed")
        if kind == "kill" and phase == "late":
            machine.late_actions.append(text)
        elif kind not in ("kill", "lose", "gone") or phase == "after":
            machine.apply(text)
        if not (kind in ("kill", "lose", "gone") and phase == "before"):
            self._world.writes.append(
                ModelWrite(self._run, machine.name, action_name(text), fencing_token, machine.fence)
            )
        if kind == "kill":
            raise Killed
        if kind in ("lose", "gone"):
            machine.unreachable = kind == "gone"
            raise ConnectionError("reset by peer")
        if kind == "stop":
            self._faults.on_stop()
        return Answer(0)


@dataclass
class FakeCloud:
    """What everything else hangs on. `boots`: a server that was made is not there at once."""

    world: ModelState
    run: int
    faults: FaultSchedule
    name: str = CLOUD

    def observe(self, probes: Sequence[Probe]) -> Mapping[Probe, Answer]:
        if self.world.machines[CLOUD].unreachable:
            raise CloudError("the API does not answer", where=CLOUD)
        cloud = self.world.machines[CLOUD]
        return {probe: cloud.answer(json.loads(probe.text)[1]) for probe in probes}

    def act(self, actions: Sequence[Action], on_done: Callable[[Action], None]) -> None:
        for action in actions:
            fault = self.faults.next_fault(CLOUD)
            if fault and fault.kind == "fail":
                raise CloudError("refused", where=CLOUD)
            kill = fault is not None and fault.kind == "kill"
            if not kill or fault is None or fault.phase != "before":
                _, name, *_ = json.loads(action.text)
                host = name.removeprefix("server ")
                if not self.world.exists(host):
                    self.world.machines[host].booting = BOOT_PROBES
                self.world.machines[CLOUD].apply(action.text)
                self.world.writes.append(ModelWrite(self.run, CLOUD, action.why, None, ""))
            if kill:
                raise Killed
            on_done(action)


def connect(
    world: ModelState, run: int, host: str, faults: FaultSchedule
) -> FakeConnection | Waiting | None:
    """A wire where there is a server; Waiting while it boots. Raises Unreachable."""
    machine = world.machines[host]
    if not world.exists(host):
        return None
    if machine.unreachable or faults.dead:
        raise Unreachable("no answer", where=host)
    if machine.booting:
        machine.booting -= 1
        return Waiting("booting", 50)
    return FakeConnection(world, run, machine, faults)


class SequentialPool:
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
