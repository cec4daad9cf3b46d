"""Known mistakes, kept as patches: a test suite is worth what it catches of them.

A patch's first line says which rule it breaks and which quick tests must notice. `make seeded` puts
one after the other into a copy of the checkout and runs those tests.
"""

import re
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
FOLDER = Path(__file__).parent
_HEAD = re.compile(
    r"# (?P<ids>(?:row:|[A-Z0-9, ])+): (?P<rule>.+) \| (?P<tests>tests/\S+( tests/\S+)*)"
)


@dataclass(frozen=True)
class Mistake:
    """One patch."""

    path: Path
    ids: str
    rule: str
    tests: tuple[str, ...]


def mistakes() -> tuple[Mistake, ...]:
    """All of them. Raises ValueError where a first line is not as it should be."""
    return tuple(_read(path) for path in sorted(FOLDER.glob("*.patch")))


def _read(path: Path) -> Mistake:
    head = path.read_text().partition("\n")[0]
    found = _HEAD.fullmatch(head)
    if found is None:
        raise ValueError(f"{path.name}: its first line is not `# IDS: rule | tests`: {head}")
    return Mistake(path, found["ids"], found["rule"], tuple(found["tests"].split()))


def apply_words(patch: Path, *words: str) -> list[str]:
    """The command that puts a patch into the checkout it is run in."""
    return ["git", "apply", *words, str(patch)]
