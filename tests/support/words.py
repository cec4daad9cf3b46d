"""A lint for words: finds those of words.toml in code, messages, comments, templates and docs.

`make words` prints every finding; `make lint` compares the number of each word's findings with its
budget, which may only fall. The words in their place are in docs/glossary.md and STYLE.md.
"""

import argparse
import re
import subprocess
import sys
import tomllib
from bisect import bisect_right
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import Flag
from fnmatch import fnmatchcase
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[2]
RULES = Path(__file__).with_suffix(".toml")
BREAK = r"[\s#\"']+"  # what may stand between the words of a phrase
SECTIONS = ("words", "phrases", "symbols", "modules")
MOST_SHOWN = 20  # findings of one word that is over its budget


class Kind(Flag):
    """What a stretch of a file is made of."""

    SKIPPED = 0
    NAMES = 1
    TEXT = 2
    BOTH = NAMES | TEXT


@dataclass(frozen=True)
class Word:
    """An entry of words.toml: forms that are to go, and what to write in their place."""

    section: str
    key: str
    forms: tuple[str, ...]
    use: str
    kind: Kind
    unless: tuple[str, ...]  # phrases in which a form is somebody else's own word
    budget: int  # findings there may be today


@dataclass(frozen=True)
class Allowed:
    """Where a word is the thing itself. `word` may be `*`; `contains` narrows it to lines."""

    path: str
    word: str
    reason: str
    contains: str = ""


class Finding(NamedTuple):
    """One place where a word stands; `line` and `column` count from 1."""

    path: str
    line: int
    column: int
    form: str
    word: Word

    def __str__(self) -> str:
        place = f"{self.path}:{self.line}:{self.column}"
        return f"{place}: {self.form} -> {self.word.use}"


@dataclass(frozen=True)
class Rules:
    """The words and the places where they are allowed."""

    words: tuple[Word, ...]
    allowed: tuple[Allowed, ...]

    @classmethod
    def parse(cls, text: str) -> "Rules":
        """Raises ValueError where an entry lacks a key or two entries have one name."""
        document = tomllib.loads(text)
        words = tuple(
            _word(section, key, entry)
            for section in SECTIONS
            for key, entry in document.get(section, {}).items()
        )
        twice = [key for key, n in Counter(word.key for word in words).items() if n > 1]
        if twice:
            raise ValueError(f"named twice: {', '.join(twice)}")
        allowed = tuple(Allowed(**entry) for entry in document.get("allow", ()))
        known = {word.key for word in words} | {"*"}
        if wrong := [entry for entry in allowed if not entry.reason or entry.word not in known]:
            raise ValueError(f"without a reason, or for an unknown word: {wrong}")
        return cls(words, allowed)

    @cached_property
    def pieces(self) -> Mapping[str, Word]:
        """Words by form, in lower case, for parts of identifiers and words of sentences."""
        return {form: word for word in self._of("words") for form in word.forms}

    @cached_property
    def phrases(self) -> Sequence[tuple[re.Pattern[str], Word]]:
        return [(_phrase(form), word) for word in self._of("phrases") for form in word.forms]

    @cached_property
    def symbols(self) -> Mapping[str, Word]:
        """Words by whole identifier, in its own case."""
        return {form: word for word in self._of("symbols") for form in word.forms}

    @cached_property
    def modules(self) -> Mapping[str, Word]:
        """Words by the way a module is written: as a path, or as it is imported."""
        names: dict[str, Word] = {}
        for word in self._of("modules"):
            for form in word.forms:
                names[form] = word
                names["pgprovision." + form.removesuffix(".py").replace("/", ".")] = word
        return names

    @cached_property
    def wholes(self) -> re.Pattern[str]:
        """Finds every symbol and module."""
        paths = {form for form in self.modules if form.endswith(".py")}
        names = _any({*self.symbols, *self.modules} - paths)
        alone = r"(?:(?<![\w/])|(?<=pgprovision/))"
        return re.compile(rf"\b{names}\b|{alone}{_any(paths)}\b")

    @cached_property
    def exceptions(self) -> Mapping[str, Sequence[re.Pattern[str]]]:
        return {word.key: [_phrase(text) for text in word.unless] for word in self.words}

    def _of(self, section: str) -> Iterator[Word]:
        return (word for word in self.words if word.section == section)


def _word(section: str, key: str, entry: Mapping[str, object]) -> Word:
    unknown = entry.keys() - {"forms", "use", "in", "unless", "budget"}
    if unknown or not entry.get("use") or not isinstance(entry.get("budget"), int):
        raise ValueError(f"{key}: expected use and budget, and forms, in, unless if need be")
    more, unless = entry.get("forms", []), entry.get("unless", [])
    assert isinstance(more, list) and isinstance(unless, list)
    return Word(
        section,
        key,
        (key, *more),
        str(entry["use"]),
        Kind[str(entry.get("in", "both")).upper()],
        tuple(unless),
        int(str(entry["budget"])),
    )


def _any(forms: Iterable[str]) -> str:
    """A pattern for one of these; where there are none, one that matches nothing."""
    return f"(?:{'|'.join(map(re.escape, sorted(forms, reverse=True))) or '(?!)'})"


def _phrase(text: str) -> re.Pattern[str]:
    """Finds the words of `text` also where a line, a comment or a literal ends between them."""
    words = (re.escape(word) for word in text.split())
    return re.compile(r"(?<!\w)" + BREAK.join(words) + r"(?!\w)", re.IGNORECASE)


# --- what a file is made of ---

PIECE = re.compile(r"\\.|[A-Z]+(?![a-z])|[A-Z]?[a-z]+")
PYTHON = re.compile(
    r"(?P<comment>\#[^\n]*)"
    r"|(?P<prefix>\b[rbfuRBFU]{1,2})?(?P<quote>\"\"\"|'''|\"|')"
    r"(?:\\.|(?!(?P=quote)).)*?(?P=quote)",
    re.DOTALL,
)
COMMENT = re.compile(r"(?:^|(?<=\s))#[^\n]*", re.MULTILINE)
FORMATTED = re.compile(r"\{\{|\{([^{}]+)\}")  # an expression in an f-string
EXPRESSION = re.compile(r"\{\{(.*?)\}\}|\{%(.*?)%\}", re.DOTALL)  # in a jinja2 template
KEY = re.compile(r"^[ \t]*(?:- |\{)?([A-Za-z_]\w*):", re.MULTILINE)  # in YAML
BACKTICKS = re.compile(r"(?<!`)`([^`\n]+)`(?!`)")
SUFFIXES = {".py", ".md", ".j2", ".yml", ".yaml", ".sh", ".sql", ".toml", ".txt", ""}
COMMENTS_ONLY = {".yml", ".yaml", ".toml", ".txt"}

Span = tuple[int, int]


class Layout:
    """Which kind each place of a file is: an inner span counts before the text around it."""

    def __init__(self, suffix: str, text: str) -> None:
        self.rest, self.text, self.inner = Kind.NAMES, [(0, len(text))], [*_inner(BACKTICKS, text)]
        if suffix == ".py":
            self.text, braces = [], list[Span]()
            for match in PYTHON.finditer(text):
                self.text.append(match.span())
                if "f" in (match["prefix"] or "").lower():
                    braces += _inner(FORMATTED, text, *match.span())
            self.inner = sorted({*self.inner, *braces})
        elif suffix == ".j2":
            self.inner = sorted({*self.inner, *_inner(EXPRESSION, text)})
        elif suffix != ".md":
            self.rest = Kind.SKIPPED if suffix in COMMENTS_ONLY else Kind.BOTH
            self.text = [match.span() for match in COMMENT.finditer(text)]
        self.keys = [*_inner(KEY, text)] if suffix in (".yml", ".yaml") else []

    def at(self, place: int) -> Kind:
        if not _within(self.text, place):
            return Kind.NAMES if _within(self.keys, place) else self.rest
        return Kind.BOTH if _within(self.inner, place) else Kind.TEXT


def _inner(
    pattern: re.Pattern[str], text: str, start: int = 0, end: int = sys.maxsize
) -> Iterator[Span]:
    for match in pattern.finditer(text, start, end):
        if match.lastindex:
            yield match.span(match.lastindex)


def _within(spans: Sequence[Span], place: int) -> bool:
    """Whether one of these spans, which are in order, holds the place."""
    at = bisect_right(spans, (place, sys.maxsize)) - 1
    return at >= 0 and place < spans[at][1]


# --- finding ---


def findings(path: str, text: str, rules: Rules) -> list[Finding]:
    """What is found in one file, in its order, without what is allowed."""
    layout = Layout(Path(path).suffix, text)
    hits = [*_in_path(path, rules), *_in_text(text, layout, rules)]
    lines = [0, *(match.end() for match in re.finditer("\n", text))]
    found = []
    for start, end, word in sorted(hits, key=lambda hit: hit[:2]):
        if start < 0:
            found.append(Finding(path, 1, 1, Path(path).name, word))
        elif not _excepted(text, start, end, rules.exceptions[word.key]):
            line = bisect_right(lines, start)
            form = re.sub(BREAK, " ", text[start:end])
            found.append(Finding(path, line, start - lines[line - 1] + 1, form, word))
    return found


Hit = tuple[int, int, Word]


def _in_path(path: str, rules: Rules) -> Iterator[Hit]:
    """Words in a file's own name: their place is -1."""
    for piece in PIECE.findall(path):
        word = rules.pieces.get(piece.lower())
        if word and Kind.NAMES in word.kind:
            yield -1, -1, word
    if word := rules.modules.get(path.removeprefix("pgprovision/")):
        yield -1, -1, word


def _in_text(text: str, layout: Layout, rules: Rules) -> Iterator[Hit]:
    for match in PIECE.finditer(text):
        word = rules.pieces.get(match[0].lower())
        if word and _kind(text, match, layout) & word.kind:
            yield *match.span(), word
    for pattern, word in rules.phrases:
        for match in pattern.finditer(text):
            if Kind.TEXT in layout.at(match.start()):
                yield *match.span(), word
    for match in rules.wholes.finditer(text):
        if word := rules.modules.get(match[0]):
            yield *match.span(), word
        elif Kind.NAMES in layout.at(match.start()):
            yield *match.span(), rules.symbols[match[0]]


def _kind(text: str, match: re.Match[str], layout: Layout) -> Kind:
    """The kind of the place; in text, a part of a longer identifier is a name as well."""
    kind = layout.at(match.start())
    joined = "_" in (text[match.start() - 1 : match.start()], text[match.end() : match.end() + 1])
    return kind | Kind.NAMES if kind and joined else kind


def _excepted(text: str, start: int, end: int, patterns: Iterable[re.Pattern[str]]) -> bool:
    near = max(0, start - 60)
    return any(
        match.start() <= start and end <= match.end()
        for pattern in patterns
        for match in pattern.finditer(text, near, end + 60)
    )


def tracked(root: Path) -> list[str]:
    """The files git knows, of a kind that is checked. Seeded patches follow the code they quote."""
    command = ["git", "-c", "safe.directory=*", "ls-files", "-z"]
    output = subprocess.run(command, cwd=root, check=True, capture_output=True, text=True).stdout
    return [name for name in output.split("\0") if name and Path(name).suffix in SUFFIXES]


class Tree(NamedTuple):
    """All findings of a checkout, and the entries of the allow list that nothing needs."""

    findings: list[Finding]
    unneeded: list[Allowed]

    @property
    def counts(self) -> Counter[str]:
        return Counter(finding.word.key for finding in self.findings)


def tree(root: Path, rules: Rules, names: Iterable[str] | None = None) -> Tree:
    left: list[Finding] = []
    needed: set[Allowed] = set()
    for name in tracked(root) if names is None else names:
        if not (root / name).is_file():
            continue
        text = (root / name).read_text("utf-8", "replace")
        entries = [entry for entry in rules.allowed if fnmatchcase(name, entry.path)]
        for finding in findings(name, text, rules):
            line = text.splitlines()[finding.line - 1] if entries else ""
            allowing = [entry for entry in entries if _allows(entry, finding, line)]
            needed.update(allowing)
            left += [] if allowing else [finding]
    return Tree(left, [entry for entry in rules.allowed if entry not in needed])


def _allows(entry: Allowed, finding: Finding, line: str) -> bool:
    return entry.word in ("*", finding.word.key) and entry.contains in line


# --- what is printed ---


def over_or_under(found: Tree, rules: Rules) -> list[str]:
    """The lines that make `make lint` fail: a count that is not its budget, an unneeded entry."""
    lines = []
    for word in rules.words:
        count = found.counts[word.key]
        if count > word.budget:
            of_it = [str(finding) for finding in found.findings if finding.word is word]
            lines += of_it[:MOST_SHOWN]
            lines.append(
                f"{word.key}: found {count} times, its budget is {word.budget}; write: {word.use}\n"
                f"  next: python -m tests.support.words '{word.key}' lists all of them"
            )
        elif count < word.budget:
            lines.append(
                f"{word.key}: found {count} times, its budget is {word.budget}\n"
                "  next: lower it, with: python -m tests.support.words --lower"
            )
    for entry in found.unneeded:
        lines.append(f"allowed for nothing, take it out of words.toml: {entry.path} {entry.word}")
    return lines


def lowered(text: str, counts: Mapping[str, int]) -> str:
    """words.toml with each budget at today's count where that is lower; never raised."""

    def line(match: re.Match[str]) -> str:
        budget = min(int(match["budget"]), counts.get(match["key"], 0))
        return f"{match['before']}{budget}"

    pattern = r"^(?P<before>(?P<q>\"?)(?P<key>[^\"\n=]+?)(?P=q) = \{.*\bbudget = )(?P<budget>\d+)"
    return re.sub(pattern, line, text, flags=re.MULTILINE)


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit code 1 where anything is found; with --budget, where a count is not its budget."""
    parser = argparse.ArgumentParser(prog="python -m tests.support.words", description=__doc__)
    parser.add_argument("word", nargs="*", help="only these entries of words.toml")
    parser.add_argument("--count", action="store_true", help="how often each word is found")
    parser.add_argument("--budget", action="store_true", help="compare each count with its budget")
    parser.add_argument("--lower", action="store_true", help="lower the budgets to today's counts")
    options = parser.parse_args(arguments)
    rules = Rules.parse(RULES.read_text())
    if unknown := set(options.word) - {word.key for word in rules.words}:
        parser.error(f"not in words.toml: {', '.join(sorted(unknown))}")
    found = tree(ROOT, rules)
    if options.lower:
        RULES.write_text(lowered(RULES.read_text(), found.counts))
        return 0
    if options.budget:
        lines = over_or_under(found, rules)
    elif options.count:
        chosen = [word for word in rules.words if not options.word or word.key in options.word]
        lines = [f"{found.counts[word.key]:6} {word.key}" for word in chosen]
        lines.append(f"{sum(found.counts[word.key] for word in chosen):6} in all")
    else:
        lines = [str(f) for f in found.findings if not options.word or f.word.key in options.word]
    print("\n".join(lines), end="\n" if lines else "")
    return int(bool(lines) if not options.count else bool(found.findings))


if __name__ == "__main__":
    sys.exit(main())
