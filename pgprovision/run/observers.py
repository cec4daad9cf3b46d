"""Several watchers of one run as one."""

from collections.abc import Sequence

from pgprovision.engine.loop import Watcher
from pgprovision.engine.model import Change, Do, Resource, Waiting


class Watchers(list[Watcher]):
    """Each is told in order; one that raises stops the run before anything is sent."""

    def tier(self, title: str) -> None:
        for watcher in self:
            watcher.tier(title)

    def acting(self, changes: Sequence[Change]) -> None:
        for watcher in self:
            watcher.acting(changes)

    def done(self, change: Change, action: Do) -> None:
        for watcher in self:
            watcher.done(change, action)

    def failed(self, target: str, error: Exception) -> None:
        for watcher in self:
            watcher.failed(target, error)

    def waiting(self, resource: Resource, waiting: Waiting, seconds: float) -> None:
        for watcher in self:
            watcher.waiting(resource, waiting, seconds)
