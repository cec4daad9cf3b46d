"""Whether the last proven restore is too long ago."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from pgprovision.inventory.schema.cluster import Inventory
from pgprovision.resources.pgbackrest.info import BackupInfo

NEXT_COMMAND = "next: pgprovision drill; on a schedule: pgprovision drill install"


def drill_problems(
    inventory: Inventory,
    last_drill: Mapping[str, Any] | None,
    backups: Sequence[BackupInfo],
    now: datetime,
) -> Iterator[str]:
    """`last_drill`: the last drill that proved a restore. Where there never was one, a cluster has
    as long as from its oldest backup on."""
    if inventory.backup is None:
        return
    days = inventory.backup.drill.effective_period_days(inventory.backup.retention_days)
    period = timedelta(days=days)
    expected = f"expected at least every {days} days (backup.drill.period_days)\n  {NEXT_COMMAND}"
    if last_drill is not None:
        age = now - datetime.fromisoformat(str(last_drill["started_at"]))
        if age >= period:
            yield f"the last proven restore is {age.days} days old; {expected}"
    elif backups:
        oldest = datetime.fromtimestamp(min(backup.stop for backup in backups), UTC)
        if now - oldest >= period:
            yield f"no restore has been proven yet from this machine; {expected}"
