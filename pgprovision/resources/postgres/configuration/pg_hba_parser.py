"""Parses pg_hba.conf as PostgreSQL does, as far as pgprovision writes it."""

import re
from collections.abc import Iterator, Sequence
from typing import Literal

from pgprovision.errors import InventoryError
from pgprovision.resources.postgres.configuration.pg_hba_rules import HbaKeyword, HbaRule

_TOKEN = re.compile(r"""(?P<word>(?:"(?:[^"]|"")*"|[^\s,"#])+)|(?P<comma>\s*,\s*)|(?P<rest>\#.*)""")


def parse_pg_hba(text: str) -> Iterator[HbaRule]:
    """The rules of a text. Raises InventoryError."""
    for number, line in enumerate(text.splitlines(), 1):
        fields: list[list[str]] = []
        joined = False
        for token in _TOKEN.finditer(line):
            if token["comma"]:
                joined = True
            elif token["word"]:
                word = _name(token["word"])
                fields = [*fields[:-1], [*fields[-1], word]] if joined else [*fields, [word]]
                joined = False
        if _TOKEN.sub("", line).strip():
            raise InventoryError(f"pg_hba.conf:{number}: a quote that is never closed: {line}")
        if fields:
            try:
                yield _rule([tuple(field) for field in fields])
            except (InventoryError, ValueError) as error:
                raise InventoryError(f"pg_hba.conf:{number}: {error}: {line}") from None


def _rule(fields: Sequence[tuple[str, ...]]) -> HbaRule:
    kind = fields[0][0]
    if kind not in _TYPES or len(fields) != (4 if kind == "local" else 5):
        raise InventoryError("not a rule as this tool writes them")
    _, databases, users, *address, method = fields
    return HbaRule(
        _TYPES[kind], databases, users, ",".join(method), *(_address(part) for part in address)
    )


_TYPES: dict[str, Literal["local", "host", "hostssl", "hostnossl"]] = {
    "local": "local",
    "host": "host",
    "hostssl": "hostssl",
    "hostnossl": "hostnossl",
}


def _name(word: str) -> str:
    if word.startswith('"'):
        return word[1:-1].replace('""', '"')
    return HbaKeyword(word) if word in ("all", "replication") else word


def _address(parts: tuple[str, ...]) -> str:
    """An address: one word, which may be a keyword."""
    return parts[0] if len(parts) == 1 else ",".join(parts)
