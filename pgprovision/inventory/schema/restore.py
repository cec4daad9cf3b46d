"""What an inventory says of a restored copy: the point in history its data are of."""

from typing import Self

from pydantic import Field, model_validator

from pgprovision.inventory.schema import types as n
from pgprovision.inventory.schema.base import Model
from pgprovision.recovery_target import Kind, Target


class Restore(Model):
    """Where a copy's data are restored to: at most one of time, lsn, xid, name; none: the end of
    the WAL. Counts until the data are there, and never again."""

    time: n.RestoreTime | None = None
    """A time with its zone: every transaction committed by then. Kept in UTC."""
    lsn: n.RestoreLsn | None = None
    """A place in the WAL, as 0/3000060."""
    xid: n.RestoreXid | None = None
    """The last transaction that counts."""
    name: n.RestoreName | None = None
    """What pg_create_restore_point was given."""
    exclusive: n.Boolean = False
    """Stops right before the target."""
    timeline: n.Integer = Field(default=0, ge=0)
    """Which history to follow; 0: the newest."""
    backup: n.BackupLabel | None = None
    """The backup to begin with, by its label; if not given, the newest one before the target."""

    @model_validator(mode="after")
    def one(self) -> Self:
        given = [kind for kind in ("time", "lsn", "xid", "name") if getattr(self, kind)]
        if len(given) > 1:
            raise ValueError(f"{' and '.join(given)} are two targets; expected one of them")
        if self.exclusive and not given:
            raise ValueError(
                "exclusive without a target; expected time, lsn, xid or name beside it"
            )
        return self

    def target(self) -> Target:
        """The same for a recovery."""
        kinds: tuple[Kind, ...] = ("time", "lsn", "xid", "name")
        kind: Kind = next((kind for kind in kinds if getattr(self, kind)), "end")
        value = "" if kind == "end" else str(getattr(self, kind))
        return Target(kind, value, not self.exclusive, self.timeline, self.backup or "")

    @classmethod
    def of(cls, target: Target) -> dict[str, object]:
        """A recovery's target as a node's file says it."""
        said: dict[str, object] = {} if target.kind == "end" else {target.kind: target.value}
        more = {"exclusive": not target.inclusive, "timeline": target.timeline}
        return said | {k: v for k, v in (more | {"backup": target.backup}).items() if v}
