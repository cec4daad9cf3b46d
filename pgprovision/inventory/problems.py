"""What is wrong with an inventory: each complaint with its place, all of them in one report."""

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path

from pgprovision.errors import InventoryError

Loc = tuple[str | int, ...]
# what is wrong, by key path, and a line that could stand there instead
Found = Iterator[tuple[Loc, str] | tuple[Loc, str, str]]

_SECRET = re.compile(r"pass|secret|token|credential|(^|_)key$|heartbeat|webhook", re.IGNORECASE)


@dataclass(frozen=True, order=True)
class Place:
    """Where in which file. Lines and columns count from 1."""

    file: Path
    line: int = 1
    column: int = 1

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.column}"


@dataclass(frozen=True)
class Complaint:
    """One wrong thing, where it is, and by which key it is reached; `example` is a line of YAML
    that could stand there instead, None one that the models know."""

    place: Place
    key: Loc
    text: str
    example: str | None = ""

    def __str__(self) -> str:
        key = dotted(self.key[2:] if self.key[:1] == ("nodes",) else self.key)
        return f"{self.place}: {key}: {self.text}" if key else f"{self.place}: {self.text}"

    def report(self) -> str:
        """The same with its example."""
        return f"{self}\n    for instance: {self.example}" if self.example else str(self)


class BadInventory(InventoryError):
    """Everything that is wrong with one inventory."""

    def __init__(self, complaints: Iterable[Complaint], *, next: str = "") -> None:
        self.complaints = tuple(
            sorted(dict.fromkeys(complaints), key=lambda c: (c.place, str(c.key), c.text))
        )
        super().__init__("\n".join(c.report() for c in self.complaints), next=next)


def dotted(key: Loc) -> str:
    """A key path as people write it.

    >>> dotted(("postgres", "hba", 0, "users"))
    'postgres.hba[0].users'
    """
    parts = (p if isinstance(p, int) or p.isprintable() else repr(p) for p in key)
    return "".join(f"[{p}]" if isinstance(p, int) else f".{p}" for p in parts).removeprefix(".")


def closest(name: str, known: Iterable[str], cutoff: float = 0.7) -> str:
    """The known name that was probably meant, or nothing.

    >>> closest("work_memm", ["work_mem", "port"])
    'work_mem'
    """
    found = get_close_matches(name.lower().replace("-", "_"), list(known), n=1, cutoff=cutoff)
    return found[0] if found else ""


def nearest(name: str, known: Iterable[str]) -> str:
    """` (did you mean X?)`, or nothing where no known name is near.

    >>> nearest("work_memm", ["work_mem", "port"])
    ' (did you mean work_mem?)'
    """
    found = closest(name, known)
    return f" (did you mean {found}?)" if found else ""


def is_secret(key: Loc) -> bool:
    """Whether what stands at a key path may be a secret, and so is never shown."""
    return any(_SECRET.search(part) for part in key if isinstance(part, str))


def listed(words: Sequence[str], last: str = "or") -> str:
    """
    >>> listed(["a", "b", "c"])
    'a, b or c'
    """
    return f" {last} ".join(filter(None, (", ".join(words[:-1]), *words[-1:])))
