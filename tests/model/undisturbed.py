"""Runs that nothing disturbs: V1 to V3, V6 to V9, V20."""

from copy import deepcopy
from random import Random

from hypothesis import strategies as st
from hypothesis.stateful import rule

from pgprovision.engine.model import Impact
from pgprovision.errors import Refused
from tests.model.loop_model import Judged, counted, values
from tests.model.machines import BOOT_LOOKS, HOSTS, JOB_LOOKS, World
from tests.model.resources import Data, File, goal, managed
from tests.model.runs import Run


class Calm(Judged):
    """Each run ends where arithmetic says."""

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


def _files(some: list[tuple[str, str]]) -> list[str]:
    """The steps on single keys: within a machine and a tier they keep their order."""
    return [step for _, step in some if step.startswith(("set x", "set y"))]
