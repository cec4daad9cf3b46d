"""V22: an inventory that `plan` takes is never refused as bad input by `up`.

Both load it alike; what `up` does more is to carry out every step of every tier. So the cases that
are accepted, and hostile text in every field that takes it, are planned and then carried out, on
machines that believe everything they are told.
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
    told: set[str] = field(default_factory=set)
    steps: int = 0

    def observe(self, asks: Sequence[Probe]) -> Mapping[Probe, Answer]:
        return {ask: Answer(0 if ask.text in self.told else 4) for ask in asks}

    def act(self, actions: Sequence[Action], done: Callable[[Action], None]) -> None:
        sent = [a.stdin if isinstance(a.stdin, bytes) else a.stdin.reveal() for a in actions]
        steps = [framing.ShellStep(a.text, s) for a, s in zip(actions, sent, strict=True)]
        framing.encode(steps, framing.new_mark(), stop_on_failure=True)
        self.steps += len(steps)
        for action in actions:
            self.told.add(action.why.partition("\0")[2])
            done(action)


@dataclass(frozen=True, kw_only=True)
class Told(Resource):
    """A wish that counts as true once its actions were carried out."""

    kind: ClassVar[str] = "told"
    wish: Resource
    number: int

    @property
    def name(self) -> str:
        return f"{self.number} {self.wish}"

    def probe(self) -> Probe:
        return Probe(self.name)

    def read(self, answer: Answer) -> State | None:
        wished = self.wish.desired()
        return {} if answer.code and wished is None else None if answer.code else wished

    def desired(self) -> State | None:
        return self.wish.desired()

    def change(self, diff: Diff) -> Iterable[Action]:
        for action in self.wish.change(Diff(None, self.desired())):
            yield Action(
                f"{action.why}\0{self.name}", action.text, action.stdin, impact=action.impact
            )


def told(wishes: Sequence[Tier]) -> list[Tier]:
    number = iter(range(10**6))
    return [
        Tier(
            tier.title,
            tuple(
                Told(on=wish.on, wish=wish, number=next(number))
                for wish in tier.resources
                if wish.desired() and tuple(wish.change(Diff(None, wish.desired())))
            ),
        )
        for tier in wishes
    ]


def planned(inventory: Inventory) -> Sequence[Tier] | None:
    """What `plan` would show; None where it is bad input by then."""
    try:
        wishes = tiers(inventory, inventory.nodes, NOW)
        converge(
            wishes, {name: Nowhere(name) for name in names(wishes)}, observe_only, RunObservers()
        )
    except InventoryError:
        return None
    return wishes


def names(wishes: Sequence[Tier]) -> set[str]:
    needed = {n.on for tier in wishes for wish in tier.resources for n in needs_of(wish)}
    return needed | {wish.on for tier in wishes for wish in tier.resources}


def applied(wishes: Sequence[Tier]) -> int:
    """Every step of `up`, carried out; how many there were. Raises InventoryError."""
    targets = {name: Believing(name) for name in names(wishes)}
    report = converge(
        told(wishes), targets, lambda changes: Impact.DESTROY, RunObservers(), sleep=lambda s: None
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
        wishes = planned(load(folder_of(case, tmp_path / str(number)).path))
        if wishes is not None:
            took += 1
            assert applied(wishes) > 20, file.stem
    assert took > 15


@pytest.mark.covers("V22")
def test_hostile_text_when_plan_takes_it_then_up_does_not_call_it_bad_input(
    folder: Any,
) -> None:
    chance, took = random.Random(22), 0
    pairs = [(field, text) for field in FIELDS for text in accepted(field)]
    for place, text in chance.sample(pairs, EXAMPLES):
        found = ended(folder, place, text)
        wishes = None if isinstance(found, BadInventory) else planned(found)
        if wishes is not None:
            took += 1
            try:
                assert applied(wishes) > 20
            except InventoryError as wrong:
                pytest.fail(f"{place} took {text!r} in a plan: {wrong}")
    assert took > EXAMPLES // 4
