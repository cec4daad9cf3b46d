"""PostgreSQL's quantities: a number with a unit, as `64MB` in `work_mem = 64MB`.

Manual, 20.1.1: units are case-sensitive, and kB is 1024 bytes.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass

KB, MB, GB, TB = 1 << 10, 1 << 20, 1 << 30, 1 << 40
MEMORY_UNITS: Mapping[str, int] = {"B": 1, "kB": KB, "MB": MB, "GB": GB, "TB": TB}
"""In bytes."""
TIME_UNITS: Mapping[str, float] = {"us": 1e-6, "ms": 1e-3, "s": 1, "min": 60, "h": 3600, "d": 86400}
"""In seconds."""
UNITS: Mapping[str, float] = {**MEMORY_UNITS, **TIME_UNITS}
_QUANTITY = re.compile(
    r"\s*([-+]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][-+]?[0-9]+)?)\s*([A-Za-z]*)\s*"
)
_BASE_UNIT = re.compile(r"([0-9]*)([A-Za-z]*)")


@dataclass(frozen=True)
class Quantity:
    """A number and its unit, as written."""

    number: str
    """"64", "-1", "1.5" or "2e3"."""
    unit: str
    """"MB"; "" where there is none. It may be one that PostgreSQL does not know."""

    def is_in(self, units: Mapping[str, float]) -> bool:
        """Whether the unit is one of these."""
        return self.unit in units

    def amount(self, base_unit: str = "") -> float:
        """How many of `base_unit` it is; a number without a unit counts in it. An unknown unit
        counts as the base unit, which PostgreSQL refuses before.

        >>> Quantity("64", "MB").amount("8kB"), Quantity("64", "").amount("8kB")
        (8192.0, 64.0)
        """
        base = base_factor(base_unit)
        return float(self.number) * UNITS.get(self.unit, base) / base


def parse(text: object) -> Quantity | None:
    """A setting's value as a quantity; None where it is none.

    >>> parse("1.5 GB"), parse("lots")
    (Quantity(number='1.5', unit='GB'), None)
    """
    found = _QUANTITY.fullmatch(str(text))
    return Quantity(found[1], found[2]) if found else None


def base_factor(unit: str) -> float:
    """A unit of `pg_settings.unit` in bytes or seconds; 1 where there is none.

    >>> base_factor("8kB"), base_factor("min"), base_factor("")
    (8192, 60, 1)
    """
    found = _BASE_UNIT.fullmatch(unit)
    return int(found[1] or 1) * UNITS.get(found[2], 1) if found else 1


def parse_bytes(text: object, base_unit: str = "B") -> int | None:
    """A size in bytes; None where it is none, or below 0, as -1 for "no limit".

    >>> parse_bytes("64MB") == parse_bytes(65536, "kB") == 64 * MB
    True
    """
    found = parse(text)
    if found is None or not found.is_in({**MEMORY_UNITS, "": 1}) or float(found.number) < 0:
        return None
    return int(found.amount(base_unit) * base_factor(base_unit))


def is_equal(text: str, shown: str, base_unit: str, *, is_integer: bool) -> bool:
    """Whether a value as a file has it is the one that pg_settings shows in `base_unit`.

    >>> is_equal("2GB", "262144", "8kB", is_integer=True)
    True
    """
    found = parse(text)
    if found is None:
        return False
    amount = found.amount(base_unit)
    return (round(amount) if is_integer else amount) == float(shown)


def format_bytes(number: int, smallest: str = "B") -> str:
    """Bytes in the largest unit in which they are whole, up to GB; rounded down to whole
    `smallest`, and at least one of it.

    >>> format_bytes(4 * GB), format_bytes(3 << 29), format_bytes(1000, "MB")
    ('4GB', '1536MB', '1MB')
    """
    step = MEMORY_UNITS[smallest]
    number = max(number // step, 1 if step > 1 else 0) * step
    unit = next(u for u in ("GB", "MB", "kB", "B") if number % MEMORY_UNITS[u] == 0 or u == "B")
    return f"{number // MEMORY_UNITS[unit]}{unit}" if number else "0B"
