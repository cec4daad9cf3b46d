"""The loop under every fault the model knows, in any order: V1 to V13, V19 to V21, V24.

`make model` runs it longer. Each rule is a transition; each is judged against arithmetic that does
not know the loop (`goal`), or against a twin of the world where nothing went wrong.
"""

import json
import os
from collections import Counter
from collections.abc import Iterator
from copy import deepcopy
from pathlib import Path
from random import Random

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import Phase as Stage
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    rule,
    run_state_machine_as_test,
)

from pgprovision import engine, observe
from pgprovision.engine import CLOUD
from pgprovision.errors import Interrupted, Locked, Refused
from pgprovision.model import Impact
from tests.model.machines import BOOT_LOOKS, HOSTS, JOB_LOOKS, Fault, InTurn, Kind, Phase, World
from tests.model.runs import Run
from tests.model.wishes import Copy, Data, File, Server, Setting, Wish, goal, managed

EXAMPLES = int(os.environ.get("PGP_EXAMPLES", "0"))
counted: Counter[str] = Counter()

hosts = st.sampled_from(HOSTS)
anywhere = st.sampled_from((CLOUD, *HOSTS))
values = st.sampled_from("123")
steps = st.integers(0, 4)
breakages = st.lists(
    st.tuples(
        hosts,
        st.sampled_from((("x", "k"), ("x", "l"), ("x", ""), ("s", "written"), ("s", "running"))),
        values.map(lambda value: f"{value}0"),
    ),
    max_size=6,
)
kills = st.builds(
    Fault,
    st.just("kill"),
    anywhere,
    steps,
    st.sampled_from(("before", "after", "late")),
)
Breakages = list[tuple[str, tuple[str, str], str]]
START: tuple[Wish, ...] = (
    *(Server(called=f"server {host}") for host in HOSTS),
    *(File(on=host, called="x", values=(("k", "1"), ("l", "1"))) for host in HOSTS),
    Data(on="a", called="data"),
    Copy(on="b", called="copy", of="a"),
    *(Setting(on=host, called="s", value="1") for host in HOSTS),
)


class Model(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.world, self.wishes = World(), list(START)

    # The wish, and what people do by hand

    @rule(
        on=hosts,
        name=st.sampled_from("xy"),
        keys=st.sets(st.sampled_from("klm"), min_size=1),
        value=values,
    )
    def wish_file(self, on: str, name: str, keys: set[str], value: str) -> None:
        self._wish(File(on=on, called=name, values=tuple((key, value) for key in sorted(keys))))

    @rule(on=hosts, name=st.sampled_from("xy"))
    def wish_absence(self, on: str, name: str) -> None:
        self._wish(File(on=on, called=name, values=None))

    @rule(on=hosts, value=values)
    def wish_setting(self, on: str, value: str) -> None:
        self._wish(Setting(on=on, called="s", value=value))

    @rule()
    def wish_data(self) -> None:
        self._wish(Data(on="c", called="data"))

    @rule(order=st.randoms(use_true_random=False))
    def permute(self, order: Random) -> None:
        order.shuffle(self.wishes)

    @rule(on=hosts, name=st.sampled_from("xys"), key=st.sampled_from("klmp"), value=values)
    def edit_by_hand(self, on: str, name: str, key: str, value: str) -> None:
        if self.world.exists(on):
            self.world.machines[on].things.setdefault(name, {})[key] = value

    @rule(on=hosts, key=st.sampled_from(("written", "running")), value=values)
    def set_by_hand(self, on: str, key: str, value: str) -> None:
        if "s" in self.world.machines[on].things:
            self.world.machines[on].things["s"][key] = value

    @rule(on=hosts, name=st.sampled_from(("x", "y", "s", "copy")))
    def remove_by_hand(self, on: str, name: str) -> None:
        self.world.machines[on].things.pop(name, None)

    # Runs that nothing disturbs

    @rule()
    def run(self) -> None:
        """V1 a second run writes nothing. V2 done = planned. V20 in a bounded number of trips."""
        wanted = goal(self.wishes, self.world)
        first = self._run()
        assert (first.error, self.world.state) == (None, wanted), "V4: not where it should be"
        assert sorted(first.executed) == sorted(first.planned), "V2: done is not what was planned"
        for on in HOSTS:
            mine, order = (
                [s for s in some if s[0] == on] for some in (first.executed, first.planned)
            )
            assert _files(mine) == _files(order), "V2: in another order"
        bound = 3 + 2 * len(first.planned) + BOOT_LOOKS + JOB_LOOKS + 1
        most = max(first.trips.values())
        counted["most trips of a host"] = max(counted["most trips of a host"], most)
        assert most <= bound, "V20: more trips than the plan accounts for"
        self._at_rest()

    @rule(ceiling=st.sampled_from((Impact.NONE, Impact.RELOAD)))
    def run_without_restarts(self, ceiling: Impact) -> None:
        """What may not be done is not begun: all of it or nothing."""
        before, wanted = self._snapshot(), goal(self.wishes, self.world)
        run = self._run(ceiling=ceiling)
        if Impact.RESTART in run.impacts:
            assert isinstance(run.error, Refused) and self._snapshot() == before
        else:
            assert (run.error, self.world.state) == (None, wanted)

    @rule(seed=st.randoms(use_true_random=False))
    def run_in_another_order(self, seed: Random) -> None:
        """V6"""
        twin, shuffled = deepcopy(self.world), list(self.wishes)
        seed.shuffle(shuffled)
        self._run(), self._run(world=twin, wishes=shuffled)
        assert twin.state == self.world.state, "V6: the order of wishes decides where it ends"

    @rule(value=values)
    def run_by_another_path(self, value: str) -> None:
        """V7: from nothing, and by way of another wish, to the same."""
        fresh, roundabout = World(), deepcopy(self.world)
        other = [File(on=on, called="x", values=(("k", value),)) for on in HOSTS]
        detour = [wish for wish in self.wishes if wish.called != "x"] + other
        runs = self._run(), self._run(world=fresh), self._run(world=roundabout, wishes=detour)
        assert [run.error for run in runs] == [None] * 3
        self._run(world=roundabout)
        ends = [managed(self.wishes, w.state) for w in (self.world, fresh, roundabout)]
        assert ends[0] == ends[1] == ends[2], "V7: the path decides where it ends"

    @rule(index=st.integers(0, 30), value=st.sampled_from("789"))
    def break_one_key(self, index: int, value: str) -> None:
        """V8: named alone, repaired, and what is not managed stays."""
        self._run()
        files = [w for w in self.wishes if isinstance(w, File) and w.values]
        if not files:
            return
        wish = files[index % len(files)]
        thing = self.world.machines[wish.on].things[wish.called]
        key = wish.values[0][0] if wish.values else ""
        thing[key], thing["people"] = value, value
        wanted = goal(self.wishes, self.world)
        plan = Run(self.world, self.wishes).plan()
        found = [(c.resource.on, c.resource.name, c.diff.keys) for c in plan.report.left]
        assert found == [(wish.on, wish.called, (key,))], "V8: not the one thing that was broken"
        repair = self._run()
        assert (len(repair.writes), self.world.state) == (1, wanted), "V8: not repaired alone"
        assert self.world.machines[wish.on].things[wish.called]["people"] == value

    @rule()
    def destroy_data(self) -> None:
        """V9: only a declared absence destroys, and only where it was allowed by name."""
        self._run()
        gone = [wish for wish in self.wishes if (wish.on, wish.called) != ("c", "data")]
        gone.append(Data(on="c", called="data", present=False))
        before = self._snapshot()
        there = "data" in self.world.machines["c"].things
        refused = self._run(wishes=gone)
        if there:
            assert isinstance(refused.error, Refused) and self._snapshot() == before, "V9"
            assert self._run(wishes=gone, ceiling=Impact.DESTROY).error is None
        assert "data" not in self.world.machines["c"].things
        self.wishes = [wish for wish in gone if wish.called != "data" or wish.on != "c"]

    # Faults

    @rule(broken=breakages, deaths=st.lists(kills, min_size=1, max_size=3))
    def kill(self, broken: Breakages, deaths: list[Fault]) -> None:
        """V4, and V5: up to three deaths, one in the other's rerun. V24: one rerun is enough."""
        self._break(broken)
        wanted = goal(self.wishes, self.world)
        for death in deaths:
            run = self._run(death)
            assert run.killed or run.error is None
            counted["killed"] += run.killed
        rerun = self._run()
        assert (rerun.error, self.world.state) == (None, wanted), "V4, V5: not as if undisturbed"
        self._at_rest()

    @rule(broken=breakages, on=hosts, at=steps)
    def lose_an_answer(self, broken: Breakages, on: str, at: int) -> None:
        """V21: done or not, it ends alike, and nothing is done twice."""
        self._break(broken)
        wanted, ends = goal(self.wishes, self.world), []
        phases: tuple[Phase, ...] = ("before", "after")
        for phase in phases:
            twin = deepcopy(self.world)
            run = self._run(Fault("lose", on, at, phase), world=twin)
            assert run.error is None
            assert len(set(run.executed)) == len(run.executed), "V21: blindly repeated"
            ends.append(twin)
            counted["answers lost"] += bool(run.faults.struck)
        assert ends[0].state == ends[1].state == wanted, "V21: the two outcomes end apart"
        self.world = ends[1]

    @rule(broken=breakages, on=hosts, at=steps, kind=st.sampled_from(("fail", "gone")))
    def lose_a_host(self, broken: Breakages, on: str, at: int, kind: Kind) -> None:
        """V13: the others end as they do without it. V24: one rerun once it is back."""
        self._break(broken)
        twin, wanted = deepcopy(self.world), goal(self.wishes, self.world)
        run = self._run(Fault(kind, on, at, "before"))
        self._run(world=twin)
        struck = bool(run.faults.struck)
        restarting = run.watch.worst.get(on) is Impact.RESTART  # that ends a run, by design
        counted["hosts lost"] += struck
        if struck and not restarting:
            assert list(run.report.failed) == [on]
            for other in {*HOSTS} - {on}:
                skip = "copy" if on == "a" else ""
                left, right = (
                    {
                        name: thing
                        for name, thing in w.machines[other].things.items()
                        if name != skip
                    }
                    for w in (self.world, twin)
                )
                assert left == right, f"V13: {other} does not end as without {on}'s failure"
        self.world.machines[on].gone = False
        assert self._run().error is None
        assert self.world.state == wanted, "V24: one rerun was not enough"

    @rule(on=anywhere)
    def find_one_gone(self, on: str) -> None:
        """Not there at the start: nobody is changed."""
        if on != CLOUD and not self.world.exists(on):
            return
        before = self._snapshot()
        self.world.machines[on].gone = True
        run = self._run()
        assert run.error or on in run.report.failed
        self.world.machines[on].gone = False
        assert self._snapshot() == before

    @rule(broken=breakages, on=hosts, at=steps)
    def interrupt(self, broken: Breakages, on: str, at: int) -> None:
        """The step that runs is the last; the rerun finishes."""
        self._break(broken)
        wanted = goal(self.wishes, self.world)
        run = self._run(Fault("stop", on, at))
        counted["interrupted"] += bool(run.faults.struck)
        if run.faults.struck:
            assert isinstance(run.error, Interrupted)
            assert run.executed[-1][0] == on, "a step was begun after the one that ran"
        assert self._run().error is None
        assert self.world.state == wanted

    @rule(
        broken=breakages,
        on=hosts,
        name=st.sampled_from("xy"),
        value=st.sampled_from("45"),
        whole=st.booleans(),
    )
    def be_overtaken(self, broken: Breakages, on: str, name: str, value: str, whole: bool) -> None:
        """Between our look and our hold others act: what we do fits what is there by then."""
        self._break(broken)
        wanted = goal(self.wishes, self.world)

        def meanwhile() -> None:
            if whole:
                assert self._run().error is None
            elif name in self.world.machines[on].things:
                self.world.machines[on].things[name]["l"] = value

        run = Run(self.world, self.wishes, meanwhile=meanwhile).up()
        self._judge(run)
        assert run.error is None
        assert not (whole and run.writes), "V10: what another had done was done once more"
        counted["overtaken"] += bool(run.planned)
        if whole:
            assert self.world.state == wanted
        assert self._run().error is None
        self._at_rest()

    @rule(broken=breakages, on=hosts, at=steps)
    def meet_a_holder(self, broken: Breakages, on: str, at: int) -> None:
        """V10: whoever comes while another acts is told so and does nothing."""
        self._break(broken)
        rivals: list[Run] = []
        wanted = goal(self.wishes, self.world)
        stop = Fault("stop", on, at)
        run = Run(self.world, self.wishes, stop)
        run.faults.stopped = lambda: rivals.append(Run(self.world, self.wishes).up())
        self._judge(run.up())
        counted["met a holder"] += len(rivals)
        for rival in rivals:
            self._judge(rival)
            assert rival.writes == [], "V10: two acted at once"
            assert isinstance(rival.error, Locked) or not rival.planned
        assert (run.error, self.world.state) == (None, wanted)

    @rule(broken=breakages, on=hosts, at=steps, value=st.sampled_from("45"))
    def sleep_through_the_lease(self, broken: Breakages, on: str, at: int, value: str) -> None:
        """V11: a run that was silent too long wakes up after another came: it can do no more."""
        self._break(broken)
        rival_wishes = [wish for wish in self.wishes if wish.called != "x"]
        rival_wishes += [File(on=host, called="x", values=(("k", value),)) for host in HOSTS]
        seen: list[int] = []

        def rival() -> None:
            run = self._run(wishes=rival_wishes)
            assert run.error is None
            seen.append(len(self.world.writes) if run.writes else -1)

        run = Run(self.world, self.wishes, Fault("stall", on, at), stalled=rival).up()
        self._judge(run)
        if seen and seen[0] >= 0:
            counted["stale"] += 1
            assert isinstance(run.error, Locked)
            late = [write for write in self.world.writes[seen[0] :] if write.run == run.id]
            assert [w for w in late if w.on == on] == [], "V11: a stale run was let in"
        assert self._run().error is None
        self._at_rest()

    # What holds after every step

    @invariant()
    def plan_moves_nothing(self) -> None:
        """V3. V9: nothing that destroys is planned unasked. V12: former plans play no part."""
        counted["transitions"] += 1
        before = self._snapshot()
        plan = Run(deepcopy(self.world), self.wishes).plan()
        again = Run(self.world, self.wishes).plan()
        left = [
            [(str(c.resource), c.diff.keys) for c in plan.report.left] for plan in (plan, again)
        ]
        assert left[0] == left[1], "V12: a plan depends on what was planned before"
        assert (again.writes, again.watch.acts) == ([], 0), "V3: a plan wrote"
        assert not any(machine.held for machine in self.world.machines.values()), "a hold was left"
        impacts = [change.impact for change in again.report.left]
        assert Impact.DESTROY not in impacts, "V9: planned to destroy what was not declared absent"
        assert self._snapshot() == before, "V3: a plan moved something"

    def teardown(self) -> None:
        counted["examples"] += 1
        counted["transitions"] -= 1  # the first look is at what nothing has happened to yet
        counted["writes"] += len(self.world.writes)

    # Means

    def _wish(self, wish: Wish) -> None:
        mine = (wish.on, wish.called)
        self.wishes = [w for w in self.wishes if (w.on, w.called) != mine] + [wish]

    def _break(self, broken: Breakages) -> None:
        """By hand, so that there is something to do when the fault strikes."""
        for on, (name, key), value in broken:
            things = self.world.machines[on].things
            if name in things and key:
                things[name][key] = value
            elif name in things:
                del things[name]

    def _run(
        self,
        *faults: Fault,
        world: World | None = None,
        wishes: list[Wish] | None = None,
        ceiling: Impact = Impact.RESTART,
    ) -> Run:
        run = Run(world or self.world, wishes or self.wishes, *faults).up(ceiling)
        self._judge(run)
        return run

    def _judge(self, run: Run) -> None:
        """V10, V11, V19: of every run, whatever became of it."""
        counted["runs"] += 1
        announced = Counter(run.watch.announced)
        for write in run.writes:
            assert announced[(write.on, write.why)] > 0, "V19: done and never announced"
            announced[(write.on, write.why)] -= 1
            assert write.on == CLOUD or str(write.number) == write.fence, "V11: an outdated number"
        numbers: dict[tuple[str, int | None], int] = {}
        for write in run.world.writes:
            if write.on != CLOUD:
                whose = numbers.setdefault((write.on, write.number), write.run)
                assert whose == write.run, "V10: two runs wrote with one number"
        assert set(run.watch.done_) <= set(run.executed), "told as done what was not"

    def _at_rest(self) -> None:
        """V1"""
        again = self._run()
        assert (again.error, again.writes, again.watch.acts) == (None, [], 0), "V1: wrote again"
        assert set(again.trips.values()) <= {1}, "V20: a clean run is one trip to a host"

    def _snapshot(self) -> object:
        machines = self.world.machines.values()
        return [(m.things, m.jobs, m.made) for m in deepcopy(list(machines))]


def _files(some: list[tuple[str, str]]) -> list[str]:
    """The steps on single keys: within a machine and a tier they keep their order."""
    return [step for _, step in some if step.startswith(("set x", "set y"))]


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
