"""The only loop: observe, compare, ask for approval, act, look again until nothing differs.

`plan`, `drift` and `up` are this one call; they differ in what `approve` answers.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Protocol

from pgprovision.engine import observe
from pgprovision.engine.endings import check_ceiling, interrupted, key, not_converged, step, summary
from pgprovision.engine.model import Change, Do, Impact, Report, Resource, Tier, Waiting
from pgprovision.engine.observe import Look, Target, View
from pgprovision.errors import Interrupted, Locked, NotConverged, OutcomeUnknown, PgprovisionError

CLOUD = "hetzner"  # everything else hangs on it: when it fails, the run ends
PASSES = 30  # acts a tier may take (ten nodes, one restart each); more means going in circles
SETTLE = (0.1, 0.4, 1.0, 2.0, 4.0)  # seconds between looks when an action does not show yet


class Watcher(Protocol):
    """Told what happens, as it happens. `acting` comes before anything is sent."""

    def tier(self, title: str) -> None: ...
    def acting(self, changes: Sequence[Change]) -> None: ...
    def done(self, change: Change, action: Do) -> None: ...
    def failed(self, target: str, error: Exception) -> None: ...
    def waiting(self, resource: Resource, waiting: Waiting, seconds: float) -> None: ...


Approve = Callable[[Sequence[Change]], Impact | None]


class Operator(Protocol):
    """Whoever drives the run: takes the machines for it, and may ask it to end."""

    def hold(self) -> bool:
        """Make sure that no other run acts; whether time passed since the look. Raises Locked."""
        ...

    @property
    def stopping(self) -> bool:
        """Whether the run is to end after the step that runs."""
        ...


class Alone:
    """Nobody else is there, and nobody interrupts."""

    stopping = False

    def hold(self) -> bool:
        return False


ALONE = Alone()


def look_only(changes: Sequence[Change]) -> Impact | None:
    """The approval of `plan` and `drift`: none."""
    return None


def converge(
    tiers: Sequence[Tier],
    targets: Mapping[str, Target],
    approve: Approve,
    watcher: Watcher,
    *,
    operator: Operator = ALONE,
    report: Report | None = None,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> Report:
    """Make what is there equal to what is wished, as far as `approve` allows.

    `approve` is asked once, with everything the first look found; it answers with the highest
    impact it allows. Where others could have acted since that look, it is asked again with what a
    look finds once they are kept out. Raises Refused where a look or the approval forbids going
    on, Locked, Interrupted, NotConverged when everything was done and something still differs,
    CloudError. Failures of single hosts are in the report. A report that is given is filled as
    the run goes, so that it tells what was done also where this raises.
    """
    began = clock()
    report = Report() if report is None else report
    run = _Run(targets, watcher, operator, clock, sleep, report)
    try:
        run.converge(tiers, approve)
    except PgprovisionError as error:
        error.done = error.done or summary(report.changed)
        raise
    finally:
        report.seconds = clock() - began
    return report


@dataclass
class _Run:
    targets: Mapping[str, Target]
    watcher: Watcher
    operator: Operator
    clock: Callable[[], float]
    sleep: Callable[[float], None]
    report: Report
    seen: Look = field(default_factory=Look)
    looked: Sequence[Tier] = ()
    unknown: dict[str, OutcomeUnknown] = field(default_factory=dict)

    @property
    def failed(self) -> dict[str, Exception]:
        return self.report.failed

    def converge(self, tiers: Sequence[Tier], approve: Approve) -> None:
        view = self.survey(tiers)
        ceiling = approve(view.changes) if self._can_act(view) else None
        if ceiling is not None and self.operator.hold():
            approved, view = view, self.survey(tiers)
            if not self._can_act(view):
                ceiling = None
            elif [step(c) for c in view.changes] != [step(c) for c in approved.changes]:
                ceiling = approve(view.changes)
        if ceiling is None:
            self.report.left, self.report.waiting = view.changes, view.waiting
            self.report.remarks = view.remarks
            for error in self.failed.values():
                if isinstance(error, PgprovisionError):
                    error.done = error.done or "nothing, on any machine: all of them have to answer"
            return
        check_ceiling([change for change in view.changes if change.actions], ceiling)
        try:
            for position in range(len(tiers)):
                self.settle(tiers[position:], ceiling)
        except Interrupted:
            done = {key(change.resource) for change in self.report.changed}
            self.report.left = [c for c in view.changes if key(c.resource) not in done]
            raise
        self.last_look(tiers, view.changes)

    def survey(self, tiers: Sequence[Tier]) -> View:
        """All tiers as they are now."""
        self.look(tiers)
        whole = View()
        for tier in tiers:
            view = observe.compare(tier, self.seen, self.failed)
            _add(whole.changes, view.changes)
            whole.waiting += view.waiting
            whole.remarks += view.remarks
        return whole

    def _can_act(self, view: View) -> bool:
        return bool(view.changes or view.waiting) and not self.failed

    def look(self, tiers: Sequence[Tier]) -> None:
        self.seen, self.looked = observe.look(tiers, self.targets, self.failed), tiers
        for on, error in self.seen.failed.items():
            self._lost(on, self.unknown.get(on, error))
        self.unknown.clear()

    def settle(self, tiers: Sequence[Tier], ceiling: Impact) -> None:
        """Bring the first of these tiers to rest. Each look is at all of them: the next tier
        starts from what this one left, without a trip of its own. But where something is under way
        (a change to the way in that is to be proven, or else the host takes it back; a job that
        needs the machine for itself), its tier is looked at alone until it has ended."""
        waited: dict[str, float] = {}
        tried: list[tuple[object, ...]] = []
        acts = idle = 0
        while True:
            if self.operator.stopping:
                raise interrupted(self.unknown)
            view = observe.compare(tiers[0], self.seen, self.failed)
            doable = [c for c in view.changes if c.actions and not c.held]
            fresh = _one_restart([c for c in doable if step(c) not in tried])
            waiting = view.waiting + [(c.resource, c.held) for c in view.changes if c.held]
            if not doable and not waiting:
                if len(self.looked) >= len(tiers):
                    return
                self.look(tiers)
                continue
            if not acts and not waited:
                self.watcher.tier(tiers[0].title)
            under_way = False
            if fresh:
                check_ceiling(fresh, ceiling)
                acts, idle = acts + 1, 0
                if acts > PASSES:
                    raise not_converged(doable)
                self.act(fresh)
                tried += [step(c) for c in fresh if c.resource.on not in self.unknown]
                under_way = any(action.reconnects for c in fresh for action in c.actions)
            elif waiting:
                self._wait(waiting, waited)
                under_way = True
            elif idle < len(SETTLE):
                self.sleep(SETTLE[idle])
                idle += 1
            else:
                raise not_converged(doable)
            self.look(tiers[:1] if under_way else tiers)

    def act(self, changes: Sequence[Change]) -> None:
        """All actions of a pass: one batch per target, targets in parallel. Where a restart fails,
        the run ends: what ails one server would ail the next."""
        self.watcher.acting(changes)
        ended: PgprovisionError | None = None
        per_target: dict[str, list[Change]] = {}
        for change in changes:
            per_target.setdefault(change.resource.on, []).append(change)
        with ThreadPoolExecutor(max(1, len(per_target))) as pool:
            jobs = {on: pool.submit(self._act_on, on, mine) for on, mine in per_target.items()}
            for on, job in jobs.items():
                try:
                    job.result()
                except OutcomeUnknown as error:
                    self.unknown[on] = error  # the next look tells what became of it
                except (Interrupted, Locked) as error:
                    ended = ended or error
                except PgprovisionError as error:
                    self._lost(on, error)
                    if any(change.impact is Impact.RESTART for change in per_target[on]):
                        raise
        if self.operator.stopping:
            raise interrupted(self.unknown)
        if ended:
            raise ended

    def last_look(self, tiers: Sequence[Tier], planned: Sequence[Change]) -> None:
        """The verification: what still differs now is what is left. Differences that nothing
        can be done about from here (no actions) are left without being an error. Of a host that
        was lost, what was planned and not done is left."""
        if len(self.looked) < len(tiers):  # each act is followed by a look; was it at all of them?
            self.look(tiers)
        done = {key(change.resource) for change in self.report.changed}
        undone_of = {key(c.resource): c for c in planned if key(c.resource) not in done}
        for tier in tiers:
            view = observe.compare(tier, self.seen, self.failed)
            _add(self.report.left, view.changes)
            keys = [key(resource) for resource in view.cut_off]
            self.report.left += [undone_of[key] for key in keys if key in undone_of]
            self.report.waiting += view.waiting
            self.report.remarks += view.remarks
        undone = [change for change in self.report.left if change.actions]
        if undone and not self.failed:
            raise not_converged(undone)

    def _act_on(self, on: str, changes: Sequence[Change]) -> None:
        pairs = [(change, action) for change in changes for action in change.actions]
        whose = {id(action): change for change, action in pairs}

        def done(action: Do) -> None:
            change = whose[id(action)]
            self.watcher.done(change, action)
            if action is change.actions[-1]:
                self.report.changed.append(change)

        self.targets[on].act([action for _, action in pairs], done)

    def _lost(self, on: str, error: PgprovisionError) -> None:
        self.failed[on] = error
        self.watcher.failed(on, error)
        if on == CLOUD:
            raise error

    def _wait(self, pairs: Sequence[tuple[Resource, Waiting]], waited: dict[str, float]) -> None:
        now = self.clock()
        for resource, waiting in pairs:
            seconds = now - waited.setdefault(f"{key(resource)}: {waiting.reason}", now)
            if seconds > waiting.limit:
                raise NotConverged(
                    f"waited {waiting.limit:.0f} s: {waiting.reason}",
                    where=f"{resource.on}: {resource}",
                    done="what is under way goes on by itself",
                    next="run the same command again: it attaches to what is under way",
                )
            self.watcher.waiting(resource, waiting, seconds)
        seconds = min(2.0, 0.2 + (now - min(waited.values())) / 10)
        if not observe.await_end(pairs, self.targets, seconds):
            self.sleep(seconds)


def _add(told: list[Change], changes: Sequence[Change]) -> None:
    """What stands in two tiers, as something before it may change the wish, is told once."""
    known = [step(change) for change in told]
    told += [change for change in changes if step(change) not in known]


def _one_restart(changes: Sequence[Change]) -> Sequence[Change]:
    """Without the restarts of all targets but one: the others keep serving."""
    restarts = [c for c in changes if c.impact is Impact.RESTART]
    return [c for c in changes if c not in restarts or c.resource.on == restarts[0].resource.on]
