"""The only loop: observe, compare, ask for approval, act, look again until nothing differs.

`plan`, `drift` and `up` are this one call; they differ in what `approve` answers.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Protocol

from pgprovision.engine import observe
from pgprovision.engine.endings import (
    attempt_key,
    check_ceiling,
    interrupted,
    not_converged,
    resource_address,
    summary,
)
from pgprovision.engine.model import Action, Change, Impact, Report, Resource, Tier, Waiting
from pgprovision.engine.observe import Observation, Target, TierComparison
from pgprovision.errors import Interrupted, Locked, NotConverged, OutcomeUnknown, PgprovisionError

CLOUD = "hetzner"  # everything else hangs on it: when it fails, the run ends
MAX_PASSES = 30  # acts a tier may take (ten nodes, one restart each); more means going in circles
RECHECK_DELAYS = (0.1, 0.4, 1.0, 2.0, 4.0)  # seconds between looks when an action does not show yet


class RunObserver(Protocol):
    """Told what happens, as it happens. `acting` comes before anything is sent."""

    def tier_started(self, tier: Tier) -> None: ...
    def acting(self, changes: Sequence[Change]) -> None: ...
    def action_done(self, change: Change, action: Action) -> None: ...
    def target_failed(self, target: str, error: Exception) -> None: ...
    def waiting(self, resource: Resource, waiting: Waiting, seconds: float) -> None: ...


Approve = Callable[[Sequence[Change]], Impact | None]


class RunController(Protocol):
    """Whoever drives the run: takes the machines for it, and may ask it to end."""

    def lock_hosts(self) -> bool:
        """Make sure that no other run acts; whether time passed since the look. Raises Locked."""
        ...

    @property
    def stop_requested(self) -> bool:
        """Whether the run is to end after the step that runs."""
        ...


class NullController:
    """Nobody else is there, and nobody interrupts."""

    stop_requested = False

    def lock_hosts(self) -> bool:
        return False


NULL_CONTROLLER = NullController()


def observe_only(changes: Sequence[Change]) -> Impact | None:
    """The approval of `plan` and `drift`: none."""
    return None


def converge(
    tiers: Sequence[Tier],
    targets: Mapping[str, Target],
    approve: Approve,
    observer: RunObserver,
    *,
    controller: RunController = NULL_CONTROLLER,
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
    run = _Run(targets, observer, controller, clock, sleep, report)
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
    observer: RunObserver
    controller: RunController
    clock: Callable[[], float]
    sleep: Callable[[float], None]
    report: Report
    observation: Observation = field(default_factory=Observation)
    observed_tiers: Sequence[Tier] = ()
    unknown_outcomes: dict[str, OutcomeUnknown] = field(default_factory=dict)

    @property
    def failed(self) -> dict[str, Exception]:
        return self.report.failed

    def converge(self, tiers: Sequence[Tier], approve: Approve) -> None:
        view = self.observe_all(tiers)
        ceiling = approve(view.changes) if self._may_apply(view) else None
        if ceiling is not None and self.controller.lock_hosts():
            approved, view = view, self.observe_all(tiers)
            if not self._may_apply(view):
                ceiling = None
            elif [attempt_key(c) for c in view.changes] != [
                attempt_key(c) for c in approved.changes
            ]:
                ceiling = approve(view.changes)
        if ceiling is None:
            self.report.remaining, self.report.waiting = view.changes, view.waiting
            self.report.notes = view.notes
            for error in self.failed.values():
                if isinstance(error, PgprovisionError):
                    error.done = error.done or "nothing, on any machine: all of them have to answer"
            return
        check_ceiling([change for change in view.changes if change.actions], ceiling)
        try:
            for position in range(len(tiers)):
                self.apply_tier(tiers[position:], ceiling)
        except Interrupted:
            done = {resource_address(change.resource) for change in self.report.changed}
            self.report.remaining = [
                c for c in view.changes if resource_address(c.resource) not in done
            ]
            raise
        self.verify(tiers, view.changes)

    def observe_all(self, tiers: Sequence[Tier]) -> TierComparison:
        """All tiers as they are now."""
        self.refresh(tiers)
        combined = TierComparison()
        for tier in tiers:
            view = observe.compare(tier, self.observation, self.failed)
            _append_new(combined.changes, view.changes)
            combined.waiting += view.waiting
            combined.notes += view.notes
        return combined

    def _may_apply(self, view: TierComparison) -> bool:
        return bool(view.changes or view.waiting) and not self.failed

    def refresh(self, tiers: Sequence[Tier]) -> None:
        self.observation, self.observed_tiers = (
            observe.observe_tiers(tiers, self.targets, self.failed),
            tiers,
        )
        for on, error in self.observation.failed.items():
            self._fail_target(on, self.unknown_outcomes.get(on, error))
        self.unknown_outcomes.clear()

    def apply_tier(self, tiers: Sequence[Tier], ceiling: Impact) -> None:
        """Bring the first of these tiers to rest. Each look is at all of them: the next tier
        starts from what this one left, without a trip of its own. But where something is under way
        (a change to the way in that is to be proven, or else the host takes it back; a job that
        needs the machine for itself), its tier is looked at alone until it has ended."""
        waited: dict[str, float] = {}
        tried: list[tuple[object, ...]] = []
        acts = idle = 0
        while True:
            if self.controller.stop_requested:
                raise interrupted(self.unknown_outcomes)
            view = observe.compare(tiers[0], self.observation, self.failed)
            actionable = [c for c in view.changes if c.actions and not c.blocked_by]
            untried = _one_restart([c for c in actionable if attempt_key(c) not in tried])
            waiting = view.waiting + [
                (c.resource, c.blocked_by) for c in view.changes if c.blocked_by
            ]
            if not actionable and not waiting:
                if len(self.observed_tiers) >= len(tiers):
                    return
                self.refresh(tiers)
                continue
            if not acts and not waited:
                self.observer.tier_started(tiers[0])
            under_way = False
            if untried:
                check_ceiling(untried, ceiling)
                acts, idle = acts + 1, 0
                if acts > MAX_PASSES:
                    raise not_converged(actionable)
                self.act(untried)
                tried += [
                    attempt_key(c) for c in untried if c.resource.on not in self.unknown_outcomes
                ]
                under_way = any(action.reconnects for c in untried for action in c.actions)
            elif waiting:
                self._wait(waiting, waited)
                under_way = True
            elif idle < len(RECHECK_DELAYS):
                self.sleep(RECHECK_DELAYS[idle])
                idle += 1
            else:
                raise not_converged(actionable)
            self.refresh(tiers[:1] if under_way else tiers)

    def act(self, changes: Sequence[Change]) -> None:
        """All actions of a pass: one batch per target, targets in parallel. Where a restart fails,
        the run ends: what ails one server would ail the next."""
        self.observer.acting(changes)
        ended: PgprovisionError | None = None
        per_target: dict[str, list[Change]] = {}
        for change in changes:
            per_target.setdefault(change.resource.on, []).append(change)
        with ThreadPoolExecutor(max(1, len(per_target))) as pool:
            jobs = {
                on: pool.submit(self._act_on, on, target_changes)
                for on, target_changes in per_target.items()
            }
            for on, job in jobs.items():
                try:
                    job.result()
                except OutcomeUnknown as error:
                    self.unknown_outcomes[on] = error  # the next look tells what became of it
                except (Interrupted, Locked) as error:
                    ended = ended or error
                except PgprovisionError as error:
                    self._fail_target(on, error)
                    if any(change.impact is Impact.RESTART for change in per_target[on]):
                        raise
        if self.controller.stop_requested:
            raise interrupted(self.unknown_outcomes)
        if ended:
            raise ended

    def verify(self, tiers: Sequence[Tier], planned: Sequence[Change]) -> None:
        """The verification: what still differs now is what is left. Differences that nothing
        can be done about from here (no actions) are left without being an error. Of a host that
        was lost, what was planned and not done is left."""
        if len(self.observed_tiers) < len(
            tiers
        ):  # each act is followed by a look; was it at all of them?
            self.refresh(tiers)
        done = {resource_address(change.resource) for change in self.report.changed}
        undone_of = {
            resource_address(c.resource): c
            for c in planned
            if resource_address(c.resource) not in done
        }
        for tier in tiers:
            view = observe.compare(tier, self.observation, self.failed)
            _append_new(self.report.remaining, view.changes)
            keys = [resource_address(resource) for resource in view.unreachable]
            self.report.remaining += [undone_of[key] for key in keys if key in undone_of]
            self.report.waiting += view.waiting
            self.report.notes += view.notes
        undone = [change for change in self.report.remaining if change.actions]
        if undone and not self.failed:
            raise not_converged(undone)

    def _act_on(self, on: str, changes: Sequence[Change]) -> None:
        pairs = [(change, action) for change in changes for action in change.actions]
        change_of = {id(action): change for change, action in pairs}

        def done(action: Action) -> None:
            change = change_of[id(action)]
            self.observer.action_done(change, action)
            if action is change.actions[-1]:
                self.report.changed.append(change)

        self.targets[on].act([action for _, action in pairs], done)

    def _fail_target(self, on: str, error: PgprovisionError) -> None:
        self.failed[on] = error
        self.observer.target_failed(on, error)
        if on == CLOUD:
            raise error

    def _wait(self, pairs: Sequence[tuple[Resource, Waiting]], waited: dict[str, float]) -> None:
        now = self.clock()
        for resource, waiting in pairs:
            seconds = now - waited.setdefault(
                f"{resource_address(resource)}: {waiting.reason}", now
            )
            if seconds > waiting.timeout:
                raise NotConverged(
                    f"waited {waiting.timeout:.0f} s: {waiting.reason}",
                    where=f"{resource.on}: {resource}",
                    done="what is under way goes on by itself",
                    next="run the same command again: it attaches to what is under way",
                )
            self.observer.waiting(resource, waiting, seconds)
        seconds = min(2.0, 0.2 + (now - min(waited.values())) / 10)
        if not observe.await_end(pairs, self.targets, seconds):
            self.sleep(seconds)


def _append_new(reported: list[Change], changes: Sequence[Change]) -> None:
    """What stands in two tiers, as something before it may change the wish, is told once."""
    known_attempts = [attempt_key(change) for change in reported]
    reported += [change for change in changes if attempt_key(change) not in known_attempts]


def _one_restart(changes: Sequence[Change]) -> Sequence[Change]:
    """Without the restarts of all targets but one: the others keep serving."""
    restarts = [c for c in changes if c.impact is Impact.RESTART]
    return [c for c in changes if c not in restarts or c.resource.on == restarts[0].resource.on]
