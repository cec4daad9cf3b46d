"""The desired state of a model's world, and where it should end: the loop's own nouns on one side,
arithmetic that knows nothing of them (`expected_state`) on the other."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import ClassVar, Self

from pgprovision.engine.loop import CLOUD
from pgprovision.engine.model import (
    Action,
    Diff,
    Facts,
    Impact,
    Need,
    Probe,
    State,
    Tier,
    Waiting,
    WithNeeds,
    WithOrder,
)
from tests.model.machines import ModelState, action_name
from tests.model.machines import ObjectsByMachine as WorldState
from tests.support.fake_resources import NamedResource

UNKNOWN = "(known once it is made)"


def probe_of(name: str) -> Probe:
    return Probe(json.dumps(["look", name]))


@dataclass(frozen=True, kw_only=True)
class ModelResource(NamedResource):
    """Something under a name on one machine."""

    timeout: ClassVar[float] = 50

    def probe(self) -> Probe:
        return probe_of(self.object_name)

    def action(self, verb: str, *rest: str, impact: Impact = Impact.NONE) -> Action:
        text = json.dumps([verb, self.object_name, *rest])
        return Action(action_name(text), text, impact=impact)


@dataclass(frozen=True, kw_only=True)
class ModelServer(ModelResource):
    """A machine of the cloud's. `object_name` is `server NAME`."""

    kind: ClassVar[str] = "server"
    on: str = CLOUD

    def desired(self) -> State:
        return {"size": "1"}

    def change(self, diff: Diff) -> Iterable[Action]:
        yield self.action("set", "size", "1")


@dataclass(frozen=True, kw_only=True)
class ModelFile(ModelResource):
    """Values, a step for each; other keys are people's. None declares it absent."""

    kind: ClassVar[str] = "file"
    values: tuple[tuple[str, str], ...] | None

    def desired(self) -> State | None:
        return None if self.values is None else dict(self.values)

    def change(self, diff: Diff) -> Iterable[Action]:
        if self.values is None:
            yield self.action("remove")
        for key in diff.keys if self.values is not None else ():
            yield self.action("set", key, dict(self.values or ())[key])


@dataclass(frozen=True, kw_only=True)
class ModelSetting(ModelResource):
    """Written, then in force after a restart: two steps, each seen for itself."""

    kind: ClassVar[str] = "setting"
    value: str

    def desired(self) -> State:
        return {"written": self.value, "running": self.value}

    def change(self, diff: Diff) -> Iterable[Action]:
        if diff.changed("written"):
            yield self.action("set", "written", self.value)
        yield self.action("restart", impact=Impact.RESTART)


@dataclass(frozen=True, kw_only=True)
class ModelData(ModelResource):
    """Long work that makes something nobody can make again. Absent: that destroys it."""

    kind: ClassVar[str] = "data"
    present: bool = True

    def desired(self) -> State | None:
        return {"made": "yes"} if self.present else None

    def change(self, diff: Diff) -> Iterable[Action]:
        if self.present:
            yield self.action("begin")
        else:
            yield self.action("remove", impact=Impact.DESTROY)


@dataclass(frozen=True, kw_only=True)
class ModelCopy(ModelResource, WithNeeds, WithOrder):
    """Names the data of another machine, which have to be there first."""

    kind: ClassVar[str] = "copy"
    of: str
    source: str = ""

    def needs(self) -> tuple[Need, ...]:
        return (Need(self.of, probe_of("data")),)

    def resolved(self, facts: Facts) -> Self:
        answer = facts.get(self.of, probe_of("data"))
        data = json.loads(answer.text) if answer and not answer.code else {}
        return replace(self, source=data.get("id", ""))

    def blocked_by(self, diff: Diff) -> Waiting | None:
        return None if self.source else Waiting(f"the data of {self.of} first", 50)

    def desired(self) -> State:
        return {"of": self.source or UNKNOWN}

    def change(self, diff: Diff) -> Iterable[Action]:
        yield self.action("set", "of", self.source or UNKNOWN)


LAYERS: tuple[tuple[type[ModelResource], ...], ...] = (
    (ModelServer,),
    (ModelFile,),
    (ModelData, ModelCopy),
    (ModelSetting,),
)


def model_tiers(resources: Sequence[ModelResource]) -> tuple[Tier, ...]:
    """The resources, each in its tier, in the order they are given."""
    return tuple(
        Tier(
            layer[0].kind, tuple(resource for resource in resources if isinstance(resource, layer))
        )
        for layer in LAYERS
    )


def expected_state(resources: Sequence[ModelResource], world: ModelState) -> WorldState:
    """Where an undisturbed run must end, from what is there now."""
    state = world.state
    for resource in sorted(resources, key=lambda one: isinstance(one, ModelCopy)):
        objects = state[resource.on]
        values_ = dict(objects.get(resource.object_name, {}))
        match resource:
            case ModelServer():
                values_["size"] = "1"
            case ModelFile(values=None) | ModelData(present=False):
                objects.pop(resource.object_name, None)
                continue
            case ModelFile(values=values):
                values_ |= dict(values or ())
            case ModelSetting(value=value):
                values_ |= {"written": value, "running": value}
            case ModelData() if values_.get("made") != "yes":
                values_ |= {
                    "made": "yes",
                    "id": f"{resource.on}-{world.machines[resource.on].created_count + 1}",
                }
            case ModelCopy(of=of):
                values_["of"] = state[of]["data"]["id"]
        objects[resource.object_name] = values_
    return state


def managed_values(resources: Sequence[ModelResource], state: WorldState) -> Mapping[str, object]:
    """Only what is declared: two paths to one desired state end alike in this."""
    found: dict[str, object] = {}
    for resource in resources:
        thing = state[resource.on].get(resource.object_name)
        keys = [key for key in resource.desired() or () if not isinstance(resource, ModelCopy)]
        found[f"{resource.on} {resource.object_name}"] = thing and {
            key: thing.get(key) for key in keys
        }
    return found
