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
    describe_done,
    interrupted,
    not_converged,
    resource_address,
)
from pgprovision.engine.model import (
    Action,
    Change,
    Impact,
    Report,
    Resource,
    Tier,
    UnconfirmedChange,
    Waiting,
)
from pgprovision.engine.observe import Observation, Target, TierComparison
from pgprovision.errors import (
    CloudError,
    Interrupted,
    Locked,
    NotConverged,
    OutcomeUnknown,
    PgprovisionError,
    StepFailed,
)

CLOUD = "hetzner"  # the target all others depend on: when it fails, the run ends
MAX_PASSES = (
    30  # passes of a tier (ten nodes, one restart each); more means that it does not converge
)
NOTHING_ANYWHERE = "nothing on any host: a run begins only when all hosts answer"
RECHECK_DELAYS = (0.1, 0.4, 1.0, 2.0, 4.0)  # seconds between looks when an action has no effect yet


class RunObserver(Protocol):
    """Called during a run. `acting` is called before anything is sent."""

    def tier_started(self, tier: Tier) -> None: ...
    def acting(self, changes: Sequence[Change]) -> None: ...
    def action_done(self, change: Change, action: Action) -> None: ...
    def target_failed(self, target: str, error: Exception) -> None: ...
    def waiting(self, resource: Resource, waiting: Waiting, seconds: float) -> None: ...


Approve = Callable[[Sequence[Change]], Impact | None]


class RunController(Protocol):
    """Locks the hosts for the run, and may ask it to end."""

    def lock_hosts(self) -> bool:
        """Lock out other runs; True where one could have acted since the look. Raises Locked."""
        ...

    @property
    def stop_requested(self) -> bool:
        """Whether the run is to end after the action that runs."""
        ...


class NullController:
    """No other runs to lock out, and no interruption."""

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
    """Bring observed state to desired state, as far as `approve` allows.

    `approve` is asked once, with all that the first look found, and returns the highest impact it
    allows. Where others could have acted since that look, it is asked again with what a look finds
    once the hosts are locked. Failures of single hosts are in the report. A given report is filled
    as the run proceeds, so it has what was done also where this raises: Refused where a look or the
    approval forbids to go on, Locked, Interrupted, CloudError, NotConverged where all actions were
    run and something still differs. The error's `done` is what this run did, whatever the raiser
    put there.
    """
    began = clock()
    report = Report() if report is None else report
    run = _Run(targets, observer, controller, clock, sleep, report)
    try:
        run.converge(tiers, approve)
    except PgprovisionError as error:
        error.done = describe_done(report)
        raise
    finally:
        report.seconds = clock() - began
    return report


@dataclass
class _TierProgress:
    """What was done so far to bring one tier to rest."""

    attempted: list[tuple[object, ...]] = field(default_factory=list)
    """Keys of the attempts that were made; none is made twice."""
    waiting_since: dict[str, float] = field(default_factory=dict)
    """When each thing that is on its way was first seen, by the clock of the run."""
    passes: int = 0
    """How often actions were run."""
    rechecks: int = 0
    """Looks since then that found the same difference."""

    @property
    def begun(self) -> bool:
        return bool(self.passes or self.waiting_since)


@dataclass(frozen=True)
class _NextSteps:
    """What a tier needs now."""

    actionable: Sequence[Change]
    """What differs and can be changed now."""
    untried: Sequence[Change]
    """Of these, the ones to try in this pass."""
    waiting: Sequence[tuple[Resource, Waiting]]
    """What is on its way, or waits for another target."""

    @property
    def at_rest(self) -> bool:
        return not self.actionable and not self.waiting


@dataclass
class _Run:
    targets: Mapping[str, Target]
    observer: RunObserver
    controller: RunController
    clock: Callable[[], float]
    sleep: Callable[[float], None]
    report: Report
    observation: Observation = field(default_factory=Observation)
    """The last look."""
    observed_tiers: Sequence[Tier] = ()
    """The tiers of the last look."""
    unknown_outcomes: dict[str, OutcomeUnknown] = field(default_factory=dict)
    """Per target, a lost connection since the last look."""

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
            elif not _same_attempts(view.changes, approved.changes):
                ceiling = approve(view.changes)
        if ceiling is None:
            self._report_unchanged(view)
            return
        check_ceiling([change for change in view.changes if change.actions], ceiling)
        self._apply_tiers(tiers, ceiling, view.changes)
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

    def refresh(self, tiers: Sequence[Tier]) -> None:
        """Look at these tiers. A target that fails is out of the run."""
        self.observation = observe.observe_tiers(tiers, self.targets, self.failed)
        self.observed_tiers = tiers
        for on, error in self.observation.failed.items():
            self._fail_target(on, self.unknown_outcomes.get(on, error))
        self.unknown_outcomes.clear()

    def _may_apply(self, view: TierComparison) -> bool:
        return bool(view.changes or view.waiting) and not self.failed

    def _report_unchanged(self, view: TierComparison) -> None:
        """The end of a run that only looked."""
        self.report.remaining, self.report.waiting = view.changes, view.waiting
        self.report.notes = view.notes
        did_nothing = not self.report.changed and not self.report.unconfirmed
        for error in self.failed.values():
            if isinstance(error, PgprovisionError):
                error.done = NOTHING_ANYWHERE if did_nothing else describe_done(self.report)

    def _apply_tiers(
        self, tiers: Sequence[Tier], ceiling: Impact, changes: Sequence[Change]
    ) -> None:
        """Bring all tiers to rest, in order."""
        try:
            for position in range(len(tiers)):
                self.apply_tier(tiers[position:], ceiling)
        except Interrupted:
            self.report.remaining = self._not_done(changes)
            raise

    def _not_done(self, changes: Sequence[Change]) -> list[Change]:
        done = {resource_address(change.resource) for change in self.report.changed}
        return [c for c in changes if resource_address(c.resource) not in done]

    def apply_tier(self, tiers: Sequence[Tier], ceiling: Impact) -> None:
        """Bring the first of these tiers to rest. Each look is at all of them, so the next tier
        starts without a trip of its own. But where something is on its way (a change of SSH that
        the host rolls back unless a new connection confirms it; a job that needs the host for
        itself), its tier is looked at alone until that has ended."""
        progress = _TierProgress()
        while True:
            self._raise_if_stop_requested()
            steps = self._next_steps(tiers[0], progress)
            if steps.at_rest and self._has_observed(tiers):
                return
            if steps.at_rest:
                self.refresh(tiers)
                continue
            if not progress.begun:
                self.observer.tier_started(tiers[0])
            on_its_way = self._take(steps, progress, ceiling)
            self.refresh(tiers[:1] if on_its_way else tiers)

    def _raise_if_stop_requested(self) -> None:
        if self.controller.stop_requested:
            raise interrupted(self.unknown_outcomes)

    def _has_observed(self, tiers: Sequence[Tier]) -> bool:
        """Whether the last look was at all of these, which are the last ones of the run."""
        return len(self.observed_tiers) >= len(tiers)

    def _next_steps(self, tier: Tier, progress: _TierProgress) -> _NextSteps:
        view = observe.compare(tier, self.observation, self.failed)
        actionable = [c for c in view.changes if c.actions and not c.blocked_by]
        untried = [c for c in actionable if attempt_key(c) not in progress.attempted]
        blocked = [(c.resource, c.blocked_by) for c in view.changes if c.blocked_by]
        return _NextSteps(actionable, _one_restart(untried), view.waiting + blocked)

    def _take(self, steps: _NextSteps, progress: _TierProgress, ceiling: Impact) -> bool:
        """Act, or wait, or look again after a while; whether something is on its way."""
        if steps.untried:
            self._attempt(steps, progress, ceiling)
            return any(action.reconnects for c in steps.untried for action in c.actions)
        if steps.waiting:
            self._wait(steps.waiting, progress.waiting_since)
            return True
        if progress.rechecks == len(RECHECK_DELAYS):
            raise not_converged(steps.actionable)
        self.sleep(RECHECK_DELAYS[progress.rechecks])
        progress.rechecks += 1
        return False

    def _attempt(self, steps: _NextSteps, progress: _TierProgress, ceiling: Impact) -> None:
        """One pass. An action with an unknown outcome may be tried again after the next look."""
        check_ceiling(steps.untried, ceiling)
        progress.passes, progress.rechecks = progress.passes + 1, 0
        if progress.passes > MAX_PASSES:
            raise not_converged(steps.actionable)
        self.act(steps.untried)
        progress.attempted += [
            attempt_key(c) for c in steps.untried if c.resource.on not in self.unknown_outcomes
        ]

    def act(self, changes: Sequence[Change]) -> None:
        """All actions of a pass: one batch per target, targets in parallel. Where a restart fails,
        the run ends: the cause may be the same on the next host."""
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
                    self.unknown_outcomes[on] = error  # the next look shows what became of it
                except (Interrupted, Locked) as error:
                    ended = ended or error
                except PgprovisionError as error:
                    self._fail_target(on, error)
                    if any(change.impact is Impact.RESTART for change in per_target[on]):
                        raise
        self._raise_if_stop_requested()
        if ended:
            raise ended

    def _act_on(self, on: str, changes: Sequence[Change]) -> None:
        pairs = [(change, action) for change in changes for action in change.actions]
        change_of = {id(action): change for change, action in pairs}
        completed: list[Action] = []

        def done(action: Action) -> None:
            change = change_of[id(action)]
            completed.append(action)
            self.observer.action_done(change, action)
            if action is change.actions[-1]:
                self.report.changed.append(change)

        try:
            self.targets[on].act([action for _, action in pairs], done)
        except PgprovisionError as error:
            self.report.unconfirmed += _unconfirmed(changes, completed, error)
            raise

    def _fail_target(self, on: str, error: PgprovisionError) -> None:
        self.failed[on] = error
        self.observer.target_failed(on, error)
        if on == CLOUD:
            raise error

    def _wait(self, pairs: Sequence[tuple[Resource, Waiting]], since: dict[str, float]) -> None:
        """A short pause, or until something has ended. Raises NotConverged after its timeout."""
        now = self.clock()
        for resource, waiting in pairs:
            seconds = now - since.setdefault(f"{resource_address(resource)}: {waiting.reason}", now)
            if seconds > waiting.timeout:
                raise NotConverged(
                    f"waited {waiting.timeout:.0f} s: {waiting.reason}",
                    where=resource_address(resource),
                    state="what is under way goes on by itself",
                    next="run the same command again: it attaches to what is under way",
                )
            self.observer.waiting(resource, waiting, seconds)
        seconds = min(2.0, 0.2 + (now - min(since.values())) / 10)
        if not observe.await_end(pairs, self.targets, seconds):
            self.sleep(seconds)

    def verify(self, tiers: Sequence[Tier], changes: Sequence[Change]) -> None:
        """The last look: what differs now remains. Differences without actions remain without being
        an error. Of a host that was lost, the approved changes that were not done remain."""
        if not self._has_observed(tiers):
            self.refresh(tiers)
        not_done = {resource_address(c.resource): c for c in self._not_done(changes)}
        for tier in tiers:
            view = observe.compare(tier, self.observation, self.failed)
            _append_new(self.report.remaining, view.changes)
            lost = [resource_address(resource) for resource in view.unreachable]
            self.report.remaining += [not_done[key] for key in lost if key in not_done]
            self.report.waiting += view.waiting
            self.report.notes += view.notes
        undone = [change for change in self.report.remaining if change.actions]
        if undone and not self.failed:
            raise not_converged(undone)


def _same_attempts(now: Sequence[Change], approved: Sequence[Change]) -> bool:
    """Whether a second look found what was approved, and nothing else."""
    return [attempt_key(c) for c in now] == [attempt_key(c) for c in approved]


def _append_new(reported: list[Change], changes: Sequence[Change]) -> None:
    """A resource may be in two tiers, where one between them can change what it needs: it is
    reported once."""
    known_attempts = [attempt_key(change) for change in reported]
    reported += [change for change in changes if attempt_key(change) not in known_attempts]


def _one_restart(changes: Sequence[Change]) -> Sequence[Change]:
    """Without the restarts of all targets but one: the others keep serving."""
    restarts = [c for c in changes if c.impact is Impact.RESTART]
    return [c for c in changes if c not in restarts or c.resource.on == restarts[0].resource.on]


def _unconfirmed(
    changes: Sequence[Change], completed: Sequence[Action], error: PgprovisionError
) -> list[UnconfirmedChange]:
    """What a batch that ended with `error` may have begun: the change that failed, or all that were
    sent where it cannot be known which one that was, and what has only some of its actions done."""
    finished = {id(action) for action in completed}
    pending = [
        UnconfirmedChange(change, tuple(a for a in change.actions if id(a) in finished))
        for change in changes
        if id(change.actions[-1]) not in finished
    ]
    if isinstance(error, StepFailed):
        return [p for p in pending if p.done or p is pending[0]]
    if isinstance(error, OutcomeUnknown | CloudError):
        return pending
    return [p for p in pending if p.done]
