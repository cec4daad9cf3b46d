"""One YAML file as plain values, with the place of each.

Built from parser events, so depth, aliases and duplicates are judged before anything grows.
Scalars are read by YAML 1.2's core rules; what YAML 1.1 would read otherwise is refused or,
for yes, no, on and off, explained where text is wanted. Keys are always text.
"""

import math
import re
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from pgprovision.inventory.problems import KeyPath, Problem, SourcePosition
from pgprovision.inventory.reference import TAGS, Reference, parse_reference
from pgprovision.inventory.schema.fields import is_redacted

MAX_BYTES = 4 << 20
MAX_DEPTH = 32
UNRESOLVED = "unresolved"  # in place of a value that cannot be read
TOO_DEEP = f"nested deeper than {MAX_DEPTH} levels"

_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_UNREADABLE = re.compile(r"[^\t\n\r\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_AMBIGUOUS = re.compile(
    r"[-+]?(0[0-9_]+|0o[0-7_]+|0x[0-9a-fA-F_]+|0b[01_]+|[0-9][0-9_]*_[0-9_]*|[0-9]+(:[0-9]{1,2})+"
    r"|\.(inf|Inf|INF)|\.(nan|NaN|NAN))"
)
_VARIABLE = re.compile(r"\$\{?([A-Za-z_][A-Za-z0-9_]*)\}?")
_INTEGER = re.compile(r"[-+]?(0|[1-9][0-9]{0,17})")
_FLOAT = re.compile(r"[-+]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][-+]?[0-9]{1,3})?")
_WORDS: dict[str, bool | None] = {"": None, "~": None, "null": None}
_WORDS |= dict.fromkeys(("true", "yes", "on"), True) | dict.fromkeys(("false", "no", "off"), False)
_CURLY = "\u201c\u201d\u201e\u2018\u2019\u201a\u00ab\u00bb"


@dataclass
class Document:
    """What a file says, by key path."""

    file: Path
    value: Any = None
    """Plain values and References, as YAML nests them."""
    positions: dict[KeyPath, SourcePosition] = field(default_factory=dict)
    """Where each value begins."""
    key_positions: dict[KeyPath, SourcePosition] = field(default_factory=dict)
    """Where each key is."""
    texts: dict[KeyPath, str] = field(default_factory=dict)
    """Each scalar as it was written."""
    references: dict[KeyPath, Reference] = field(default_factory=dict)
    """Each value that is kept elsewhere."""
    problems: list[Problem] = field(default_factory=list)
    """What is wrong so far."""

    def add_positions(self, part: "Document", at: KeyPath) -> None:
        """Takes over where everything of another file is, below a key path. What that file says
        replaces what was there."""
        for loc in part.positions:
            self.texts.pop((*at, *loc), None)
            self.references.pop((*at, *loc), None)
        self.positions |= {
            (*at, *loc): place
            for loc, place in part.positions.items()
            if loc or at not in self.positions
        }
        self.key_positions |= {(*at, *loc): place for loc, place in part.key_positions.items()}
        self.texts |= {(*at, *loc): text for loc, text in part.texts.items()}
        self.references |= {(*at, *loc): found for loc, found in part.references.items()}


class _Stop(Exception):
    """Reading on makes no sense; the problem is already noted."""


def parse_document(file: Path, content: bytes, at: KeyPath = ()) -> Document:
    """The file's document; `at` is the key path of its root in the inventory. Never raises for
    what the content is: it notes a problem."""
    reader = _Reader(Document(file), at)
    try:
        reader.read(content)
    except _Stop:
        pass
    except yaml.YAMLError as wrong:
        mark = getattr(wrong, "problem_mark", None)
        line, column = (mark.line, mark.column) if mark else (0, 0)
        problem = str(getattr(wrong, "problem", None) or "not YAML")
        if "nesting depth" in problem:  # libyaml's own limit, where it reads far ahead
            with suppress(_Stop):
                reader.stop(line, column, TOO_DEEP)
        else:
            reader.syntax(line, column, problem)
    return reader.document


class _Reader:
    def __init__(self, document: Document, at: KeyPath) -> None:
        self.document = document
        self.at = at
        self.events: Iterator[Any] = iter(())
        self.lines: list[str] = []

    def add_problem(self, event: Any, loc: KeyPath, text: str, example: str | None = "") -> None:
        mark = event.start_mark
        place = SourcePosition(self.document.file, mark.line + 1, mark.column + 1)
        self.document.problems.append(Problem(place, loc, text, example))

    def stop(self, line: int, column: int, text: str) -> None:
        place = SourcePosition(self.document.file, line + 1, column + 1)
        self.document.problems.append(Problem(place, (), text))
        raise _Stop

    def syntax(self, line: int, column: int, problem: str) -> None:
        """A syntax error: what the parser says and where its caret points, the value masked."""
        text = self.lines[line] if line < len(self.lines) else ""
        if any("\u00a0" in near for near in self.lines[max(line - 1, 0) : line + 1]):
            problem = "a non-breaking space (U+00A0); expected an ordinary one"
        elif "\t" in text[: column + 1]:
            problem = "a tab; expected spaces for indentation"
        start = re.match(r"[\s-]*(?:[\w.]*:)?\s*", text)
        shown = f"{start[0] if start else ''}..."[:80]
        caret = f"\n    {shown}\n    {' ' * min(column, len(shown))}^" if text.strip() else ""
        place = SourcePosition(self.document.file, line + 1, column + 1)
        self.document.problems.append(Problem(place, (), f"not YAML: {problem}{caret}"))

    def read(self, content: bytes) -> None:
        if len(content) > MAX_BYTES:
            self.stop(0, 0, f"{len(content)} bytes; at most {MAX_BYTES} are read")
        try:
            text = content.decode("utf-8-sig")
        except UnicodeDecodeError as wrong:
            before = content[: wrong.start].decode("utf-8-sig", "replace")
            self.stop(*_position(before), "not UTF-8; save the file as UTF-8")
        self.lines = text.splitlines()
        if bad := _UNREADABLE.search(text):
            what = f"character U+{ord(bad[0]):04X} is not allowed in YAML; remove it"
            self.stop(*_position(text[: bad.start()]), what)
        self.events = yaml.parse(text, Loader=_LOADER)
        next(self.events)
        start = next(self.events)
        if isinstance(start, yaml.StreamEndEvent):
            self.stop(0, 0, "empty; expected a mapping, for instance `cluster: hcb-lab`")
        self.document.value = self.node(next(self.events), ())
        next(self.events)
        second = next(self.events)
        if not isinstance(second, yaml.StreamEndEvent):
            self.add_problem(second, (), "a second document; expected one per file, without `---`")

    def node(self, event: Any, loc: KeyPath) -> Any:
        mark = event.start_mark
        self.document.positions[loc] = SourcePosition(
            self.document.file, mark.line + 1, mark.column + 1
        )
        if len(loc) > MAX_DEPTH:
            self.stop(mark.line, mark.column, TOO_DEEP)
        if isinstance(event, yaml.AliasEvent) or event.anchor:
            self.stop(
                mark.line, mark.column, "anchors and aliases are not supported; write the value out"
            )
        tag = event.tag or ""
        if isinstance(event, yaml.ScalarEvent):
            value: Any = self.scalar(event, loc, quoted=not event.implicit[0])
        elif isinstance(event, yaml.SequenceStartEvent):
            value = self.sequence(loc)
        else:
            value = self.mapping(loc)
        if tag in TAGS:
            return self.reference(event, loc, tag, value)
        if (tag.startswith("!") and tag != "!") or (
            tag.startswith("tag:") and not tag.endswith(":str")
        ):
            shown = "***" if self.is_redacted(loc) else tag.replace("tag:yaml.org,2002:", "!!")
            self.add_problem(
                event,
                loc,
                f"tag {shown} is not supported; expected !env, !file, !command or none",
                None,
            )
        return value

    def sequence(self, loc: KeyPath) -> list[Any]:
        values: list[Any] = []
        while not isinstance(event := next(self.events), yaml.SequenceEndEvent):
            values.append(self.node(event, (*loc, len(values))))
        return values

    def mapping(self, loc: KeyPath) -> dict[str, Any]:
        values: dict[str, Any] = {}
        while not isinstance(event := next(self.events), yaml.MappingEndEvent):
            if not isinstance(event, yaml.ScalarEvent):
                mark = event.start_mark
                self.stop(mark.line, mark.column, "expected a word as key, not a list or mapping")
            key = event.value
            position = SourcePosition(
                self.document.file, event.start_mark.line + 1, event.start_mark.column + 1
            )
            path = (*loc, key)
            if key in values:
                first = self.document.key_positions[path].line
                self.add_problem(event, path, f"duplicate key, first in line {first}; keep one")
            else:
                self.document.key_positions[path] = position
            self.check_lookalikes(event, path)
            value = self.node(next(self.events), path)
            values.setdefault(key, value)
        return values

    def check_lookalikes(self, event: Any, loc: KeyPath) -> None:
        if "\u00a0" in event.value:
            self.add_problem(
                event, loc, "a non-breaking space (U+00A0); expected an ordinary one", None
            )
        if event.value[:1] in _CURLY and event.value:
            self.add_problem(event, loc, "curly quotes; expected straight ones: ' or \"", None)

    def scalar(self, event: Any, loc: KeyPath, quoted: bool) -> str | int | float | bool | None:
        text: str = event.value
        self.document.texts[loc] = text
        self.check_lookalikes(event, loc)
        if variable := _VARIABLE.fullmatch(text):
            name = "NAME" if self.is_redacted(loc) else variable[1]
            example = f"{loc[-1]}: !env {name}" if loc and isinstance(loc[-1], str) else ""
            self.add_problem(event, loc, f"not expanded; expected !env {name}", example)
        if quoted or event.tag:
            return text
        if text.lower() in _WORDS:
            return _WORDS[text.lower()]
        if _AMBIGUOUS.fullmatch(text) and not self.is_redacted(loc):
            self.add_problem(
                event, loc, f"YAML readers disagree on a bare {text}; write '{text}' in quotes "
                "for text, or a plain decimal number", None
            )  # fmt: skip
            return text
        if _INTEGER.fullmatch(text):
            return int(text)
        if _FLOAT.fullmatch(text) and math.isfinite(number := float(text)):
            return number
        return text

    def reference(self, event: Any, loc: KeyPath, tag: str, argument: object) -> Reference | str:
        """The reference; where it is malformed, a text in its place."""
        written = self.as_written(loc, argument)
        self.document.texts.pop(loc, None)
        try:
            found = parse_reference(tag, written, self.document.positions[loc], (*self.at, *loc))
        except ValueError as error:
            self.add_problem(event, loc, str(error))
            return UNRESOLVED
        self.document.references[loc] = found
        return found

    def is_redacted(self, loc: KeyPath) -> bool:
        """Whether what is written there is redacted in messages."""
        return is_redacted((*self.at, *loc))

    def as_written(self, loc: KeyPath, value: object) -> object:
        """The same with scalars as they were written: a program may be called `false`."""
        if isinstance(value, list):
            return [self.as_written((*loc, index), item) for index, item in enumerate(value)]
        if isinstance(value, dict):
            return {key: self.as_written((*loc, key), item) for key, item in value.items()}
        return self.document.texts.get(loc, value)


def _position(before: str) -> tuple[int, int]:
    """Line and column, from 0, of the end of this text."""
    return before.count("\n"), len(before) - before.rfind("\n") - 1
