"""The loop under every fault the model knows, in any order: V1 to V13, V19 to V21, V24.

`make model` runs it longer. Each rule is a transition; each is judged against arithmetic that does
not know the loop (`goal`), or against a twin of the world where nothing went wrong.
"""

import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import Phase as Stage
from hypothesis.stateful import run_state_machine_as_test

from pgprovision import engine, observe
from tests.model.calm import Calm
from tests.model.judged import counted
from tests.model.troubled import Troubled
from tests.model.wires import InTurn

EXAMPLES = int(os.environ.get("PGP_EXAMPLES", "0"))


class Model(Calm, Troubled):
    """All rules at once."""


@pytest.fixture
def one_after_the_other(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    for module in (engine, observe):
        monkeypatch.setattr(module, "ThreadPoolExecutor", InTurn)
    yield
    if folder := os.environ.get("PGP_RESULTS"):
        Path(folder, "model.json").write_text(json.dumps(counted, indent=1, sort_keys=True) + "\n")


def test_model_when_anything_happens_in_any_order_then_the_invariants_hold(
    one_after_the_other: None,
) -> None:
    run_state_machine_as_test(
        Model,
        settings=settings(
            max_examples=EXAMPLES or 100,
            stateful_step_count=12,
            derandomize=not EXAMPLES,
            database=None,
            phases=(Stage.generate,),
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
