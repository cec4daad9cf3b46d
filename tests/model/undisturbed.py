"""Runs that nothing disturbs: V1 to V3, V6 to V9, V20."""

from copy import deepcopy
from random import Random

from hypothesis import strategies as st
from hypothesis.stateful import rule

from pgprovision.engine.model import Impact
from pgprovision.errors import Refused
from tests.model.loop_model import LoopModel, counters, values
from tests.model.machines import BOOT_PROBES, HOSTS, JOB_PROBES, ModelState
from tests.model.resources import ModelData, ModelFile, expected_state, managed_values
from tests.model.runs import ModelRun


class UndisturbedRuns(LoopModel):
    """Each run ends where arithmetic says."""

    @rule()
    def run(self) -> None:
        """V1 a second run writes nothing. V2 done = planned. V20 in a bounded number of trips."""
        expected = expected_state(self.declared, self.world)
        first = self._run()
        assert (first.error, self.world.state) == (None, expected), "V4: not where it should be"
        assert sorted(first.executed) == sorted(first.plan_steps), (
            "V2: done is not what was planned"
        )
        for on in HOSTS:
            executed_steps, planned_steps = (
                [s for s in steps if s[0] == on] for steps in (first.executed, first.plan_steps)
            )
            assert _files(executed_steps) == _files(planned_steps), "V2: in another order"
        max_trips = 3 + 2 * len(first.plan_steps) + BOOT_PROBES + JOB_PROBES + 1
        most = max(first.round_trips.values())
        counters["most trips of a host"] = max(counters["most trips of a host"], most)
        assert most <= max_trips, "V20: more trips than the plan accounts for"
        self._check_converged()

    @rule(ceiling=st.sampled_from((Impact.NONE, Impact.RELOAD)))
    def run_without_restarts(self, ceiling: Impact) -> None:
        """What may not be done is not begun: all of it or nothing."""
        before, expected = self._snapshot(), expected_state(self.declared, self.world)
        run = self._run(ceiling=ceiling)
        if Impact.RESTART in run.impacts:
            assert isinstance(run.error, Refused) and self._snapshot() == before
        else:
            assert (run.error, self.world.state) == (None, expected)

    @rule(seed=st.randoms(use_true_random=False))
    def run_in_another_order(self, seed: Random) -> None:
        """V6"""
        twin, shuffled = deepcopy(self.world), list(self.declared)
        seed.shuffle(shuffled)
        self._run(), self._run(world=twin, declared=shuffled)
        assert twin.state == self.world.state, "V6: the order of wishes decides where it ends"

    @rule(value=values)
    def run_by_another_path(self, value: str) -> None:
        """V7: from nothing, and by way of another desired state, to the same."""
        fresh, roundabout = ModelState(), deepcopy(self.world)
        other_files = [ModelFile(on=on, object_name="x", values=(("k", value),)) for on in HOSTS]
        detour = [
            resource for resource in self.declared if resource.object_name != "x"
        ] + other_files
        runs = self._run(), self._run(world=fresh), self._run(world=roundabout, declared=detour)
        assert [run.error for run in runs] == [None] * 3
        self._run(world=roundabout)
        ends = [managed_values(self.declared, w.state) for w in (self.world, fresh, roundabout)]
        assert ends[0] == ends[1] == ends[2], "V7: the path decides where it ends"

    @rule(index=st.integers(0, 30), value=st.sampled_from("789"))
    def break_one_key(self, index: int, value: str) -> None:
        """V8: named alone, repaired, and what is not managed stays."""
        self._run()
        files = [w for w in self.declared if isinstance(w, ModelFile) and w.values]
        if not files:
            return
        file = files[index % len(files)]
        thing = self.world.machines[file.on].objects[file.object_name]
        key = file.values[0][0] if file.values else ""
        thing[key], thing["people"] = value, value
        expected = expected_state(self.declared, self.world)
        plan = ModelRun(self.world, self.declared).plan()
        found = [(c.resource.on, c.resource.name, c.diff.keys) for c in plan.report.remaining]
        assert found == [(file.on, file.object_name, (key,))], (
            "V8: not the one thing that was broken"
        )
        repair = self._run()
        assert (len(repair.writes), self.world.state) == (1, expected), "V8: not repaired alone"
        assert self.world.machines[file.on].objects[file.object_name]["people"] == value

    @rule()
    def destroy_data(self) -> None:
        """V9: only a declared absence destroys, and only where it was allowed by name."""
        self._run()
        without_data = [
            resource
            for resource in self.declared
            if (resource.on, resource.object_name) != ("c", "data")
        ]
        without_data.append(ModelData(on="c", object_name="data", present=False))
        before = self._snapshot()
        had_data = "data" in self.world.machines["c"].objects
        refused = self._run(declared=without_data)
        if had_data:
            assert isinstance(refused.error, Refused) and self._snapshot() == before, "V9"
            assert self._run(declared=without_data, ceiling=Impact.DESTROY).error is None
        assert "data" not in self.world.machines["c"].objects
        self.declared = [one for one in without_data if one.object_name != "data" or one.on != "c"]


def _files(steps: list[tuple[str, str]]) -> list[str]:
    """The steps on single keys: within a machine and a tier they keep their order."""
    return [step for _, step in steps if step.startswith(("set x", "set y"))]
