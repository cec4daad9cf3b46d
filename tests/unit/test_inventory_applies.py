"""V22: an inventory that `plan` takes is never refused as bad input by `up`.

Both load it alike; what `up` does more is to carry out every step of every tier. So the cases that
are accepted, and hostile text in every field that takes it, are planned and then carried out, on
machines that believe everything they are sent.
"""

import random
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, ClassVar

import pytest
import yaml

from pgprovision.engine.loop import converge, observe_only
from pgprovision.engine.model import (
    Action,
    Answer,
    Diff,
    Impact,
    Probe,
    Resource,
    State,
    Tier,
    needs_of,
)
from pgprovision.errors import InventoryError
from pgprovision.inventory.loader.loader import load
from pgprovision.inventory.problems import BadInventory
from pgprovision.inventory.schema.cluster import Inventory
from pgprovision.run.observers import RunObservers
from pgprovision.tasks import tiers
from pgprovision.transport import framing
from tests.unit.test_inventory_hostile import FIELDS, accepted, ended, folder
from tests.unit.test_inventory_inputs import CASES, folder_of
from tests.unit.test_runbook import Nowhere

__all__ = ["folder"]

NOW = datetime(2026, 1, 1, tzinfo=UTC)
EXAMPLES = 80  # of hostile text; a tenth of a second each


@dataclass
class Believing:
    """A target where everything that is sent is done at once, and nothing was there before."""

    name: str
    recorded: set[str] = field(default_factory=set)
    steps: int = 0

    def observe(self, probes: Sequence[Probe]) -> Mapping[Probe, Answer]:
        return {probe: Answer(0 if probe.text in self.recorded else 4) for probe in probes}

    def act(self, actions: Sequence[Action], done: Callable[[Action], None]) -> None:
        sent = [a.stdin if isinstance(a.stdin, bytes) else a.stdin.reveal() for a in actions]
        steps = [framing.ShellStep(a.text, s) for a, s in zip(actions, sent, strict=True)]
        framing.encode(steps, framing.new_mark(), stop_on_failure=True)
        self.steps += len(steps)
        for action in actions:
            self.recorded.add(action.why.partition("\0")[2])
            done(action)


@dataclass(frozen=True, kw_only=True)
class Recorded(Resource):
    """A resource that counts as true once its actions were carried out."""

    kind: ClassVar[str] = "told"
    resource: Resource
    number: int

    @property
    def name(self) -> str:
        return f"{self.number} {self.resource}"

    def probe(self) -> Probe:
        return Probe(self.name)

    def read(self, answer: Answer) -> State | None:
        desired = self.resource.desired()
        return {} if answer.code and desired is None else None if answer.code else desired

    def desired(self) -> State | None:
        return self.resource.desired()

    def change(self, diff: Diff) -> Iterable[Action]:
        for action in self.resource.change(Diff(None, self.desired())):
            yield Action(
                f"{action.why}\0{self.name}", action.text, action.stdin, impact=action.impact
            )


def recorded(planned_tiers: Sequence[Tier]) -> list[Tier]:
    number = iter(range(10**6))
    return [
        Tier(
            tier.title,
            tuple(
                Recorded(on=resource.on, resource=resource, number=next(number))
                for resource in tier.resources
                if resource.desired() and tuple(resource.change(Diff(None, resource.desired())))
            ),
        )
        for tier in planned_tiers
    ]


def plan_of(inventory: Inventory) -> Sequence[Tier] | None:
    """What `plan` would show; None where it is bad input by then."""
    try:
        all_tiers = tiers(inventory, inventory.nodes, NOW)
        converge(
            all_tiers,
            {name: Nowhere(name) for name in names(all_tiers)},
            observe_only,
            RunObservers(),
        )
    except InventoryError:
        return None
    return all_tiers


def names(planned_tiers: Sequence[Tier]) -> set[str]:
    needed = {
        n.on for tier in planned_tiers for resource in tier.resources for n in needs_of(resource)
    }
    return needed | {resource.on for tier in planned_tiers for resource in tier.resources}


def applied(planned_tiers: Sequence[Tier]) -> int:
    """Every step of `up`, carried out; how many there were. Raises InventoryError."""
    targets = {name: Believing(name) for name in names(planned_tiers)}
    report = converge(
        recorded(planned_tiers),
        targets,
        lambda changes: Impact.DESTROY,
        RunObservers(),
        sleep=lambda s: None,
    )
    assert report.remaining == []
    return sum(target.steps for target in targets.values())


@pytest.mark.covers("V22")
def test_case_when_plan_takes_it_then_up_does_not_call_it_bad_input(tmp_path: Path) -> None:
    took = 0
    for number, file in enumerate(CASES):
        case: Mapping[str, Any] = yaml.safe_load(file.read_text())
        if case["problems"]:
            continue
        planned_tiers = plan_of(load(folder_of(case, tmp_path / str(number)).path))
        if planned_tiers is not None:
            took += 1
            assert applied(planned_tiers) > 20, file.stem
    assert took > 15


@pytest.mark.covers("V22")
def test_hostile_text_when_plan_takes_it_then_up_does_not_call_it_bad_input(
    folder: Any,
) -> None:
    chance, took = random.Random(22), 0
    pairs = [(field, text) for field in FIELDS for text in accepted(field)]
    for place, text in chance.sample(pairs, EXAMPLES):
        found = ended(folder, place, text)
        planned_tiers = None if isinstance(found, BadInventory) else plan_of(found)
        if planned_tiers is not None:
            took += 1
            try:
                assert applied(planned_tiers) > 20
            except InventoryError as wrong:
                pytest.fail(f"{place} took {text!r} in a plan: {wrong}")
    assert took > EXAMPLES // 4
