"""What an error says is already done: the engine's account, whoever raised it."""

import ast
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

import pgprovision
from pgprovision.engine.loop import converge, observe_only
from pgprovision.engine.model import Answer, Change, Impact, Report, State, Tier, Waiting
from pgprovision.errors import (
    NOTHING_CHANGED,
    CloudError,
    InventoryError,
    Locked,
    OutcomeUnknown,
    PgprovisionError,
    Refused,
    StepFailed,
    Unreachable,
)
from tests.support.fake_resources import FakeResource, FakeTarget, RecordingObserver

ROOT = Path(pgprovision.__file__).parent
BELOW_THE_ENGINE = ("resources", "transport", "clients")


@dataclass(frozen=True, kw_only=True)
class Refusing(FakeResource):
    """Refuses to go on once `trigger` is there, with a claim of its own about the run."""

    error: PgprovisionError

    def read(self, answer: Answer) -> State | Waiting | None:
        if not answer.code:
            raise self.error
        return {"a": "1"}


def allow(changes: Sequence[Change]) -> Impact:
    return Impact.RESTART


def thing(name: str, **values: str) -> FakeResource:
    return FakeResource(on="h", object_name=name, declared=tuple(values.items()) or (("a", "1"),))


def run(host: FakeTarget, *tiers: Tier) -> PgprovisionError:
    with pytest.raises(PgprovisionError) as caught:
        converge(tiers, {"h": host}, allow, RecordingObserver(), sleep=lambda seconds: None)
    return caught.value


class TestRefusalAfterActions:
    @pytest.mark.parametrize(
        "error",
        [
            Refused("not safe", done="nothing was written"),
            InventoryError("no such thing", done="nothing was changed"),
        ],
    )
    def test_refused_when_a_later_look_refuses_then_names_the_changes_that_were_made(
        self, error: PgprovisionError
    ) -> None:
        """`late` looks at what the second tier made: it is absent at first, and then refused."""
        late = Refusing(on="h", object_name="y", error=error)
        host = FakeTarget("h")
        raised = run(
            host, Tier("one", (thing("x"),)), Tier("two", (thing("y"),)), Tier("3", (late,))
        )
        assert host.acts == ["set x.a", "set y.a"]
        assert raised.done == "2 changes: h: thing x, h: thing y"
        assert "already done: 2 changes: h: thing x, h: thing y" in str(raised)
        assert "nothing" not in str(raised)

    def test_refused_when_many_changes_were_made_then_shows_the_last_eight(self) -> None:
        first = tuple(thing(f"x{n}") for n in range(9))
        late = Refusing(on="h", object_name="x8", error=Refused("not safe"))
        raised = run(FakeTarget("h"), Tier("one", first), Tier("two", (late,)))
        assert raised.done.startswith("9 changes, the last: h: thing x1, ")

    def test_refused_when_no_action_ran_then_nothing_was_changed(self) -> None:
        late = Refusing(on="h", object_name="y", error=Refused("not safe", done="7 changes"))
        raised = run(FakeTarget("h", {"y": {"a": "1"}}), Tier("one", (thing("x"), late)))
        assert raised.done == NOTHING_CHANGED


class TestUnfinishedChanges:
    def test_step_failed_when_its_change_was_begun_then_names_what_was_done_of_it(self) -> None:
        host = FakeTarget("h", break_on="set y.b")
        failing = FakeResource(
            on="h", object_name="y", declared=(("a", "1"), ("b", "2")), impact=Impact.RESTART
        )
        raised = run(host, Tier("one", (thing("x"), failing, thing("z"))))
        assert isinstance(raised, StepFailed)
        assert raised.done == (
            "1 change: h: thing x; begun and not confirmed: h: thing y (done: set y.a)"
        )

    def test_step_failed_when_it_was_the_first_then_does_not_say_that_nothing_was_changed(
        self,
    ) -> None:
        host = FakeTarget("h", break_on="set x.a")
        failing = FakeResource(on="h", object_name="x", impact=Impact.RESTART)
        assert run(host, Tier("one", (failing,))).done == "begun and not confirmed: h: thing x"

    def test_locked_when_another_run_took_over_then_the_refused_step_is_not_counted(self) -> None:
        class Fenced(FakeTarget):
            def act(self, actions, on_done):  # type: ignore[no-untyped-def]
                super().act(actions[:1], on_done)
                raise Locked(
                    "another run has locked this host", where="h", state="nothing more there"
                )

        raised = run(Fenced("h"), Tier("one", (thing("x"), thing("y"))))
        assert raised.done == "1 change: h: thing x"
        assert "state: nothing more there" in str(raised)

    def test_cloud_error_when_calls_run_in_parallel_then_all_that_were_sent_are_named(self) -> None:
        class Cloud(FakeTarget):
            def act(self, actions, on_done):  # type: ignore[no-untyped-def]
                raise CloudError("no capacity")

        report = Report()
        converge(
            [Tier("one", (thing("x"), thing("y")))],
            {"h": Cloud("h")},
            allow,
            RecordingObserver(),
            report=report,
        )
        assert [item.change.resource.name for item in report.unconfirmed] == ["x", "y"]

    def test_unconfirmed_when_a_retry_completes_it_then_it_counts_as_changed(self) -> None:
        class Flaky(FakeTarget):
            def act(self, actions, on_done):  # type: ignore[no-untyped-def]
                lost, self.lose_response_of = self.lose_response_of, ""
                if lost:
                    self.acts.append("lost")
                    raise OutcomeUnknown("connection lost", where="h")
                super().act(actions, on_done)

        late = Refusing(on="h", object_name="x", error=Refused("not safe"))
        host = Flaky("h", lose_response_of="x")
        raised = run(host, Tier("one", (thing("x"),)), Tier("two", (late,)))
        assert host.acts == ["lost", "set x.a"]
        assert raised.done == "1 change: h: thing x"


def test_plan_when_a_host_does_not_answer_then_its_error_says_that_nothing_was_done() -> None:
    host = FakeTarget("h", failure=Unreachable("no answer", done="all of it"))
    report = converge([Tier("one", (thing("x"),))], {"h": host}, observe_only, RecordingObserver())
    (error,) = report.failed.values()
    assert "already done: nothing on any host" in str(error)


def claims(path: Path) -> Iterator[str]:
    """Where a file writes the `done` of an error."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Call) and any(k.arg == "done" for k in node.keywords):
            yield f"{path.relative_to(ROOT)}:{node.lineno}"
        if isinstance(node, ast.Assign | ast.AnnAssign):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            if any(isinstance(t, ast.Attribute) and t.attr == "done" for t in targets):
                yield f"{path.relative_to(ROOT)}:{node.lineno}"


@pytest.mark.parametrize("room", BELOW_THE_ENGINE)
def test_room_below_the_engine_when_it_raises_then_claims_nothing_about_the_run(room: str) -> None:
    files = sorted((ROOT / room).rglob("*.py"))
    assert files
    assert [claim for path in files for claim in claims(path)] == []


def test_claims_when_a_file_has_some_then_they_are_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(f"{__name__}.ROOT", tmp_path)
    path = tmp_path / "x.py"
    path.write_text('raise Refused("no", done="nothing")\nerror.done = "nothing"\nact(done)\n')
    assert sorted(claims(path)) == ["x.py:1", "x.py:2"]
