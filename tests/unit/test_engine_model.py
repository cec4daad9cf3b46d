"""The loop under every fault the model knows, in any order: V1 to V13, V19 to V21, V24.

`make model` runs it longer. Each rule is a transition; each is judged against arithmetic that does
not know the loop (`expected_state`), or against a twin of the world where nothing went wrong.
"""

import os
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import Phase as Stage
from hypothesis.stateful import run_state_machine_as_test

from pgprovision.engine import loop, observe
from pgprovision.transport import host
from tests.model.connections import SequentialPool
from tests.model.disturbed import DisturbedRuns
from tests.model.loop_model import LoopModel, counters
from tests.model.undisturbed import UndisturbedRuns
from tests.support.result_files import write_result

EXAMPLES = int(os.environ.get("PGP_EXAMPLES", "0"))


class Model(UndisturbedRuns, DisturbedRuns):
    """All rules at once."""


CALM = pytest.mark.covers("V1", "V2", "V3", "V6", "V7", "V8", "V9", "V12", "V20")
DISTURBED = pytest.mark.covers("V4", "V5", "V10", "V11", "V13", "V19", "V21", "V24")
MODELS = [  # and their tenths of the examples
    pytest.param(UndisturbedRuns, 2, id="calm", marks=CALM),
    pytest.param(DisturbedRuns, 4, id="troubled", marks=DISTURBED),
    pytest.param(Model, 4, id="all-at-once"),
]


@pytest.fixture
def one_after_the_other(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    for module in (loop, observe):
        monkeypatch.setattr(module, "ThreadPoolExecutor", SequentialPool)
    monkeypatch.setattr(
        host, "RECONNECT_SECONDS", 0.0
    )  # a host that is gone here stays away for a run
    yield
    if EXAMPLES:
        write_result("model", dict(sorted(counters.items())))


@pytest.mark.parametrize(("model", "share"), MODELS)
def test_loop_when_anything_happens_in_any_order_then_the_invariants_are_true(
    one_after_the_other: None, model: type[LoopModel], share: int
) -> None:
    run_state_machine_as_test(
        model,
        settings=settings(
            max_examples=(EXAMPLES or 100) * share // 10,
            stateful_step_count=12,
            derandomize=not EXAMPLES,
            database=None,
            phases=(Stage.generate,),
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
