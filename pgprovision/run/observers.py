"""Several observers of one run as one."""

from collections.abc import Sequence

from pgprovision.engine.loop import RunObserver
from pgprovision.engine.model import Action, Change, Resource, Tier, Waiting


class RunObservers(list[RunObserver]):
    """Each is called in order; one that raises stops the run before anything is sent."""

    def tier_started(self, tier: Tier) -> None:
        for observer in self:
            observer.tier_started(tier)

    def acting(self, changes: Sequence[Change]) -> None:
        for observer in self:
            observer.acting(changes)

    def action_done(self, change: Change, action: Action) -> None:
        for observer in self:
            observer.action_done(change, action)

    def target_failed(self, target: str, error: Exception) -> None:
        for observer in self:
            observer.target_failed(target, error)

    def waiting(self, resource: Resource, waiting: Waiting, seconds: float) -> None:
        for observer in self:
            observer.waiting(resource, waiting, seconds)
