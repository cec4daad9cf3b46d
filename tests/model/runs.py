"""One run of the real loop over a model's world, and everything that is known of it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from pgprovision.engine.loop import CLOUD, Approve, converge, observe_only
from pgprovision.engine.model import Action, Change, Impact, Report, Resource, Tier, Waiting
from pgprovision.engine.observe import Target
from pgprovision.errors import PgprovisionError
from pgprovision.lock_owner import LockOwner
from pgprovision.transport.host import Host
from pgprovision.transport.lock import LockRequest
from tests.model.connections import FakeCloud, FakeConnection
from tests.model.connections import connect as connected
from tests.model.machines import HOSTS, FaultSchedule, Killed, ModelFault, ModelState, ModelWrite
from tests.model.resources import ModelResource, model_tiers

StepName = tuple[str, str]  # machine, step


def step_names(changes: Sequence[Change]) -> list[StepName]:
    return [(change.resource.on, action.why) for change in changes for action in change.actions]


@dataclass
class ModelObserver:
    """A watcher that remembers. `worst`: the impact of the last batch to a machine."""

    announced: list[StepName] = field(default_factory=list)
    done_steps: list[StepName] = field(default_factory=list)
    worst: dict[str, Impact] = field(default_factory=dict)
    acts: int = 0

    def tier_started(self, tier: Tier) -> None: ...
    def target_failed(self, target: str, error: Exception) -> None: ...

    def acting(self, changes: Sequence[Change]) -> None:
        self.acts += 1
        self.announced += step_names(changes)
        for on in {change.resource.on for change in changes}:
            self.worst[on] = max(c.impact for c in changes if c.resource.on == on)

    def action_done(self, change: Change, action: Action) -> None:
        self.done_steps.append((change.resource.on, action.why))

    def waiting(self, resource: Resource, waiting: Waiting, seconds: float) -> None: ...


class ModelRun:
    """Like `cli.operator` and `cli.targets`, for the model. `before_lock` happens between what was
    approved and the hold, `on_stall` while this run is silent past its lease."""

    def __init__(
        self,
        world: ModelState,
        declared: Sequence[ModelResource],
        *faults: ModelFault,
        before_lock: Callable[[], None] = lambda: None,
        on_stall: Callable[[], None] = lambda: None,
    ) -> None:
        world.runs += 1
        self.id, self.world, self.declared = world.runs, world, declared
        self.stop_requested = False
        self.observer, self.report = ModelObserver(), Report()
        self.error: PgprovisionError | None = None
        self.killed = False
        self.plan_steps: list[StepName] = []
        self.impacts: set[Impact] = set()
        self.round_trips: dict[str, int] = {}
        self._before_lock, self._on_stall = before_lock, on_stall
        self._connections: list[FakeConnection] = []
        self.faults = FaultSchedule(faults, self._stall, self._stop)
        self.hosts = [Host(name, lambda name=name: self._connect(name)) for name in HOSTS]  # type: ignore[misc]
        self.targets: dict[str, Target] = {host.name: host for host in self.hosts}
        self.targets[CLOUD] = FakeCloud(world, self.id, self.faults)

    @property
    def writes(self) -> list[ModelWrite]:
        """What this run really did."""
        return [write for write in self.world.writes if write.run == self.id]

    @property
    def executed(self) -> list[StepName]:
        return [(write.on, write.why) for write in self.writes]

    def plan(self) -> "ModelRun":
        return self._go(observe_only)

    def up(self, ceiling: Impact = Impact.RESTART) -> "ModelRun":
        return self._go(lambda changes: self._approve(changes, ceiling))

    def lock_hosts(self) -> bool:
        """As `Targets.require_locks`: reached all, taken in order of their names."""
        self._before_lock()
        for host in self.hosts:
            host.lock_keeper.ensure_connected()
        taken = [host.lock_keeper.acquire() for host in self.hosts]
        return any(taken)

    def _approve(self, changes: Sequence[Change], ceiling: Impact) -> Impact:
        if not self.plan_steps:
            owner = LockOwner("me", "here", "now", "up", f"run-{self.id}")
            for host in self.hosts:
                host.lock_keeper.require_lock(LockRequest(owner))
        self.plan_steps = step_names(changes)
        self.impacts = {change.impact for change in changes}
        return ceiling

    def _go(self, approve: Approve) -> "ModelRun":
        clock = iter(range(1_000_000))
        try:
            converge(
                model_tiers(self.declared),
                self.targets,
                approve,
                self.observer,
                controller=self,
                report=self.report,
                clock=lambda: next(clock),
                sleep=lambda seconds: None,
            )
        except PgprovisionError as error:
            self.error = error
        except Killed:
            self.killed, self.faults.dead = True, True
            self._disconnect()
        finally:
            self.round_trips = {host.name: host.round_trips for host in self.hosts}
            for host in self.hosts:
                host.release()
        return self

    def _connect(self, host: str) -> FakeConnection | Waiting | None:
        connection = connected(self.world, self.id, host, self.faults)
        if isinstance(connection, FakeConnection):
            self._connections.append(connection)
        return connection

    def _stall(self) -> None:
        self._disconnect()
        self._on_stall()

    def _disconnect(self) -> None:
        for connection in self._connections:
            connection.close()

    def _stop(self) -> None:
        self.stop_requested = True
        for host in self.hosts:
            host.stop()
