"""Whether the last proven restore is too long ago."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from pgprovision.inventory.schema.cluster import Inventory
from pgprovision.resources.pgbackrest.info import Backup

NEXT = "next: pgprovision drill; on a schedule: pgprovision drill install"


def drill_troubles(
    inventory: Inventory, last: Mapping[str, Any] | None, backups: Sequence[Backup], now: datetime
) -> Iterator[str]:
    """`last`: the last drill that proved a restore. Where there never was one, a cluster has as
    long as from its oldest backup on."""
    if inventory.backup is None:
        return
    days = inventory.backup.drill.period(inventory.backup.retention_days)
    period = timedelta(days=days)
    expected = f"expected at least every {days} days (backup.drill.period_days)\n  {NEXT}"
    if last is not None:
        age = now - datetime.fromisoformat(str(last["at"]))
        if age >= period:
            yield f"the last proven restore is {age.days} days old; {expected}"
    elif backups:
        oldest = datetime.fromtimestamp(min(backup.stop for backup in backups), UTC)
        if now - oldest >= period:
            yield f"no restore was ever proven from this machine; {expected}"
