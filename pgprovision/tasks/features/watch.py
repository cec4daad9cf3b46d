"""What `watch` needs on the nodes: new WAL at intervals, also from an idle database.

`watch` itself runs on another host and reads the bucket (operations/watch/)."""

from collections.abc import Iterator

from pgprovision.engine.model import Resource
from pgprovision.render import render
from pgprovision.resources.system.file import File
from pgprovision.resources.system.unit import Unit
from pgprovision.tasks.context import PlanContext
from pgprovision.tasks.features.feature import Feature, FeatureTier, Position
from pgprovision.tasks.paths import UNIT_DIRECTORY

SERVICE, TIMER = "pgprovision-mark.service", "pgprovision-mark.timer"


class Watch(Feature):
    """`backup.watch` of the inventory."""

    @property
    def enabled(self) -> bool:
        return self.inventory.backup is not None and self.inventory.backup.watch is not None

    def timers(self) -> tuple[str, ...]:
        return (TIMER,)

    def tiers(self) -> tuple[FeatureTier, ...]:
        return (FeatureTier(Position.SCHEDULES, "backup schedule", "members", (wal_heartbeat,)),)


def wal_heartbeat(context: PlanContext) -> Iterator[Resource]:
    """A timer that writes some bytes of WAL on the primary; removed with
    `wal_heartbeat_interval: never`."""
    backup, on = context.inventory.backup, context.on
    if backup is None or backup.watch is None:
        return
    every = backup.watch.wal_heartbeat_interval
    enabled = every != "never"
    if not enabled:
        yield Unit(on=on, unit=TIMER, enabled=False, active=False)
    values = {"stanza": backup.stanza, "instance": context.instance, "every": every}
    for unit in (SERVICE, TIMER):
        text = render(f"{unit}.j2", context.inventory.folder, **values)
        yield File(on=on, path=f"{UNIT_DIRECTORY}/{unit}", content=text if enabled else None)
    if enabled:
        yield Unit(on=on, unit=SERVICE, enabled=None, active=None)
        yield Unit(on=on, unit=TIMER)
