"""What every model of the loop has: a world, a wish, and a judge of each run."""

from collections import Counter
from copy import deepcopy
from random import Random

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from pgprovision.engine.loop import CLOUD
from pgprovision.engine.model import Impact
from tests.model.machines import HOSTS, Fault, World
from tests.model.resources import Copy, Data, File, Server, Setting, Wish
from tests.model.runs import Run

counted: Counter[str] = Counter()

hosts = st.sampled_from(HOSTS)
values = st.sampled_from("123")
Breakages = list[tuple[str, tuple[str, str], str]]
START: tuple[Wish, ...] = (
    *(Server(called=f"server {host}") for host in HOSTS),
    *(File(on=host, called="x", values=(("k", "1"), ("l", "1"))) for host in HOSTS),
    Data(on="a", called="data"),
    Copy(on="b", called="copy", of="a"),
    *(Setting(on=host, called="s", value="1") for host in HOSTS),
)


class Judged(RuleBasedStateMachine):
    """The wish may be edited, and people may do things by hand."""

    def __init__(self) -> None:
        super().__init__()
        self.world, self.wishes = World(), list(START)

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
