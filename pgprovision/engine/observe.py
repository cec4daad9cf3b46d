"""Observing and comparing: the part of the loop that changes nothing."""

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Protocol

from pgprovision.engine.model import (
    Action,
    Answer,
    Change,
    Diff,
    Probe,
    Resource,
    State,
    Tier,
    Waiting,
    WithNotes,
    WithOrder,
    needs_of,
    resolve,
)
from pgprovision.errors import InventoryError, PgprovisionError, Refused

CHUNK_SIZE = 100  # resources that one thread reads in a row
ReadResult = tuple[Resource, State | Waiting | None] | Refused | InventoryError


class Target(Protocol):
    """Where a run observes and acts: a host, the cloud project or the controller."""

    name: str

    def observe(self, probes: Sequence[Probe]) -> Mapping[Probe, Answer] | Waiting | None:
        """The answers to all probes; Waiting while the target is on its way (a host that boots),
        None while it does not exist. Raises Unreachable, Refused, CloudError."""
        ...

    def act(self, actions: Sequence[Action], done: Callable[[Action], None]) -> None:
        """Run actions up to the first that fails: in order, or in parallel where they do not
        depend on each other. `done` is called after each, one call at a time. Raises StepFailed,
        OutcomeUnknown, CloudError."""
        ...


@dataclass
class Observation:
    """The result of one look: one trip to each target."""

    answers: dict[str, Mapping[Probe, Answer] | Waiting | None] = field(default_factory=dict)
    """Per target, as `Target.observe` returned it."""
    failed: dict[str, PgprovisionError] = field(default_factory=dict)
    """Targets that could not be looked at, and why."""

    def get(self, on: str, probe: Probe) -> Answer | None:
        """The answer to a probe; None where the target does not exist, boots or failed."""
        answers = self.answers.get(on)
        return None if answers is None or isinstance(answers, Waiting) else answers.get(probe)


@dataclass
class TierComparison:
    """A tier compared with a look."""

    changes: list[Change] = field(default_factory=list)
    """What differs."""
    waiting: list[tuple[Resource, Waiting]] = field(default_factory=list)
    """What is on its way."""
    notes: list[tuple[Resource, str]] = field(default_factory=list)
    """What is worth knowing and no difference."""
    unreachable: list[Resource] = field(default_factory=list)
    """Resources that need a target that failed."""


def observe_tiers(
    tiers: Iterable[Tier], targets: Mapping[str, Target], skip: Iterable[str] = ()
) -> Observation:
    """Run all probes of these tiers: one trip per target, all targets in parallel. What a resource
    needs is looked at before the resource: a job that ends between the two has completed it."""
    probes: dict[str, dict[Probe, None]] = {}
    for tier in tiers:
        for resource in tier.resources:
            for need in needs_of(resource):
                probes.setdefault(need.on, {})[need.probe] = None
            probes.setdefault(resource.on, {})[resource.probe()] = None
    live = [on for on in probes if on not in set(skip)]
    result = Observation()
    with ThreadPoolExecutor(max(1, len(live))) as pool:
        jobs = {on: pool.submit(targets[on].observe, tuple(probes[on])) for on in live}
        for on, job in jobs.items():
            try:
                result.answers[on] = job.result()
            except Refused:
                raise
            except PgprovisionError as error:
                result.failed[on] = error
    return result


def await_end(
    waiting: Iterable[tuple[Resource, Waiting]], targets: Mapping[str, Target], seconds: float
) -> bool:
    """Wait on the targets where something is on its way, for `seconds` at most, so that its end is
    known at once. False where no target could tell."""
    probes = {resource.on: wait.end_probe(seconds) for resource, wait in waiting if wait.end_probe}
    if not probes:
        return False

    def ended(on: str) -> bool:
        try:
            answers = targets[on].observe((probes[on],))
        except PgprovisionError:
            return False  # the look that follows reports it
        return isinstance(answers, Mapping) and not answers[probes[on]].code

    with ThreadPoolExecutor(len(probes)) as pool:
        jobs = [pool.submit(ended, on) for on in probes]
        return any(job.result() for job in jobs)


def compare(tier: Tier, observation: Observation, failed: Iterable[str] = ()) -> TierComparison:
    """What differs in this tier. Raises Refused or InventoryError, with all that is wrong in the
    tier in one message."""
    view = TierComparison()
    failed_targets = set(failed)
    refused: list[Refused | InventoryError] = []
    booting: set[str] = set()
    reachable: list[Resource] = []
    for declared in tier.resources:
        if failed_targets & {declared.on, *(need.on for need in needs_of(declared))}:
            view.unreachable.append(declared)
            continue
        target = observation.answers.get(declared.on)
        if isinstance(target, Waiting):
            if declared.on not in booting:
                view.waiting.append((declared, target))
            booting.add(declared.on)
            continue
        reachable.append(declared)
    for declared, result in zip(reachable, _read_all(reachable, observation), strict=True):
        try:
            if isinstance(result, Refused | InventoryError):
                raise result
            resource, before = result
            if isinstance(before, Waiting):
                view.waiting.append((resource, before))
                continue
            if before is not None and isinstance(resource, WithNotes):
                view.notes += [(resource, text) for text in resource.notes(before)]
            if diff := Diff(before, resource.desired()):
                change = _change(resource, diff)
                if change.actions or before is not None:  # an absent thing that nobody can make
                    view.changes.append(change)
        except (Refused, InventoryError) as error:
            error.where = error.where or f"{declared.on}: {declared}"
            refused.append(error)
    if refused:
        raise _combine(refused)
    return view


def _change(resource: Resource, diff: Diff) -> Change:
    """What will be done about a difference, and what has to come first."""
    actions = tuple(resource.change(diff))
    blocked = resource.blocked_by(diff) if actions and isinstance(resource, WithOrder) else None
    return Change(resource, diff, actions, blocked)


def _read_all(resources: Sequence[Resource], observation: Observation) -> list[ReadResult]:
    """The state of each resource, in their order. Many are read in parallel: 2,000 passwords take
    3 s of one core, and hashlib releases the GIL."""
    parts = [resources[n : n + CHUNK_SIZE] for n in range(0, len(resources), CHUNK_SIZE)]
    if len(parts) < 2:
        return [_read(resource, observation) for resource in resources]
    with ThreadPoolExecutor(min(len(parts), os.cpu_count() or 1)) as pool:
        shares = pool.map(lambda part: [_read(one, observation) for one in part], parts)
        return [result for share in shares for result in share]


def _read(declared: Resource, observation: Observation) -> ReadResult:
    try:
        resource = resolve(declared, observation)
        answer = observation.get(declared.on, declared.probe())
        return resource, None if answer is None else resource.read(answer)
    except (Refused, InventoryError) as error:
        return error


def _combine(errors: Sequence[Refused | InventoryError]) -> Refused | InventoryError:
    """Several errors as one; InventoryError only where all of them are."""
    if len(errors) == 1:
        return errors[0]
    kind = InventoryError if all(isinstance(e, InventoryError) for e in errors) else Refused
    return kind("\n".join(map(str, errors)))
