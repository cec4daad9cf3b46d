"""How long each part of a run took."""

import time
from collections.abc import Callable, Mapping, Sequence

from pgprovision.engine.model import Action, Change, Resource, Waiting


class PhaseTimer:
    """A watcher that keeps the time. A tier takes until the next one begins."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._tier_starts: list[tuple[str, float]] = []

    def tier_started(self, title: str) -> None:
        self._tier_starts.append((title, self._clock()))

    def seconds_by_phase(self, phases: Mapping[str, str]) -> dict[str, float]:
        """By phase, until now; tiers that belong to none are `rest`."""
        totals = dict.fromkeys((*phases.values(), "rest"), 0.0)
        ends = [moment for _, moment in self._tier_starts[1:]] + [self._clock()]
        for (title, began), end in zip(self._tier_starts, ends, strict=True):
            totals[phases.get(title, "rest")] += end - began
        return {phase: round(seconds, 3) for phase, seconds in totals.items()}

    def acting(self, changes: Sequence[Change]) -> None: ...

    def action_done(self, change: Change, action: Action) -> None: ...

    def target_failed(self, target: str, error: Exception) -> None: ...

    def waiting(self, resource: Resource, waiting: Waiting, seconds: float) -> None: ...
