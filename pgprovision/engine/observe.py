"""Looking and comparing: the half of the loop that changes nothing."""

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Protocol

from pgprovision.engine.model import Answer, Ask, Change, Diff, Do, Resource, State, Tier, Waiting
from pgprovision.errors import InventoryError, PgprovisionError, Refused

SHARE = 100  # resources that one thread reads in a row
Found = tuple[Resource, State | Waiting | None] | Refused | InventoryError


class Target(Protocol):
    """A machine or the cloud."""

    name: str

    def look(self, asks: Sequence[Ask]) -> Mapping[Ask, Answer] | Waiting | None:
        """Answers to all asks; Waiting while the target is on its way (a machine that boots),
        None while it does not exist. Raises Unreachable, Refused, CloudError."""
        ...

    def act(self, actions: Sequence[Do], done: Callable[[Do], None]) -> None:
        """Carries out actions, up to the first that fails: in order, or side by side where they
        are of things that do not depend on each other. `done` is told one at a time. Raises
        StepFailed, OutcomeUnknown, CloudError."""
        ...


@dataclass
class Look:
    """What was seen in one trip to each target."""

    seen: dict[str, Mapping[Ask, Answer] | Waiting | None] = field(default_factory=dict)
    failed: dict[str, PgprovisionError] = field(default_factory=dict)

    def get(self, on: str, ask: Ask) -> Answer | None:
        answers = self.seen.get(on)
        return None if answers is None or isinstance(answers, Waiting) else answers.get(ask)


@dataclass
class View:
    """One tier compared with a look."""

    changes: list[Change] = field(default_factory=list)
    waiting: list[tuple[Resource, Waiting]] = field(default_factory=list)
    remarks: list[tuple[Resource, str]] = field(default_factory=list)
    cut_off: list[Resource] = field(default_factory=list)  # they need a target that failed


def look(tiers: Iterable[Tier], targets: Mapping[str, Target], skip: Iterable[str] = ()) -> Look:
    """Everything these tiers ask: one trip per target, all targets at once. What a resource needs
    comes before the resource: a job that ends between the two has left it whole, never missing."""
    asks: dict[str, dict[Ask, None]] = {}
    for tier in tiers:
        for resource in tier.resources:
            for need in resource.needs():
                asks.setdefault(need.on, {})[need.ask] = None
            asks.setdefault(resource.on, {})[resource.probe()] = None
    live = [on for on in asks if on not in set(skip)]
    result = Look()
    with ThreadPoolExecutor(max(1, len(live))) as pool:
        jobs = {on: pool.submit(targets[on].look, tuple(asks[on])) for on in live}
        for on, job in jobs.items():
            try:
                result.seen[on] = job.result()
            except Refused:
                raise
            except PgprovisionError as error:
                result.failed[on] = error
    return result


def await_end(
    waiting: Iterable[tuple[Resource, Waiting]], targets: Mapping[str, Target], seconds: float
) -> bool:
    """Wait where it is under way, `seconds` at the most: its end is known at once, and the machine
    is not asked again and again meanwhile. False where none could tell."""
    asks = {wish.on: what.end(seconds) for wish, what in waiting if what.end}
    if not asks:
        return False

    def ended(on: str) -> bool:
        try:
            answers = targets[on].look((asks[on],))
        except PgprovisionError:
            return False  # the look that follows says it
        return isinstance(answers, Mapping) and not answers[asks[on]].code

    with ThreadPoolExecutor(len(asks)) as pool:
        jobs = [pool.submit(ended, on) for on in asks]
        return any(job.result() for job in jobs)


def compare(tier: Tier, seen: Look, failed: Iterable[str] = ()) -> View:
    """What differs in this tier. Raises Refused or InventoryError, with everything that is wrong in
    the tier in one report."""
    view = View()
    lost = set(failed)
    refused: list[Refused | InventoryError] = []
    booting: set[str] = set()
    wishes: list[Resource] = []
    for wish in tier.resources:
        if wish.on in lost or any(need.on in lost for need in wish.needs()):
            view.cut_off.append(wish)
            continue
        target = seen.seen.get(wish.on)
        if isinstance(target, Waiting):
            if wish.on not in booting:
                view.waiting.append((wish, target))
            booting.add(wish.on)
            continue
        wishes.append(wish)
    for wish, found in zip(wishes, _read_all(wishes, seen), strict=True):
        try:
            if isinstance(found, Refused | InventoryError):
                raise found
            resource, before = found
            if isinstance(before, Waiting):
                view.waiting.append((resource, before))
                continue
            if before is not None:
                view.remarks += [(resource, text) for text in resource.remarks(before)]
            if diff := Diff(before, resource.desired()):
                actions = tuple(resource.change(diff))
                change = Change(resource, diff, actions, resource.held(diff) if actions else None)
                if change.actions or before is not None:  # nothing to say of what is not there
                    view.changes.append(change)
        except (Refused, InventoryError) as error:
            error.where = error.where or f"{wish.on}: {wish}"
            refused.append(error)
    if refused:
        raise _in_one(refused)
    return view


def _read_all(wishes: Sequence[Resource], seen: Look) -> list[Found]:
    """What each of them is now, in their order. Many are read side by side: 2,000 passwords take
    3 s of one core, and hashlib leaves the others to other threads."""
    parts = [wishes[n : n + SHARE] for n in range(0, len(wishes), SHARE)]
    if len(parts) < 2:
        return [_read(wish, seen) for wish in wishes]
    with ThreadPoolExecutor(min(len(parts), os.cpu_count() or 1)) as pool:
        shares = pool.map(lambda part: [_read(wish, seen) for wish in part], parts)
        return [found for share in shares for found in share]


def _read(wish: Resource, seen: Look) -> Found:
    try:
        resource = wish.settled(seen)
        answer = seen.get(wish.on, wish.probe())
        return resource, None if answer is None else resource.read(answer)
    except (Refused, InventoryError) as error:
        return error


def _in_one(errors: Sequence[Refused | InventoryError]) -> Refused | InventoryError:
    """Several as one; bad input only where all of it is."""
    if len(errors) == 1:
        return errors[0]
    kind = InventoryError if all(isinstance(e, InventoryError) for e in errors) else Refused
    return kind("\n".join(map(str, errors)))
