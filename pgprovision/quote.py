"""The only places where a value becomes text of another language."""

import shlex

from pgprovision.errors import InventoryError

IDENTIFIER_BYTES = 63  # NAMEDATALEN - 1: PostgreSQL cuts longer names with only a notice


def sh(*words: str) -> str:
    """Words as one POSIX shell text.

    >>> sh("echo", "it's")
    'echo \\'it\\'"\\'"\\'s\\''
    """
    return shlex.join(words)


def ident(name: str) -> str:
    """A PostgreSQL identifier. Raises InventoryError for what PostgreSQL cannot hold.

    >>> ident('we"ird')
    '"we""ird"'
    """
    if not name or "\0" in name or len(name.encode()) > IDENTIFIER_BYTES:
        raise InventoryError(f"not a PostgreSQL name (1 to 63 bytes, no NUL): {name!r}")
    return '"' + name.replace('"', '""') + '"'


def literal(value: str) -> str:
    """A PostgreSQL string literal, safe with either setting of standard_conforming_strings.

    >>> literal("it's"), literal("a\\\\b")
    ("'it''s'", "E'a\\\\\\\\b'")
    """
    if "\0" in value:
        raise InventoryError("a PostgreSQL text cannot hold a NUL")
    text = value.replace("'", "''")
    return "E'" + text.replace("\\", "\\\\") + "'" if "\\" in text else f"'{text}'"


def conf(value: object) -> str:
    """A value for postgresql.conf: numbers and booleans bare, everything else quoted.

    >>> conf(True), conf(8), conf("1GB"), conf("it's")
    ('on', '8', "'1GB'", "'it''s'")
    """
    if isinstance(value, bool):
        return "on" if value else "off"
    if isinstance(value, int | float):
        return str(value)
    text = str(value)
    if "\n" in text or "\0" in text:
        raise InventoryError(f"a setting is one line of text: {text!r}")
    return "'" + text.replace("\\", "\\\\").replace("'", "''") + "'"


def conninfo(value: str) -> str:
    """One value of a libpq connection string.

    >>> conninfo("it's a \\\\ path")
    "'it\\\\'s a \\\\\\\\ path'"
    """
    return "'" + value.replace("\\", "\\\\").replace("'", "\\'") + "'"


def pgpass(value: str) -> str:
    """One field of a libpq password file.

    >>> pgpass("a:b\\\\c")
    'a\\\\:b\\\\\\\\c'
    """
    return value.replace("\\", "\\\\").replace(":", "\\:")


def systemd_exec(*words: str) -> str:
    """Words as a command line of a systemd unit, which expands % and $ and knows quotes.

    >>> unit("/bin/echo", "100% of $HOME", 'a "b"')
    '/bin/echo "100%% of $$HOME" "a \\\\"b\\\\""'
    """
    return " ".join(map(_systemd_exec_word, words))


def _systemd_exec_word(word: str) -> str:
    if "\n" in word or "\0" in word:
        raise InventoryError(f"a unit's command is one line of text: {word!r}")
    text = word.replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%").replace("$", "$$")
    plain = text and all(c.isalnum() or c in "/._-=:@,+" for c in text)
    return text if plain else f'"{text}"'
