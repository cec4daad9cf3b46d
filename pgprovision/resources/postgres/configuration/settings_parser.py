"""Parses postgresql.conf: its settings and their values."""

import re
from collections.abc import Mapping

_INCLUDE = re.compile(r"\s*include(_if_exists|_dir)?\b", re.IGNORECASE)
_LINE = re.compile(
    r"\s*(?P<name>[A-Za-z_][\w$.]*)\s*(=\s*|\s+)(?P<value>'([^'\\]|\\.|'')*'|[^\s#']+)", re.ASCII
)


def parse_settings(*texts: str) -> tuple[Mapping[str, object], ...]:
    """The settings of each text, all parsed in the same way.

    pgtoolkit where it can parse every text; it rejects capitals in names, `#` in quotes and
    relative includes. Otherwise line by line, which is enough to tell what changed.
    """
    bodies = [_without_includes(text) for text in texts]
    try:
        return tuple(_by_pgtoolkit(body) for body in bodies)
    except ValueError:
        return tuple(_by_line(body) for body in bodies)


def parse_values(text: str) -> Mapping[str, str]:
    """The settings of a text by lower-case name, their values as PostgreSQL takes them."""
    found = (_LINE.match(line) for line in _without_includes(text).splitlines())
    return {match["name"].lower(): _unquoted(match["value"]) for match in found if match}


def _unquoted(value: str) -> str:
    if not value.startswith("'"):
        return value
    return re.sub(r"''|\\(.)", lambda m: m[1] or "'", value[1:-1])


def _without_includes(text: str) -> str:
    lines = text.splitlines(keepends=True)
    return "".join(line for line in lines if not _INCLUDE.match(line))


def _by_pgtoolkit(text: str) -> Mapping[str, object]:
    from pgtoolkit import conf  # late: only a difference needs it

    return dict(conf.parse_string(text).as_dict())


def _by_line(text: str) -> Mapping[str, object]:
    found = (_LINE.match(line) for line in text.splitlines())
    return {match["name"].lower(): match["value"] for match in found if match}
