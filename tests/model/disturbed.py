"""Runs under faults: V4, V5, V10, V11, V13, V21, V24."""

from copy import deepcopy

from hypothesis import strategies as st
from hypothesis.stateful import rule

from pgprovision.engine.loop import CLOUD
from pgprovision.engine.model import Impact
from pgprovision.errors import Interrupted, Locked
from tests.model.loop_model import Breakages, Judged, counted, hosts, values
from tests.model.machines import HOSTS, Fault, Kind, Phase
from tests.model.resources import File, goal
from tests.model.runs import Run

anywhere = st.sampled_from((CLOUD, *HOSTS))
steps = st.sampled_from((0, 0, 0, 1, 1, 2, 3, 5))
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


class Troubled(Judged):
    """Whatever strikes, one run after it ends where an undisturbed one would have."""

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
        held = [host for host in HOSTS if self.world.exists(host)]

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
            assert [w for w in late if w.on in held] == [], "V11: a stale run was let in"
        assert self._run().error is None
        self._at_rest()
