"""PostgreSQL's quantities, as its manual (20.1.1) has them."""

import ast
from pathlib import Path

import pytest

import pgprovision
from pgprovision.quantity import (
    GB,
    KB,
    MB,
    MEMORY_UNITS,
    Quantity,
    format_bytes,
    is_equal,
    parse,
    parse_bytes,
)

ROOT = Path(pgprovision.__file__).parent


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("64MB", Quantity("64", "MB")),
        (" 64 MB ", Quantity("64", "MB")),
        ("1.5GB", Quantity("1.5", "GB")),
        (".5h", Quantity(".5", "h")),
        ("-1", Quantity("-1", "")),
        ("2e3ms", Quantity("2e3", "ms")),
        ("1E6", Quantity("1E6", "")),
        ("64mb", Quantity("64", "mb")),
        (8, Quantity("8", "")),
        ("1.2.3MB", None),
        ("many", None),
        ("", None),
        ("8 kB each", None),
        ("off", None),
    ],
)
def test_parse_when_given_a_value_then_number_and_unit_as_written(
    text: object, expected: Quantity | None
) -> None:
    assert parse(text) == expected


@pytest.mark.parametrize(
    ("text", "base_unit", "expected"),
    [
        ("64MB", "kB", 64 * MB),
        ("1kB", "B", KB),
        ("1.5GB", "8kB", 3 * GB // 2),
        (16384, "8kB", 128 * MB),
        ("65536", "kB", 64 * MB),
        ("16384", "MB", 16 * GB),
        ("-1", "MB", None),
        ("64mb", "kB", None),
        ("10min", "ms", None),
        ("unlimited", "MB", None),
    ],
)
def test_parse_bytes_when_a_unit_is_missing_then_counts_in_the_base_unit(
    text: object, base_unit: str, expected: int | None
) -> None:
    assert parse_bytes(text, base_unit) == expected


@pytest.mark.parametrize(
    ("text", "shown", "base_unit", "is_integer", "equal"),
    [
        ("2GB", "262144", "8kB", True, True),
        ("2GB", "262143", "8kB", True, False),
        ("1d", "24", "h", True, True),
        ("15min", "900", "s", True, True),
        ("500us", "0.5", "ms", False, True),
        ("1MB", "1", "", True, False),
        ("1.2.3", "1", "", False, False),
        ("1mb", "1048576", "B", True, False),
    ],
)
def test_is_equal_when_compared_with_pg_settings_then_units_count(
    text: str, shown: str, base_unit: str, is_integer: bool, equal: bool
) -> None:
    assert is_equal(text, shown, base_unit, is_integer=is_integer) is equal


@pytest.mark.parametrize(
    ("number", "smallest", "expected"),
    [
        (4 * GB, "B", "4GB"),
        (3 * GB // 2, "B", "1536MB"),
        (8 * KB, "B", "8kB"),
        (1000, "B", "1000B"),
        (0, "B", "0B"),
        (GB + 1, "MB", "1GB"),
        (5 * MB + KB, "MB", "5MB"),
        (7, "MB", "1MB"),
    ],
)
def test_format_bytes_when_given_a_number_then_the_largest_whole_unit(
    number: int, smallest: str, expected: str
) -> None:
    assert format_bytes(number, smallest) == expected
    assert smallest == "MB" or parse_bytes(expected) == number


def test_units_when_written_down_then_in_one_place() -> None:
    """A table of memory units elsewhere would be a second meaning of kB."""
    tables = [
        str(path.relative_to(ROOT))
        for path in sorted(ROOT.rglob("*.py"))
        if path.relative_to(ROOT).parts[0] != "lab"
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Dict | ast.Tuple | ast.Set)
        and set(MEMORY_UNITS)
        <= {
            key.value
            for key in (node.keys if isinstance(node, ast.Dict) else node.elts)
            if isinstance(key, ast.Constant)
        }
    ]
    assert tables == ["quantity.py"]
