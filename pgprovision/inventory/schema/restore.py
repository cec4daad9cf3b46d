"""What an inventory says of a restored copy: the point in history its data are of."""

from typing import Self

from pydantic import Field, model_validator

from pgprovision.inventory.schema import types as n
from pgprovision.inventory.schema.base import Model
from pgprovision.recovery_target import RecoveryTarget, TargetKind


class RestoreSpec(Model):
    """Where a copy's data are restored to: at most one of time, lsn, xid, name; none: the end of
    the WAL. Counts until the data are there, and never again."""

    time: n.RestoreTime | None = None
    """A time with its zone: every transaction committed by then. Kept in UTC."""
    lsn: n.RestoreLsn | None = None
    """A place in the WAL, as 0/3000060."""
    xid: n.RestoreXid | None = None
    """The last transaction that counts."""
    name: n.RestoreName | None = None
    """The name given to pg_create_restore_point."""
    exclusive: n.Boolean = False
    """Stops right before the target."""
    timeline: n.Integer = Field(default=0, ge=0)
    """Which history to follow; 0: the newest."""
    backup: n.BackupLabel | None = None
    """The backup to begin with, by its label; if not given, the newest one before the target."""

    @model_validator(mode="after")
    def check_single_target(self) -> Self:
        given = [kind for kind in ("time", "lsn", "xid", "name") if getattr(self, kind)]
        if len(given) > 1:
            raise ValueError(
                f"{' and '.join(given)} are two recovery targets; expected one of them"
            )
        if self.exclusive and not given:
            raise ValueError(
                "exclusive without a target; expected time, lsn, xid or name beside it"
            )
        return self

    def recovery_target(self) -> RecoveryTarget:
        """The same for a recovery."""
        kinds: tuple[TargetKind, ...] = ("time", "lsn", "xid", "name")
        kind: TargetKind = next((kind for kind in kinds if getattr(self, kind)), "end")
        value = "" if kind == "end" else str(getattr(self, kind))
        return RecoveryTarget(kind, value, not self.exclusive, self.timeline, self.backup or "")

    @classmethod
    def as_yaml(cls, target: RecoveryTarget) -> dict[str, object]:
        """A recovery's target as a node's file says it."""
        keys: dict[str, object] = {} if target.kind == "end" else {target.kind: target.value}
        options = {"exclusive": not target.inclusive, "timeline": target.timeline}
        return keys | {k: v for k, v in (options | {"backup": target.backup}).items() if v}
