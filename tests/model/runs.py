"""One run of the real loop over a model's world, and everything that can be told of it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from pgprovision.engine.loop import CLOUD, Approve, converge, look_only
from pgprovision.engine.model import Change, Do, Impact, Report, Resource, Waiting
from pgprovision.engine.observe import Target
from pgprovision.errors import PgprovisionError
from pgprovision.lock_owner import Holder
from pgprovision.transport.host import Host
from pgprovision.transport.lock import Claim
from tests.model.connections import Cloud, FakeWire
from tests.model.connections import connect as connected
from tests.model.machines import HOSTS, Fault, Faults, Killed, World, Write
from tests.model.resources import Wish, tiers

Step = tuple[str, str]  # machine, step


def of(changes: Sequence[Change]) -> list[Step]:
    return [(change.resource.on, action.why) for change in changes for action in change.actions]


@dataclass
class Watch:
    """A watcher that remembers. `worst`: the impact of the last batch to a machine."""

    announced: list[Step] = field(default_factory=list)
    done_: list[Step] = field(default_factory=list)
    worst: dict[str, Impact] = field(default_factory=dict)
    acts: int = 0

    def tier(self, title: str) -> None: ...
    def failed(self, target: str, error: Exception) -> None: ...

    def acting(self, changes: Sequence[Change]) -> None:
        self.acts += 1
        self.announced += of(changes)
        for on in {change.resource.on for change in changes}:
            self.worst[on] = max(c.impact for c in changes if c.resource.on == on)

    def done(self, change: Change, action: Do) -> None:
        self.done_.append((change.resource.on, action.why))

    def waiting(self, resource: Resource, waiting: Waiting, seconds: float) -> None: ...


class Run:
    """Like `cli.operator` and `cli.targets`, for the model. `meanwhile` happens between what was
    approved and the hold, `stalled` while this run is silent past its lease."""

    def __init__(
        self,
        world: World,
        wishes: Sequence[Wish],
        *faults: Fault,
        meanwhile: Callable[[], None] = lambda: None,
        stalled: Callable[[], None] = lambda: None,
    ) -> None:
        world.runs += 1
        self.id, self.world, self.wishes = world.runs, world, wishes
        self.stopping = False
        self.watch, self.report = Watch(), Report()
        self.error: PgprovisionError | None = None
        self.killed = False
        self.planned: list[Step] = []
        self.impacts: set[Impact] = set()
        self.trips: dict[str, int] = {}
        self._meanwhile, self._stalled = meanwhile, stalled
        self._wires: list[FakeWire] = []
        self.faults = Faults(faults, self._silent, self._stop)
        self.hosts = [Host(name, lambda name=name: self._connect(name)) for name in HOSTS]  # type: ignore[misc]
        self.targets: dict[str, Target] = {host.name: host for host in self.hosts}
        self.targets[CLOUD] = Cloud(world, self.id, self.faults)

    @property
    def writes(self) -> list[Write]:
        """What this run really did."""
        return [write for write in self.world.writes if write.run == self.id]

    @property
    def executed(self) -> list[Step]:
        return [(write.on, write.why) for write in self.writes]

    def plan(self) -> "Run":
        return self._go(look_only)

    def up(self, ceiling: Impact = Impact.RESTART) -> "Run":
        return self._go(lambda changes: self._approve(changes, ceiling))

    def hold(self) -> bool:
        """As `Targets.hold`: reached all, taken in order of their names."""
        self._meanwhile()
        for host in self.hosts:
            host.keeper.reach()
        taken = [host.keeper.take() for host in self.hosts]
        return any(taken)

    def _approve(self, changes: Sequence[Change], ceiling: Impact) -> Impact:
        if not self.planned:
            holder = Holder("me", "here", "now", "up", f"run-{self.id}")
            for host in self.hosts:
                host.keeper.claim(Claim(holder))
        self.planned = of(changes)
        self.impacts = {change.impact for change in changes}
        return ceiling

    def _go(self, approve: Approve) -> "Run":
        clock = iter(range(1_000_000))
        try:
            converge(
                tiers(self.wishes),
                self.targets,
                approve,
                self.watch,
                operator=self,
                report=self.report,
                clock=lambda: next(clock),
                sleep=lambda seconds: None,
            )
        except PgprovisionError as error:
            self.error = error
        except Killed:
            self.killed, self.faults.dead = True, True
            self._drop()
        finally:
            self.trips = {host.name: host.trips for host in self.hosts}
            for host in self.hosts:
                host.end()
        return self

    def _connect(self, host: str) -> FakeWire | Waiting | None:
        wire = connected(self.world, self.id, host, self.faults)
        if isinstance(wire, FakeWire):
            self._wires.append(wire)
        return wire

    def _silent(self) -> None:
        self._drop()
        self._stalled()

    def _drop(self) -> None:
        for wire in self._wires:
            wire.close()

    def _stop(self) -> None:
        self.stopping = True
        for host in self.hosts:
            host.stop()
