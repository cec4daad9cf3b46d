"""What every model of the loop has: a world, a desired state, and a judge of each run."""

from collections import Counter
from copy import deepcopy
from random import Random

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from pgprovision.engine.loop import CLOUD
from pgprovision.engine.model import Impact
from tests.model.machines import HOSTS, ModelFault, ModelState
from tests.model.resources import (
    ModelCopy,
    ModelData,
    ModelFile,
    ModelResource,
    ModelServer,
    ModelSetting,
)
from tests.model.runs import ModelRun

counters: Counter[str] = Counter()

hosts = st.sampled_from(HOSTS)
values = st.sampled_from("123")
ManualChanges = list[tuple[str, tuple[str, str], str]]
INITIAL_RESOURCES: tuple[ModelResource, ...] = (
    *(ModelServer(object_name=f"server {host}") for host in HOSTS),
    *(ModelFile(on=host, object_name="x", values=(("k", "1"), ("l", "1"))) for host in HOSTS),
    ModelData(on="a", object_name="data"),
    ModelCopy(on="b", object_name="copy", of="a"),
    *(ModelSetting(on=host, object_name="s", value="1") for host in HOSTS),
)


class LoopModel(RuleBasedStateMachine):
    """The desired state may be edited, and people may do things by hand."""

    def __init__(self) -> None:
        super().__init__()
        self.world, self.declared = ModelState(), list(INITIAL_RESOURCES)

    @rule(
        on=hosts,
        name=st.sampled_from("xy"),
        keys=st.sets(st.sampled_from("klm"), min_size=1),
        value=values,
    )
    def declare_file(self, on: str, name: str, keys: set[str], value: str) -> None:
        self._declare(
            ModelFile(on=on, object_name=name, values=tuple((key, value) for key in sorted(keys)))
        )

    @rule(on=hosts, name=st.sampled_from("xy"))
    def declare_absence(self, on: str, name: str) -> None:
        self._declare(ModelFile(on=on, object_name=name, values=None))

    @rule(on=hosts, value=values)
    def declare_setting(self, on: str, value: str) -> None:
        self._declare(ModelSetting(on=on, object_name="s", value=value))

    @rule()
    def declare_data(self) -> None:
        self._declare(ModelData(on="c", object_name="data"))

    @rule(order=st.randoms(use_true_random=False))
    def permute(self, order: Random) -> None:
        order.shuffle(self.declared)

    @rule(on=hosts, name=st.sampled_from("xys"), key=st.sampled_from("klmp"), value=values)
    def edit_by_hand(self, on: str, name: str, key: str, value: str) -> None:
        if self.world.exists(on):
            self.world.machines[on].objects.setdefault(name, {})[key] = value

    @rule(on=hosts, key=st.sampled_from(("written", "running")), value=values)
    def set_by_hand(self, on: str, key: str, value: str) -> None:
        if "s" in self.world.machines[on].objects:
            self.world.machines[on].objects["s"][key] = value

    @rule(on=hosts, name=st.sampled_from(("x", "y", "s", "copy")))
    def remove_by_hand(self, on: str, name: str) -> None:
        self.world.machines[on].objects.pop(name, None)

    # What holds after every step

    @invariant()
    def plan_moves_nothing(self) -> None:
        """V3. V9: nothing that destroys is planned unasked. V12: former plans play no part."""
        counters["transitions"] += 1
        before = self._snapshot()
        plan = ModelRun(deepcopy(self.world), self.declared).plan()
        again = ModelRun(self.world, self.declared).plan()
        differences = [
            [(str(c.resource), c.diff.keys) for c in plan.report.remaining]
            for plan in (plan, again)
        ]
        assert differences[0] == differences[1], "V12: a plan depends on what was planned before"
        assert (again.writes, again.observer.acts) == ([], 0), "V3: a plan wrote"
        assert not any(machine.lock_channel for machine in self.world.machines.values()), (
            "a hold was left"
        )
        impacts = [change.impact for change in again.report.remaining]
        assert Impact.DESTROY not in impacts, "V9: planned to destroy what was not declared absent"
        assert self._snapshot() == before, "V3: a plan moved something"

    def teardown(self) -> None:
        counters["examples"] += 1
        counters["transitions"] -= 1  # the first look is at what nothing has happened to yet
        counters["writes"] += len(self.world.writes)

    # Means

    def _declare(self, resource: ModelResource) -> None:
        key = (resource.on, resource.object_name)
        self.declared = [w for w in self.declared if (w.on, w.object_name) != key] + [resource]

    def _break(self, changes: ManualChanges) -> None:
        """By hand, so that there is something to do when the fault strikes."""
        for on, (name, key), value in changes:
            things = self.world.machines[on].objects
            if name in things and key:
                things[name][key] = value
            elif name in things:
                del things[name]

    def _run(
        self,
        *faults: ModelFault,
        world: ModelState | None = None,
        declared: list[ModelResource] | None = None,
        ceiling: Impact = Impact.RESTART,
    ) -> ModelRun:
        run = ModelRun(world or self.world, declared or self.declared, *faults).up(ceiling)
        self._check_run(run)
        return run

    def _check_run(self, run: ModelRun) -> None:
        """V10, V11, V19: of every run, whatever became of it."""
        counters["runs"] += 1
        announced = Counter(run.observer.announced)
        for write in run.writes:
            assert announced[(write.on, write.why)] > 0, "V19: done and never announced"
            announced[(write.on, write.why)] -= 1
            assert write.on == CLOUD or str(write.fencing_token) == write.fence, (
                "V11: an outdated number"
            )
        numbers: dict[tuple[str, int | None], int] = {}
        for write in run.world.writes:
            if write.on != CLOUD:
                writer = numbers.setdefault((write.on, write.fencing_token), write.run)
                assert writer == write.run, "V10: two runs wrote with one number"
        assert set(run.observer.done_steps) <= set(run.executed), "told as done what was not"

    def _check_converged(self) -> None:
        """V1"""
        rerun = self._run()
        assert (rerun.error, rerun.writes, rerun.observer.acts) == (None, [], 0), "V1: wrote again"
        assert set(rerun.round_trips.values()) <= {1}, "V20: a clean run is one trip to a host"

    def _snapshot(self) -> object:
        machines = self.world.machines.values()
        return [(m.objects, m.running_jobs, m.created_count) for m in deepcopy(list(machines))]
