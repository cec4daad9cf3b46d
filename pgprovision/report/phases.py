"""How long each part of a run took."""

import time
from collections.abc import Callable, Iterable, Sequence

from pgprovision.engine.model import Action, Change, Resource, Tier, Waiting


class PhaseTimer:
    """A watcher that keeps the time. A tier takes until the next one begins."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._tier_starts: list[tuple[str, float]] = []

    def tier_started(self, tier: Tier) -> None:
        self._tier_starts.append((tier.phase, self._clock()))

    def seconds_by_phase(self, phases: Iterable[str]) -> dict[str, float]:
        """By phase, until now: these in this order, also where no tier was of them, and `other`."""
        totals = dict.fromkeys((*phases, "other"), 0.0)
        ends = [moment for _, moment in self._tier_starts[1:]] + [self._clock()]
        for (phase, began), end in zip(self._tier_starts, ends, strict=True):
            name = phase or "other"
            totals[name] = totals.get(name, 0.0) + end - began
        return {phase: round(seconds, 3) for phase, seconds in totals.items()}

    def acting(self, changes: Sequence[Change]) -> None: ...

    def action_done(self, change: Change, action: Action) -> None: ...

    def target_failed(self, target: str, error: Exception) -> None: ...

    def waiting(self, resource: Resource, waiting: Waiting, seconds: float) -> None: ...
