"""A small world for the engine: targets that hold plain values, resources that declare them."""

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import ClassVar, Self

from pgprovision.engine.model import (
    Action,
    Answer,
    Change,
    Diff,
    Facts,
    Impact,
    Need,
    Probe,
    Resource,
    State,
    Tier,
    Waiting,
    WithNeeds,
    WithNotes,
    WithOrder,
)
from pgprovision.errors import OutcomeUnknown, PgprovisionError, StepFailed


@dataclass
class FakeTarget:
    """One target. `fail` answers, for the n-th act, with what goes wrong."""

    name: str
    objects: dict[str, dict[str, str]] = field(default_factory=dict)
    probed: list[list[str]] = field(default_factory=list)
    acts: list[str] = field(default_factory=list)
    failure: PgprovisionError | None = None
    booting: int = 0
    lose_response_of: str = ""
    break_on: str = ""

    @property
    def probe_count(self) -> int:
        return len(self.probed)

    def observe(self, probes: Sequence[Probe]) -> Mapping[Probe, Answer] | Waiting | None:
        self.probed.append([one.text for one in probes])
        if self.failure:
            raise self.failure
        if self.booting:
            self.booting -= 1
            return Waiting("booting", 10)
        return {probe: self._answer(probe) for probe in probes}

    def _answer(self, probe: Probe) -> Answer:
        thing = self.objects.get(probe.text)
        return Answer(4) if thing is None else Answer(0, json.dumps(thing).encode())

    def act(self, actions: Sequence[Action], on_done: Callable[[Action], None]) -> None:
        for action in actions:
            self.acts.append(action.why)
            if action.why == self.break_on:
                raise StepFailed(f"{action.why} failed", where=self.name)
            name, _, values = action.text.partition(" ")
            self.objects.setdefault(name, {}).update(json.loads(values))
            if action.why == self.lose_response_of:
                self.lose_response_of = ""
                raise OutcomeUnknown("connection lost", where=self.name)
            on_done(action)


@dataclass(frozen=True, kw_only=True)
class NamedResource(Resource):
    """Values under a name, as JSON. `timeout`: how long it is waited for, in seconds.
    `has_end_probe`: its target is asked for the end of what is under way."""

    object_name: str
    has_end_probe: bool = False
    timeout: ClassVar[float] = 5

    @property
    def name(self) -> str:
        return self.object_name

    def probe(self) -> Probe:
        return Probe(self.object_name)

    def read(self, answer: Answer) -> State | Waiting | None:
        if answer.code:
            return None
        found: dict[str, str] = json.loads(answer.text)
        if "waiting" not in found:
            return found
        return Waiting(
            found["waiting"], self.timeout, self._end_probe if self.has_end_probe else None
        )

    def _end_probe(self, seconds: float) -> Probe:
        return Probe(f"end of {self.object_name}")


@dataclass(frozen=True, kw_only=True)
class FakeResource(NamedResource, WithNeeds, WithOrder, WithNotes):
    """Values under a name. `stubborn`: acting changes nothing. `after`: the target where the same
    has to be there first."""

    kind: ClassVar[str] = "thing"
    declared: tuple[tuple[str, str], ...] = (("a", "1"),)
    impact: Impact = Impact.NONE
    stubborn: bool = False
    never_acts: bool = False
    reconnects: bool = False
    after: str = ""
    ready: bool = True

    def needs(self) -> tuple[Need, ...]:
        return (Need(self.after, self.probe()),) if self.after else ()

    def resolved(self, facts: Facts) -> Self:
        answer = facts.get(self.after, self.probe()) if self.after else None
        return replace(self, ready=not self.after or (answer is not None and not answer.code))

    def blocked_by(self, diff: Diff) -> Waiting | None:
        return None if self.ready else Waiting(f"{self.after} first", 5)

    def notes(self, state: State) -> tuple[str, ...]:
        return (str(state["remark"]),) if "remark" in state else ()

    def desired(self) -> State:
        return dict(self.declared)

    def change(self, diff: Diff) -> Iterable[Action]:
        if self.never_acts:
            return
        for key in diff.keys:
            value = {} if self.stubborn else {key: self.desired()[key]}
            text = f"{self.object_name} {json.dumps(value)}"
            yield Action(
                f"set {self.object_name}.{key}",
                text,
                impact=self.impact,
                reconnects=self.reconnects,
            )


@dataclass
class RecordingObserver:
    """A watcher that remembers."""

    done_actions: list[str] = field(default_factory=list)
    wait_reasons: list[str] = field(default_factory=list)

    def tier_started(self, tier: Tier) -> None: ...
    def acting(self, changes: Sequence[Change]) -> None: ...
    def target_failed(self, target: str, error: Exception) -> None: ...

    def action_done(self, change: Change, action: Action) -> None:
        self.done_actions.append(action.why)

    def waiting(self, resource: Resource, waiting: Waiting, seconds: float) -> None:
        self.wait_reasons.append(waiting.reason)
