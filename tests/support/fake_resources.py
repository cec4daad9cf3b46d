"""A small world for the engine: targets that hold plain values, resources that wish for them."""

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import ClassVar, Self

from pgprovision.engine.model import (
    Answer,
    Ask,
    Change,
    Diff,
    Do,
    Facts,
    Impact,
    Need,
    Resource,
    State,
    Waiting,
)
from pgprovision.errors import OutcomeUnknown, PgprovisionError, StepFailed


@dataclass
class World:
    """One target. `fail` answers, for the n-th act, with what goes wrong."""

    name: str
    things: dict[str, dict[str, str]] = field(default_factory=dict)
    asked: list[list[str]] = field(default_factory=list)
    acts: list[str] = field(default_factory=list)
    gone: PgprovisionError | None = None
    booting: int = 0
    lose_answer_of: str = ""
    break_on: str = ""

    @property
    def looks(self) -> int:
        return len(self.asked)

    def look(self, asks: Sequence[Ask]) -> Mapping[Ask, Answer] | Waiting | None:
        self.asked.append([ask.text for ask in asks])
        if self.gone:
            raise self.gone
        if self.booting:
            self.booting -= 1
            return Waiting("booting", 10)
        return {ask: self._answer(ask) for ask in asks}

    def _answer(self, ask: Ask) -> Answer:
        thing = self.things.get(ask.text)
        return Answer(4) if thing is None else Answer(0, json.dumps(thing).encode())

    def act(self, actions: Sequence[Do], done: Callable[[Do], None]) -> None:
        for action in actions:
            self.acts.append(action.why)
            if action.why == self.break_on:
                raise StepFailed(f"{action.why} failed", where=self.name)
            name, _, values = action.text.partition(" ")
            self.things.setdefault(name, {}).update(json.loads(values))
            if action.why == self.lose_answer_of:
                self.lose_answer_of = ""
                raise OutcomeUnknown("connection lost", where=self.name)
            done(action)


@dataclass(frozen=True, kw_only=True)
class Called(Resource):
    """Values under a name, as JSON. `patience`: how long it is waited for, in seconds. `tells`: its
    target is asked for the end of what is under way."""

    called: str
    tells: bool = False
    patience: ClassVar[float] = 5

    @property
    def name(self) -> str:
        return self.called

    def probe(self) -> Ask:
        return Ask(self.called)

    def read(self, answer: Answer) -> State | Waiting | None:
        if answer.code:
            return None
        found: dict[str, str] = json.loads(answer.text)
        if "waiting" not in found:
            return found
        return Waiting(found["waiting"], self.patience, self._end if self.tells else None)

    def _end(self, seconds: float) -> Ask:
        return Ask(f"end of {self.called}")


@dataclass(frozen=True, kw_only=True)
class Thing(Called):
    """Values under a name. `stubborn`: acting changes nothing. `after`: the target where the same
    has to be there first."""

    kind: ClassVar[str] = "thing"
    wish: tuple[tuple[str, str], ...] = (("a", "1"),)
    impact: Impact = Impact.NONE
    stubborn: bool = False
    powerless: bool = False
    reconnects: bool = False
    after: str = ""
    ready: bool = True

    def needs(self) -> tuple[Need, ...]:
        return (Need(self.after, self.probe()),) if self.after else ()

    def settled(self, facts: Facts) -> Self:
        answer = facts.get(self.after, self.probe()) if self.after else None
        return replace(self, ready=not self.after or (answer is not None and not answer.code))

    def held(self, diff: Diff) -> Waiting | None:
        return None if self.ready else Waiting(f"{self.after} first", 5)

    def remarks(self, state: State) -> tuple[str, ...]:
        return (str(state["remark"]),) if "remark" in state else ()

    def desired(self) -> State:
        return dict(self.wish)

    def change(self, diff: Diff) -> Iterable[Do]:
        if self.powerless:
            return
        for key in diff.keys:
            value = {} if self.stubborn else {key: self.desired()[key]}
            text = f"{self.called} {json.dumps(value)}"
            yield Do(
                f"set {self.called}.{key}", text, impact=self.impact, reconnects=self.reconnects
            )


@dataclass
class Seen:
    """A watcher that remembers."""

    done_: list[str] = field(default_factory=list)
    waited: list[str] = field(default_factory=list)

    def tier(self, title: str) -> None: ...
    def acting(self, changes: Sequence[Change]) -> None: ...
    def failed(self, target: str, error: Exception) -> None: ...

    def done(self, change: Change, action: Do) -> None:
        self.done_.append(action.why)

    def waiting(self, resource: Resource, waiting: Waiting, seconds: float) -> None:
        self.waited.append(waiting.reason)
