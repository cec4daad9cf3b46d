"""Where a recovery is to stop, as people write it and as PostgreSQL's settings have it."""

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Literal
from zoneinfo import ZoneInfo

from pgprovision.errors import NOTHING_CHANGED, InventoryError

__all__ = ["NOTHING_CHANGED", "RecoveryTarget", "recovery_target"]

TargetKind = Literal["end", "time", "lsn", "xid", "name"]
TIME_EXAMPLE = "2026-11-29 03:00+01:00, or 2026-11-29 03:00 Europe/Berlin"
XID_LIMIT = 1 << 64  # with the epoch, as pg_current_xact_id() returns them
FIRST_XID = 3  # the ones before are PostgreSQL's own
NAME_BYTES = 63  # pg_create_restore_point takes no longer one
_TIME = re.compile(
    r"(\d{4}-\d\d-\d\d[T ]\d\d:\d\d(?::\d\d(?:[.,]\d{1,6})?)?)\s*"
    r"(Z|[+-]\d\d(?::?\d\d)?|[A-Za-z][A-Za-z0-9_+/-]*)?"
)


@dataclass(frozen=True)
class RecoveryTarget:
    """A point in a cluster's history. `value`: a time in UTC as ISO 8601, an LSN, a transaction id,
    the name of a restore point; none for the end of the WAL. `inclusive` false: right before it.
    `timeline` 0: the newest. `backup`: the label of the backup set; none: the newest before it.
    """

    kind: TargetKind = "end"
    value: str = ""
    inclusive: bool = True
    timeline: int = 0
    backup: str = ""

    @property
    def target_time(self) -> datetime:
        """Of a time target."""
        return datetime.fromisoformat(self.value)

    def recovery_settings(self) -> dict[str, str]:
        """PostgreSQL's recovery settings. The unused targets come first, empty: what somebody's
        ALTER SYSTEM left in a backup would be a second target, which PostgreSQL refuses."""
        kinds = ("time", "lsn", "xid", "name")
        settings = {"recovery_target": ""}
        settings |= {f"recovery_target_{kind}": "" for kind in kinds if kind != self.kind}
        if self.kind in kinds:
            settings[f"recovery_target_{self.kind}"] = self.value
        settings["recovery_target_inclusive"] = "on" if self.inclusive else "off"
        return settings

    def __str__(self) -> str:
        words = "the end of the WAL" if self.kind == "end" else f"{self.kind} {self.value}"
        before = "" if self.inclusive else "right before "
        return before + words + (f" on timeline {self.timeline}" if self.timeline else "")


END_OF_WAL = RecoveryTarget()


def parse_time(text: str) -> str:
    """A time with its zone, in UTC. Raises ValueError, with what was expected, where it has no
    zone, or is a local time that the clocks skip or show twice."""
    match = _TIME.fullmatch(text.strip())
    if not match:
        raise ValueError(f"expected a time with a zone: {TIME_EXAMPLE}")
    local, zone = match[1].replace(",", "."), match[2]
    try:
        naive = datetime.fromisoformat(local)
        if zone is None:
            raise ValueError(f"it has no zone, and clocks differ; expected {TIME_EXAMPLE}")
        if zone == "Z" or zone[0] in "+-":
            aware = datetime.fromisoformat(f"{local}{_offset(zone)}")
        else:
            aware = _in_zone(naive, zone)
        return aware.astimezone(UTC).isoformat()
    except (ValueError, OverflowError) as error:
        if TIME_EXAMPLE in str(error) or "clocks" in str(error):
            raise
        raise ValueError(f"{error}; expected {TIME_EXAMPLE}") from None


def _offset(zone: str) -> str:
    """+01, +0100 and +01:00 alike."""
    if zone == "Z":
        return "+00:00"
    digits = zone[1:].replace(":", "").ljust(4, "0")
    return f"{zone[0]}{digits[:2]}:{digits[2:]}"


def _in_zone(naive: datetime, zone: str) -> datetime:
    try:
        timezone = ZoneInfo(zone)
    except (KeyError, ValueError, OSError):
        raise ValueError(f"unknown time zone {zone}; expected {TIME_EXAMPLE}") from None
    first = naive.replace(tzinfo=timezone, fold=0)
    second = naive.replace(tzinfo=timezone, fold=1)
    if first.utcoffset() == second.utcoffset():
        return first
    readings = [_with_offset(naive, reading.utcoffset()) for reading in (first, second)]
    back = first.astimezone(UTC).astimezone(timezone).replace(tzinfo=None)
    if back != naive:
        raise ValueError(f"the clocks of {zone} skip {naive}; expected {' or '.join(readings)}")
    raise ValueError(
        f"the clocks of {zone} show {naive} twice that day; say which: {' or '.join(readings)}"
    )


def _with_offset(naive: datetime, offset: timedelta | None) -> str:
    shift = offset or timedelta()
    sign, minutes = "-" if shift < timedelta() else "+", abs(int(shift.total_seconds())) // 60
    return f"{naive}{sign}{minutes // 60:02d}:{minutes % 60:02d}"


def parse_lsn(text: str) -> str:
    """An LSN. Raises ValueError."""
    if not re.fullmatch(r"[0-9A-Fa-f]{1,8}/[0-9A-Fa-f]{1,8}", text):
        raise ValueError("expected an LSN as 0/3000060")
    return text


def parse_xid(text: str) -> str:
    """A transaction id. Raises ValueError."""
    if not re.fullmatch(r"[0-9]{1,20}", text) or not FIRST_XID <= int(text) < XID_LIMIT:
        raise ValueError("expected a transaction id, a number as 74512")
    return text


def parse_restore_point(text: str) -> str:
    """The name of a restore point. Raises ValueError."""
    if not text or not text.isprintable() or len(text.encode()) > NAME_BYTES:
        raise ValueError("expected the name given to pg_create_restore_point")
    return text


PARSERS = {"time": parse_time, "lsn": parse_lsn, "xid": parse_xid, "name": parse_restore_point}


def recovery_target(
    options: dict[TargetKind, str], *, inclusive: bool = True, timeline: int = 0, backup: str = ""
) -> RecoveryTarget:
    """What was asked for, empty texts being nothing. Raises InventoryError."""
    given = {kind: text for kind, text in options.items() if text}
    if len(given) > 1:
        names = " and ".join(f"--{kind}" for kind in given)
        raise InventoryError(
            f"{names} are two recovery targets; expected one of them", done=NOTHING_CHANGED
        )
    for kind, text in given.items():
        try:
            return RecoveryTarget(kind, PARSERS[kind](text), inclusive, timeline, backup)
        except ValueError as error:
            raise InventoryError(f"--{kind}: {text!r}: {error}", done=NOTHING_CHANGED) from None
    if not inclusive:
        raise InventoryError(
            "--exclusive needs a target; expected it with --time, --lsn, --xid or --name",
            done=NOTHING_CHANGED,
        )
    return RecoveryTarget("end", "", True, timeline, backup)
