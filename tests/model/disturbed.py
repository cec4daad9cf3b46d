"""Runs under faults: V4, V5, V10, V11, V13, V21, V24."""

from copy import deepcopy

from hypothesis import strategies as st
from hypothesis.stateful import rule

from pgprovision.engine.loop import CLOUD
from pgprovision.engine.model import Impact
from pgprovision.errors import Interrupted, Locked
from tests.model.loop_model import LoopModel, ManualChanges, counters, hosts, values
from tests.model.machines import HOSTS, FaultKind, FaultPhase, ModelFault
from tests.model.resources import ModelFile, expected_state
from tests.model.runs import ModelRun

any_target = st.sampled_from((CLOUD, *HOSTS))
steps = st.sampled_from((0, 0, 0, 1, 1, 2, 3, 5))
manual_changes = st.lists(
    st.tuples(
        hosts,
        st.sampled_from((("x", "k"), ("x", "l"), ("x", ""), ("s", "written"), ("s", "running"))),
        values.map(lambda value: f"{value}0"),
    ),
    max_size=6,
)
kill_faults = st.builds(
    ModelFault,
    st.just("kill"),
    any_target,
    steps,
    st.sampled_from(("before", "after", "late")),
)


class DisturbedRuns(LoopModel):
    """Whatever strikes, one run after it ends where an undisturbed one would have."""

    @rule(changes=manual_changes, deaths=st.lists(kill_faults, min_size=1, max_size=3))
    def kill(self, changes: ManualChanges, deaths: list[ModelFault]) -> None:
        """V4, and V5: up to three deaths, one in the other's rerun. V24: one rerun is enough."""
        self._break(changes)
        expected = expected_state(self.declared, self.world)
        for death in deaths:
            run = self._run(death)
            assert run.killed or run.error is None
            counters["killed"] += run.killed
        rerun = self._run()
        assert (rerun.error, self.world.state) == (None, expected), "V4, V5: not as if undisturbed"
        self._check_converged()

    @rule(changes=manual_changes, on=hosts, at=steps)
    def lose_an_answer(self, changes: ManualChanges, on: str, at: int) -> None:
        """V21: done or not, it ends alike, and nothing is done twice."""
        self._break(changes)
        expected, ends = expected_state(self.declared, self.world), []
        phases: tuple[FaultPhase, ...] = ("before", "after")
        for phase in phases:
            twin = deepcopy(self.world)
            run = self._run(ModelFault("lose", on, at, phase), world=twin)
            assert run.error is None
            assert len(set(run.executed)) == len(run.executed), "V21: blindly repeated"
            ends.append(twin)
            counters["answers lost"] += bool(run.faults.struck)
        assert ends[0].state == ends[1].state == expected, "V21: the two outcomes end apart"
        self.world = ends[1]

    @rule(changes=manual_changes, on=hosts, at=steps, kind=st.sampled_from(("fail", "gone")))
    def lose_a_host(self, changes: ManualChanges, on: str, at: int, kind: FaultKind) -> None:
        """V13: the others end as they do without it. V24: one rerun once it is back."""
        self._break(changes)
        twin, expected = deepcopy(self.world), expected_state(self.declared, self.world)
        run = self._run(ModelFault(kind, on, at, "before"))
        self._run(world=twin)
        struck = bool(run.faults.struck)
        restarting = run.observer.worst.get(on) is Impact.RESTART  # that ends a run, by design
        counters["hosts lost"] += struck
        if struck and not restarting:
            assert list(run.report.failed) == [on]
            for other in {*HOSTS} - {on}:
                skip = "copy" if on == "a" else ""
                left, right = (
                    {
                        name: thing
                        for name, thing in w.machines[other].objects.items()
                        if name != skip
                    }
                    for w in (self.world, twin)
                )
                assert left == right, f"V13: {other} does not end as without {on}'s failure"
        self.world.machines[on].unreachable = False
        assert self._run().error is None
        assert self.world.state == expected, "V24: one rerun was not enough"

    @rule(on=any_target)
    def find_one_unreachable(self, on: str) -> None:
        """Not there at the start: nobody is changed."""
        if on != CLOUD and not self.world.exists(on):
            return
        before = self._snapshot()
        self.world.machines[on].unreachable = True
        run = self._run()
        assert run.error or on in run.report.failed
        self.world.machines[on].unreachable = False
        assert self._snapshot() == before

    @rule(changes=manual_changes, on=hosts, at=steps)
    def interrupt(self, changes: ManualChanges, on: str, at: int) -> None:
        """The step that runs is the last; the rerun finishes."""
        self._break(changes)
        expected = expected_state(self.declared, self.world)
        run = self._run(ModelFault("stop", on, at))
        counters["interrupted"] += bool(run.faults.struck)
        if run.faults.struck:
            assert isinstance(run.error, Interrupted)
            assert run.executed[-1][0] == on, "a step was begun after the one that ran"
        assert self._run().error is None
        assert self.world.state == expected

    @rule(
        changes=manual_changes,
        on=hosts,
        name=st.sampled_from("xy"),
        value=st.sampled_from("45"),
        run_again=st.booleans(),
    )
    def be_overtaken(
        self, changes: ManualChanges, on: str, name: str, value: str, run_again: bool
    ) -> None:
        """Between our look and our hold others act: what we do fits what is there by then."""
        self._break(changes)
        expected = expected_state(self.declared, self.world)

        def meanwhile() -> None:
            if run_again:
                assert self._run().error is None
            elif name in self.world.machines[on].objects:
                self.world.machines[on].objects[name]["l"] = value

        run = ModelRun(self.world, self.declared, before_lock=meanwhile).up()
        self._check_run(run)
        assert run.error is None
        assert not (run_again and run.writes), "V10: what another had done was done once more"
        counters["overtaken"] += bool(run.plan_steps)
        if run_again:
            assert self.world.state == expected
        assert self._run().error is None
        self._check_converged()

    @rule(changes=manual_changes, on=hosts, at=steps)
    def meet_lock_owner(self, changes: ManualChanges, on: str, at: int) -> None:
        """V10: a run that comes while another acts is refused and does nothing."""
        self._break(changes)
        rivals: list[ModelRun] = []
        expected = expected_state(self.declared, self.world)
        stop = ModelFault("stop", on, at)
        run = ModelRun(self.world, self.declared, stop)
        run.faults.on_stop = lambda: rivals.append(ModelRun(self.world, self.declared).up())
        self._check_run(run.up())
        counters["met a lock owner"] += len(rivals)
        for rival in rivals:
            self._check_run(rival)
            assert rival.writes == [], "V10: two acted at once"
            assert isinstance(rival.error, Locked) or not rival.plan_steps
        assert (run.error, self.world.state) == (None, expected)

    @rule(changes=manual_changes, on=hosts, at=steps, value=st.sampled_from("45"))
    def sleep_through_the_lease(self, changes: ManualChanges, on: str, at: int, value: str) -> None:
        """V11: a run that was silent too long wakes up after another came: it can do no more."""
        self._break(changes)
        rival_declared = [resource for resource in self.declared if resource.object_name != "x"]
        rival_declared += [
            ModelFile(on=host, object_name="x", values=(("k", value),)) for host in HOSTS
        ]
        write_counts: list[int] = []
        hosts_locked = [host for host in HOSTS if self.world.exists(host)]

        def rival() -> None:
            run = self._run(declared=rival_declared)
            assert run.error is None
            write_counts.append(len(self.world.writes) if run.writes else -1)

        run = ModelRun(self.world, self.declared, ModelFault("stall", on, at), on_stall=rival).up()
        self._check_run(run)
        if write_counts and write_counts[0] >= 0:
            counters["stale"] += 1
            assert isinstance(run.error, Locked)
            late = [write for write in self.world.writes[write_counts[0] :] if write.run == run.id]
            assert [w for w in late if w.on in hosts_locked] == [], "V11: a stale run was let in"
        assert self._run().error is None
        self._check_converged()
