"""The loop, on worlds of plain values."""

from collections.abc import Mapping, Sequence

import pytest

from pgprovision.engine.loop import Approve, converge, observe_only
from pgprovision.engine.model import Answer, Change, Impact, Probe, Report, Tier, Waiting
from pgprovision.errors import NotConverged, Refused, StepFailed, Unreachable
from tests.support.fake_resources import FakeResource, FakeTarget, RecordingObserver


def everything(changes: Sequence[Change]) -> Impact:
    return Impact.RESTART


def run(
    worlds: Sequence[FakeTarget], *tiers: Tier, ceiling: Impact | None = Impact.RESTART
) -> Report:
    clock = iter(range(10_000))
    return converge(
        tiers,
        {world.name: world for world in worlds},
        lambda changes: ceiling,
        RecordingObserver(),
        clock=lambda: next(clock),
        sleep=lambda seconds: None,
    )


def thing(name: str, on: str = "h", **values: str) -> FakeResource:
    return FakeResource(on=on, object_name=name, declared=tuple(values.items()) or (("a", "1"),))


def test_converge_when_nothing_differs_then_one_look_and_no_act() -> None:
    world = FakeTarget("h", {"x": {"a": "1"}, "y": {"a": "1"}})
    report = run([world], Tier("one", (thing("x"),)), Tier("two", (thing("y"),)))
    assert (world.probe_count, world.acts, report.remaining, report.changed) == (1, [], [], [])


@pytest.mark.covers("F91")
def test_tier_when_it_is_large_then_every_difference_is_found_in_its_order() -> None:
    names = [f"x{n}" for n in range(1050)]
    broken = {f"x{n}" for n in range(0, 1050, 70)}
    world = FakeTarget("h", {name: {"a": "broken" if name in broken else "1"} for name in names})
    tier = Tier("many", tuple(map(thing, names)))
    report = run([world], tier)
    expected = [name for name in names if name in broken]
    assert [change.resource.name for change in report.changed] == expected
    assert run([world], tier).changed == []


def test_plan_when_something_differs_then_names_it_and_moves_nothing() -> None:
    world = FakeTarget("h")
    targets = {"h": world}
    report = converge([Tier("one", (thing("x"),))], targets, observe_only, RecordingObserver())
    assert [change.keys for change in report.remaining] == [("a",)]
    assert (world.acts, world.objects) == ([], {})


def test_converge_when_run_twice_then_the_second_writes_nothing() -> None:
    world = FakeTarget("h")
    tiers = (Tier("one", (thing("x"), thing("y", b="2"))), Tier("two", (thing("z"),)))
    first, acts = run([world], *tiers), list(world.acts)
    second = run([world], *tiers)
    assert len(first.changed) == 3
    assert (second.changed, second.remaining, world.acts) == ([], [], acts)


def test_diff_when_one_key_is_broken_then_only_that_key_is_repaired() -> None:
    world = FakeTarget("h", {"x": {"a": "1", "b": "broken", "unmanaged": "kept"}})
    run([world], Tier("one", (thing("x", a="1", b="2"),)))
    assert world.acts == ["set x.b"]
    assert world.objects["x"] == {"a": "1", "b": "2", "unmanaged": "kept"}


def test_converge_when_acting_shows_nothing_then_not_converged_names_it() -> None:
    world = FakeTarget("h")
    stubborn = FakeResource(on="h", object_name="x", stubborn=True)
    with pytest.raises(NotConverged, match=r"h: thing x \(a\)"):
        run([world], Tier("one", (stubborn,)))
    assert len(world.acts) <= 2  # absent, then empty: each state is tried once


def test_converge_when_nothing_can_be_done_then_it_is_left_and_no_error() -> None:
    world = FakeTarget("h", {"x": {"a": "0"}})
    report = run([world], Tier("one", (FakeResource(on="h", object_name="x", never_acts=True),)))
    assert [str(change.resource) for change in report.remaining] == ["thing x"]


def test_converge_when_something_is_worth_knowing_then_it_is_reported_and_no_difference() -> None:
    world = FakeTarget("h", {"x": {"a": "1", "remark": "a minor release is there"}})
    report = run([world], Tier("one", (thing("x"), thing("y"))))
    assert [(str(r), text) for r, text in report.notes] == [("thing x", "a minor release is there")]
    assert report.remaining == []


def test_converge_when_impact_is_above_the_ceiling_then_refused_before_acting() -> None:
    world = FakeTarget("h")
    restart = FakeResource(on="h", object_name="x", impact=Impact.RESTART)
    with pytest.raises(Refused, match="restart"):
        run([world], Tier("one", (restart,)), ceiling=Impact.RELOAD)
    assert world.acts == []


def test_converge_when_the_answer_is_lost_then_it_looks_and_does_not_repeat() -> None:
    world = FakeTarget("h", lose_response_of="set x.a")
    report = run([world], Tier("one", (thing("x"),)), Tier("two", (thing("y"),)))
    assert world.acts == ["set x.a", "set y.a"]
    assert report.remaining == []


def test_converge_when_a_host_cannot_be_reached_at_the_start_then_no_host_is_changed() -> None:
    good, lost = FakeTarget("h"), FakeTarget("i", failure=Unreachable("no answer", where="i"))
    report = run([good, lost], Tier("one", (thing("x"), thing("x", on="i"))))
    assert (good.acts, list(report.failed)) == ([], ["i"])


def test_converge_when_a_step_fails_then_the_other_host_still_converges() -> None:
    good, bad = FakeTarget("h"), FakeTarget("i", break_on="set x.a")
    tiers = (Tier("one", (thing("x"), thing("x", on="i"))), Tier("two", (thing("y"),)))
    report = run([good, bad], *tiers)
    assert good.acts == ["set x.a", "set y.a"]
    assert list(report.failed) == ["i"]
    assert [change.resource.on for change in report.remaining] == ["i"]


def test_converge_when_a_machine_boots_then_it_waits_and_goes_on() -> None:
    world = FakeTarget("h", booting=3)
    report = run([world], Tier("one", (thing("x"),)))
    assert (world.acts, report.remaining, report.waiting) == (["set x.a"], [], [])


class Working(FakeTarget):
    """Something is under way in it; `end_code`: what it answers when it is asked for the end."""

    end_code = 0

    def observe(self, probes: Sequence[Probe]) -> Mapping[Probe, Answer] | Waiting | None:
        answers = super().observe(probes)
        if not (ends := [probe for probe in probes if probe.text.startswith("end of ")]):
            return answers
        if not self.end_code:
            self.objects[ends[0].text.removeprefix("end of ")] = {"a": "1"}
        return {probe: Answer(self.end_code) for probe in ends}


def slept(world: FakeTarget, *tiers: Tier) -> list[float]:
    """A run's pauses, at the end of which all that was under way has ended."""
    pauses: list[float] = []

    def sleep(seconds: float) -> None:
        pauses.append(seconds)
        world.objects["x"] = {"a": "1"}

    allow: Approve = lambda changes: Impact.NONE  # noqa: E731
    converge(tiers, {"h": world}, allow, RecordingObserver(), sleep=sleep)
    return pauses


def test_waiting_when_its_end_is_known_then_its_tier_is_looked_at_alone_and_at_once() -> None:
    world = Working("h", {"x": {"waiting": "paint to dry"}, "y": {"a": "1"}})
    tiers = (
        Tier("one", (FakeResource(on="h", object_name="x", has_end_probe=True),)),
        Tier("two", (thing("y"),)),
    )
    assert slept(world, *tiers) == []
    assert world.probed == [["x", "y"], ["end of x"], ["x"], ["x", "y"]]


def test_waiting_when_its_end_is_unknown_then_it_is_looked_at_after_a_pause() -> None:
    world = Working("h", {"x": {"waiting": "paint to dry"}})
    world.end_code = 1
    assert slept(
        world, Tier("one", (FakeResource(on="h", object_name="x", has_end_probe=True),))
    ) == [0.2]
    assert slept(FakeTarget("h", {"x": {"waiting": "paint"}}), Tier("one", (thing("x"),))) == [0.2]


def test_waiting_when_the_machine_goes_away_meanwhile_then_the_next_look_says_so() -> None:
    unreachable = Unreachable("no answer", where="h")

    class Disappearing(Working):
        def observe(self, probes: Sequence[Probe]) -> Mapping[Probe, Answer] | Waiting | None:
            if self.probed:
                self.failure = unreachable
            return super().observe(probes)

    world = Disappearing("h", {"x": {"waiting": "paint to dry"}})
    report = run([world], Tier("one", (FakeResource(on="h", object_name="x", has_end_probe=True),)))
    assert report.failed == {"h": unreachable}


def test_last_look_when_the_one_before_was_at_everything_then_is_not_repeated() -> None:
    world = FakeTarget("h", {"y": {"a": "1"}})
    run([world], Tier("one", (thing("x"),)), Tier("two", (thing("y"),)))
    assert world.probed == [["x", "y"], ["x", "y"]]
    late = FakeTarget("h", {"x": {"a": "1"}})
    run([late], Tier("one", (thing("x"),)), Tier("two", (thing("y"),)))
    assert late.probed == [["x", "y"], ["y"], ["x", "y"]]


@pytest.mark.covers("row:A7")
def test_converge_when_waiting_passes_its_limit_then_says_what_it_waited_for() -> None:
    world = FakeTarget("h", {"x": {"waiting": "paint to dry"}})
    with pytest.raises(NotConverged, match="paint to dry"):
        run([world], Tier("one", (thing("x"),)))


def test_equal_probes_when_two_resources_share_one_then_it_is_sent_once() -> None:
    counts: list[int] = []

    class Counting(FakeTarget):
        def observe(self, probes):  # type: ignore[no-untyped-def]
            counts.append(len(probes))
            return super().observe(probes)

    world = Counting("h", {"x": {"a": "1"}})
    run([world], Tier("one", (thing("x"), thing("x"))))
    assert counts == [1]


def restarting(on: str, after: str = "") -> FakeResource:
    return FakeResource(on=on, object_name="x", impact=Impact.RESTART, after=after)


@pytest.mark.covers("row:B6")
def test_way_in_when_changed_then_it_alone_is_looked_at_before_everything_else() -> None:
    world = FakeTarget("h")
    way_in = FakeResource(on="h", object_name="x", reconnects=True)
    report = run([world], Tier("one", (way_in,)), Tier("two", (thing("y"),)))
    assert world.probed[:3] == [["x", "y"], ["x"], ["x", "y"]]
    assert (world.acts, report.remaining) == (["set x.a", "set y.a"], [])


def test_restart_when_several_hosts_need_one_then_one_at_a_time() -> None:
    worlds = [FakeTarget(name) for name in "abc"]
    calm = FakeResource(on="c", object_name="y")
    run(worlds, Tier("one", (*(restarting(world.name) for world in worlds), calm)))
    assert [world.acts for world in worlds] == [["set x.a"], ["set x.a"], ["set y.a", "set x.a"]]
    assert [world.probe_count for world in worlds] == [4, 4, 4]  # first, after each restart


def test_restart_when_it_fails_then_the_run_ends_before_the_next_host() -> None:
    first, second = FakeTarget("a", break_on="set x.a"), FakeTarget("b")
    with pytest.raises(StepFailed, match=r"set x\.a failed"):
        run([first, second], Tier("one", (restarting("a"), restarting("b"))))
    assert second.acts == []


def test_restart_when_not_allowed_then_nothing_at_all_is_done() -> None:
    world = FakeTarget("h")
    tiers = (
        Tier("one", (thing("x"),)),
        Tier("two", (FakeResource(on="h", object_name="y", impact=Impact.RESTART),)),
    )
    with pytest.raises(Refused, match="needs a restart that was not allowed: h: thing y"):
        run([world], *tiers, ceiling=Impact.RELOAD)
    assert world.acts == []


def test_blocked_when_another_host_has_to_move_first_then_does_after_it() -> None:
    first, second = FakeTarget("a"), FakeTarget("b")
    report = run([first, second], Tier("one", (restarting("b", after="a"), restarting("a"))))
    assert [change.resource.on for change in report.changed] == ["a", "b"]


def test_blocked_when_the_other_host_is_no_part_of_the_run_then_ends_with_the_reason() -> None:
    world, other = FakeTarget("b"), FakeTarget("a")
    with pytest.raises(NotConverged, match="waited 5 s: a first"):
        run([world, other], Tier("one", (restarting("b", after="a"),)))
    assert world.acts == []


def test_blocked_when_only_looked_at_then_is_part_of_the_plan() -> None:
    tiers = [Tier("one", (restarting("b", after="a"),))]
    report = converge(
        tiers, {"a": FakeTarget("a"), "b": FakeTarget("b")}, observe_only, RecordingObserver()
    )
    assert [(c.keys, c.blocked_by and c.blocked_by.reason) for c in report.remaining] == [
        (("a",), "a first")
    ]


def test_host_when_it_does_not_answer_says_what_to_type_next() -> None:
    assert "next: run the same command again" in str(
        Unreachable("the connection was lost while probing")
    )
    assert "next: ssh db-1" in str(Unreachable("cannot be reached", next="ssh db-1"))
