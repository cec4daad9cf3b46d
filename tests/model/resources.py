"""What is wished for in a model's world, and where it should end: the loop's own nouns on one side,
arithmetic that knows nothing of them (`goal`) on the other."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import ClassVar, Self

from pgprovision.engine.loop import CLOUD
from pgprovision.engine.model import Ask, Diff, Do, Facts, Impact, Need, State, Tier, Waiting
from tests.model.machines import State as WorldState
from tests.model.machines import World, why
from tests.support.fake_resources import Called

UNKNOWN = "(known once it is made)"


def look(name: str) -> Ask:
    return Ask(json.dumps(["look", name]))


@dataclass(frozen=True, kw_only=True)
class Wish(Called):
    """Something under a name on one machine."""

    patience: ClassVar[float] = 50

    def probe(self) -> Ask:
        return look(self.called)

    def step(self, verb: str, *rest: str, impact: Impact = Impact.NONE) -> Do:
        text = json.dumps([verb, self.called, *rest])
        return Do(why(text), text, impact=impact)


@dataclass(frozen=True, kw_only=True)
class Server(Wish):
    """A machine of the cloud's. `called` is `server NAME`."""

    kind: ClassVar[str] = "server"
    on: str = CLOUD

    def desired(self) -> State:
        return {"size": "1"}

    def change(self, diff: Diff) -> Iterable[Do]:
        yield self.step("set", "size", "1")


@dataclass(frozen=True, kw_only=True)
class File(Wish):
    """Values, a step for each; other keys are people's. None declares it absent."""

    kind: ClassVar[str] = "file"
    values: tuple[tuple[str, str], ...] | None

    def desired(self) -> State | None:
        return None if self.values is None else dict(self.values)

    def change(self, diff: Diff) -> Iterable[Do]:
        if self.values is None:
            yield self.step("remove")
        for key in diff.keys if self.values is not None else ():
            yield self.step("set", key, dict(self.values or ())[key])


@dataclass(frozen=True, kw_only=True)
class Setting(Wish):
    """Written, then in force after a restart: two steps, each seen for itself."""

    kind: ClassVar[str] = "setting"
    value: str

    def desired(self) -> State:
        return {"written": self.value, "running": self.value}

    def change(self, diff: Diff) -> Iterable[Do]:
        if diff.moved("written"):
            yield self.step("set", "written", self.value)
        yield self.step("restart", impact=Impact.RESTART)


@dataclass(frozen=True, kw_only=True)
class Data(Wish):
    """Long work that makes something nobody can make again. Absent: that destroys it."""

    kind: ClassVar[str] = "data"
    present: bool = True

    def desired(self) -> State | None:
        return {"made": "yes"} if self.present else None

    def change(self, diff: Diff) -> Iterable[Do]:
        if self.present:
            yield self.step("begin")
        else:
            yield self.step("remove", impact=Impact.DESTROY)


@dataclass(frozen=True, kw_only=True)
class Copy(Wish):
    """Names the data of another machine, which have to be there first."""

    kind: ClassVar[str] = "copy"
    of: str
    source: str = ""

    def needs(self) -> tuple[Need, ...]:
        return (Need(self.of, look("data")),)

    def settled(self, facts: Facts) -> Self:
        answer = facts.get(self.of, look("data"))
        found = json.loads(answer.text) if answer and not answer.code else {}
        return replace(self, source=found.get("id", ""))

    def held(self, diff: Diff) -> Waiting | None:
        return None if self.source else Waiting(f"the data of {self.of} first", 50)

    def desired(self) -> State:
        return {"of": self.source or UNKNOWN}

    def change(self, diff: Diff) -> Iterable[Do]:
        yield self.step("set", "of", self.source or UNKNOWN)


LAYERS: tuple[tuple[type[Wish], ...], ...] = ((Server,), (File,), (Data, Copy), (Setting,))


def tiers(wishes: Sequence[Wish]) -> tuple[Tier, ...]:
    """The wishes, each in its tier, in the order they are given."""
    return tuple(
        Tier(layer[0].kind, tuple(wish for wish in wishes if isinstance(wish, layer)))
        for layer in LAYERS
    )


def goal(wishes: Sequence[Wish], world: World) -> WorldState:
    """Where an undisturbed run must end, from what is there now."""
    state = world.state
    for wish in sorted(wishes, key=lambda wish: isinstance(wish, Copy)):
        things = state[wish.on]
        thing = dict(things.get(wish.called, {}))
        match wish:
            case Server():
                thing["size"] = "1"
            case File(values=None) | Data(present=False):
                things.pop(wish.called, None)
                continue
            case File(values=values):
                thing |= dict(values or ())
            case Setting(value=value):
                thing |= {"written": value, "running": value}
            case Data() if thing.get("made") != "yes":
                thing |= {"made": "yes", "id": f"{wish.on}-{world.machines[wish.on].made + 1}"}
            case Copy(of=of):
                thing["of"] = state[of]["data"]["id"]
        things[wish.called] = thing
    return state


def managed(wishes: Sequence[Wish], state: WorldState) -> Mapping[str, object]:
    """Only what is wished for: two paths to one wish end alike in this."""
    found: dict[str, object] = {}
    for wish in wishes:
        thing = state[wish.on].get(wish.called)
        keys = [key for key in wish.desired() or () if not isinstance(wish, Copy)]
        found[f"{wish.on} {wish.called}"] = thing and {key: thing.get(key) for key in keys}
    return found
