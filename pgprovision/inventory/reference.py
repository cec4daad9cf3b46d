"""A value that is kept elsewhere, as YAML names it: `!env`, `!file`, `!command`."""

from dataclasses import dataclass, field

from pgprovision.inventory.problems import KeyPath, SourcePosition
from pgprovision.quote import sh

TAGS = ("!env", "!file", "!command")


@dataclass(frozen=True)
class Reference:
    """Where a value is kept. It never holds the value: a `Resolver` reads that."""

    tag: str
    """`!env`, `!file` or `!command`."""
    arguments: tuple[str, ...]
    """The variable's name, the file's path, or the program and its arguments."""
    position: SourcePosition
    """Where the reference is written."""
    path: KeyPath = ()
    """The key path at which it is written."""
    default: str = field(default="", repr=False)
    """What an unset variable stands for."""

    def __str__(self) -> str:
        return f"{self.tag} {sh(*self.arguments) if self.tag == '!command' else self.arguments[0]}"


def parse_reference(
    tag: str, argument: object, position: SourcePosition, path: KeyPath
) -> Reference:
    """The reference that YAML declares. Raises ValueError with the form that is expected."""
    if tag == "!command":
        argv = argument if isinstance(argument, list) else []
        if not argv or not all(isinstance(word, str) for word in argv):
            raise ValueError("expected !command [PROGRAM, ARGUMENT, ...]")
        return Reference(tag, tuple(argv), position, path)
    default: object = None
    if tag == "!env" and isinstance(argument, dict) and argument.keys() <= {"name", "default"}:
        default, argument = argument.get("default"), argument.get("name")
    forbidden = "=\0" if tag == "!env" else "\0"
    if not isinstance(argument, str) or not argument or any(c in argument for c in forbidden):
        raise ValueError(
            "expected !env NAME or !env {name: NAME, default: TEXT}"
            if tag == "!env"
            else "expected !file PATH, relative to the inventory's folder"
        )
    return Reference(tag, (argument,), position, path, default if isinstance(default, str) else "")
