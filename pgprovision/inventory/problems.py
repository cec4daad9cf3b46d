"""What is wrong with an inventory: each problem with its place, all of them in one report."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path

from pgprovision.errors import InventoryError

KeyPath = tuple[str | int, ...]
# what is wrong, by key path, and a line that could stand there instead
Problems = Iterator[
    tuple[KeyPath, "str | Message"] | tuple[KeyPath, "str | Message", "str | Message"]
]


@dataclass(frozen=True, order=True)
class SourcePosition:
    """Where in which file. Lines and columns count from 1."""

    file: Path
    line: int = 1
    column: int = 1

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.column}"


class Message:
    """A rule's message, or its example, that is made of the value at its own key path. Values are
    quoted by name, as `str.format` does."""

    def __init__(self, template: str, **values: object) -> None:
        self.template = template
        self.values = values

    def text(self, reference: object = None) -> str:
        """The message; of a value that is kept elsewhere only the reference is shown."""
        if reference is None:
            return self.template.format(**self.values)
        return self.template.format(**dict.fromkeys(self.values, f"<{reference}>"))


@dataclass(frozen=True)
class Problem:
    """One wrong thing, where it is, and by which key it is reached; `example` is a line of YAML
    that could stand there instead, None one that the models know."""

    position: SourcePosition
    path: KeyPath
    text: str
    example: str | None = ""

    def __str__(self) -> str:
        key = dotted_path(self.path[2:] if self.path[:1] == ("nodes",) else self.path)
        return f"{self.position}: {key}: {self.text}" if key else f"{self.position}: {self.text}"

    def report(self) -> str:
        """The same with its example."""
        return f"{self}\n    example: {self.example}" if self.example else str(self)


class BadInventory(InventoryError):
    """Everything that is wrong with one inventory."""

    def __init__(self, problems: Iterable[Problem], *, next: str = "") -> None:
        self.problems = tuple(
            sorted(dict.fromkeys(problems), key=lambda c: (c.position, str(c.path), c.text))
        )
        super().__init__("\n".join(c.report() for c in self.problems), next=next)


def dotted_path(key: KeyPath) -> str:
    """A key path as people write it.

    >>> dotted(("postgres", "hba", 0, "users"))
    'postgres.hba[0].users'
    """
    parts = (p if isinstance(p, int) or p.isprintable() else repr(p) for p in key)
    return "".join(f"[{p}]" if isinstance(p, int) else f".{p}" for p in parts).removeprefix(".")


def closest_name(name: str, known: Iterable[str], cutoff: float = 0.7) -> str:
    """The known name that was probably meant, or nothing.

    >>> closest("work_memm", ["work_mem", "port"])
    'work_mem'
    """
    found = get_close_matches(name.lower().replace("-", "_"), list(known), n=1, cutoff=cutoff)
    return found[0] if found else ""


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """` (did you mean X?)`, or nothing where no known name is near.

    >>> nearest("work_memm", ["work_mem", "port"])
    ' (did you mean work_mem?)'
    """
    found = closest_name(name, known)
    return f" (did you mean {found}?)" if found else ""


def join_words(words: Sequence[str], last: str = "or") -> str:
    """
    >>> listed(["a", "b", "c"])
    'a, b or c'
    """
    return f" {last} ".join(filter(None, (", ".join(words[:-1]), *words[-1:])))
