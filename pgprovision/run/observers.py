"""Several watchers of one run as one."""

from collections.abc import Sequence

from pgprovision.engine.loop import RunObserver
from pgprovision.engine.model import Action, Change, Resource, Tier, Waiting


class RunObservers(list[RunObserver]):
    """Each is told in order; one that raises stops the run before anything is sent."""

    def tier_started(self, tier: Tier) -> None:
        for watcher in self:
            watcher.tier_started(tier)

    def acting(self, changes: Sequence[Change]) -> None:
        for watcher in self:
            watcher.acting(changes)

    def action_done(self, change: Change, action: Action) -> None:
        for watcher in self:
            watcher.action_done(change, action)

    def target_failed(self, target: str, error: Exception) -> None:
        for watcher in self:
            watcher.target_failed(target, error)

    def waiting(self, resource: Resource, waiting: Waiting, seconds: float) -> None:
        for watcher in self:
            watcher.waiting(resource, waiting, seconds)
