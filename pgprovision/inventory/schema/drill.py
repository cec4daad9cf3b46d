"""What an inventory says of drills: how often a restore is proven, where, and what has to be in
it."""

from pydantic import Field

from pgprovision.inventory.schema import types as n
from pgprovision.inventory.schema.base import Model

DEFAULT_PERIOD_DAYS = 30  # days


class QueryProbe(Model):
    """What a query has to find in the restored copy: `at_least` a number, or what it `equals`."""

    database: n.DatabaseName
    """A database of this inventory."""
    query: n.Query
    """One SELECT that returns one value. It runs read-only, as a role that may read all data."""
    at_least: n.Integer | None = None
    """The least number that is good."""
    equals: n.SettingValue | None = None
    """The only value that is good."""


class Heartbeat(Model):
    """A query for the moment of the newest row, run on the primary when a drill begins and on
    the copy: the difference is the data loss. Without it, the age of the oldest commit that
    was not archived yet counts."""

    database: n.DatabaseName
    """A database of this inventory."""
    query: n.Query
    """One SELECT that returns one timestamp, for instance that of the newest row."""


class DrillSpec(Model):
    """Restores practised on a throw-away machine: see docs/drill.md."""

    period_days: n.Integer = Field(default=DEFAULT_PERIOD_DAYS, ge=1)
    """How old the last proven restore may be. If not given, 30, or `retention_days` if that is
    less."""
    host: n.HostName | None = None
    """An existing spare host that holds nothing; without it Hetzner makes a server for an hour."""
    server_type: n.HetznerName = ""
    """Of that server; if not given, the primary's."""
    probes: tuple[QueryProbe, ...] = ()
    """What has to be in the copy."""
    heartbeat: Heartbeat | None = None
    """How the seconds of data lost are measured, where it is not by the WAL alone."""

    def effective_period_days(self, retention_days: int) -> int:
        """Days, as given or as far as backups are kept."""
        if "period_days" in self.model_fields_set:
            return self.period_days
        return min(self.period_days, retention_days)
