"""C7: a value of the file and a value of pg_settings, and when they are the same."""

import pytest

from pgprovision.resources.postgres.configuration.live_settings import values_equal
from pgprovision.resources.postgres.configuration.settings_parser import parse_values


@pytest.mark.parametrize(
    ("text", "kind", "shown", "unit"),
    [
        ("on", "bool", "on", None),
        ("FALSE", "bool", "off", None),
        ("2GB", "integer", "262144", "8kB"),
        ("512MB", "integer", "524288", "kB"),
        ("1GB", "integer", "64", "16MB"),
        ("60s", "integer", "60", "s"),
        ("15min", "integer", "900", "s"),
        ("1.5s", "integer", "1500", "ms"),
        ("200", "integer", "200", None),
        ("4096", "integer", "4096", "kB"),
        ("-1", "integer", "-1", "kB"),
        ("2ms", "real", "2", "ms"),
        ("1.10", "real", "1.1", None),
        ("LZ4", "enum", "lz4", None),
        ("ISO,  MDY", "string", "ISO, MDY", None),
        ("%m # 'x'", "string", "%m # 'x'", None),
    ],
)
def test_value_when_written_another_way_is_the_same(
    text: str, kind: str, shown: str, unit: str | None
) -> None:
    assert values_equal(text, {"type": kind, "value": shown, "unit": unit})


@pytest.mark.parametrize(
    ("text", "kind", "shown", "unit"),
    [
        ("on", "bool", "off", None),
        ("2GB", "integer", "262143", "8kB"),
        ("many", "integer", "7", None),
        ("zstd", "enum", "lz4", None),
    ],
)
def test_value_when_it_is_another_is_not_the_same(
    text: str, kind: str, shown: str, unit: str | None
) -> None:
    assert not values_equal(text, {"type": kind, "value": shown, "unit": unit})


def test_values_when_read_are_as_postgresql_takes_them() -> None:
    text = (
        "Port = 5432  # why\nlog_line_prefix = '%m # ''it'' \\\\ '\ninclude 'x'\na = 1\na = '2'\n"
    )
    assert parse_values(text) == {"port": "5432", "log_line_prefix": "%m # 'it' \\ ", "a": "2"}
