"""How long each part of a run took."""

import time
from collections.abc import Callable, Mapping, Sequence

from pgprovision.engine.model import Change, Do, Resource, Waiting


class Phases:
    """A watcher that keeps the time. A tier takes until the next one begins."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._began: list[tuple[str, float]] = []

    def tier(self, title: str) -> None:
        self._began.append((title, self._clock()))

    def seconds(self, phases: Mapping[str, str]) -> dict[str, float]:
        """By phase, until now; tiers that belong to none are `rest`."""
        found = dict.fromkeys((*phases.values(), "rest"), 0.0)
        ends = [moment for _, moment in self._began[1:]] + [self._clock()]
        for (title, began), end in zip(self._began, ends, strict=True):
            found[phases.get(title, "rest")] += end - began
        return {phase: round(seconds, 3) for phase, seconds in found.items()}

    def acting(self, changes: Sequence[Change]) -> None: ...

    def done(self, change: Change, action: Do) -> None: ...

    def failed(self, target: str, error: Exception) -> None: ...

    def waiting(self, resource: Resource, waiting: Waiting, seconds: float) -> None: ...
