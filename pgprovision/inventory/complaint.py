"""What is wrong with an inventory: each complaint with its place, all of them in one report."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path

from pgprovision.errors import InventoryError

Loc = tuple[str | int, ...]
Found = Iterator[tuple[Loc, str]]  # what is wrong, by key path


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
    """One wrong thing, where it is, and by which key it is reached."""

    place: Place
    key: Loc
    text: str

    def __str__(self) -> str:
        key = dotted(self.key[2:] if self.key[:1] == ("nodes",) else self.key)
        return f"{self.place}: {key}: {self.text}" if key else f"{self.place}: {self.text}"


class BadInventory(InventoryError):
    """Everything that is wrong with one inventory."""

    def __init__(self, complaints: Iterable[Complaint], *, next: str = "") -> None:
        self.complaints = tuple(
            sorted(dict.fromkeys(complaints), key=lambda c: (c.place, str(c.key), c.text))
        )
        super().__init__("\n".join(map(str, self.complaints)), next=next)


def dotted(key: Loc) -> str:
    """A key path as people write it.

    >>> dotted(("postgres", "hba", 0, "users"))
    'postgres.hba[0].users'
    """
    return "".join(f"[{p}]" if isinstance(p, int) else f".{p}" for p in key).removeprefix(".")


def nearest(name: str, known: Iterable[str]) -> str:
    """` (did you mean X?)`, or nothing where no known name is near.

    >>> nearest("work_memm", ["work_mem", "port"])
    ' (did you mean work_mem?)'
    """
    found = get_close_matches(name.lower().replace("-", "_"), list(known), n=1, cutoff=0.7)
    return f" (did you mean {found[0]}?)" if found else ""


def listed(words: Sequence[str], last: str = "or") -> str:
    """
    >>> listed(["a", "b", "c"])
    'a, b or c'
    """
    return f" {last} ".join(filter(None, (", ".join(words[:-1]), *words[-1:])))
