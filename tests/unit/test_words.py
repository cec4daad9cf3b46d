"""The lint for words: where it looks, what it takes for a word, and how its budgets fall."""

import subprocess
from pathlib import Path

import pytest

from tests.support import words
from tests.support.words import Rules, Word, findings

RULES = """
[words]
frob = { forms = ["frobs"], use = "act", unless = ["frob switch", "FrobKeeper"], budget = 2 }
blue = { use = "cold", in = "names", budget = 0 }
very = { use = "nothing", in = "text", budget = 0 }

[phrases]
"is nothing of" = { use = "is not one of", budget = 0 }

[symbols]
Zap = { use = "Action", budget = 0 }

[modules]
"resources/thing.py" = { use = "resources/noun.py", budget = 0 }
"riddle.py" = { use = "name.py", budget = 0 }

[[allow]]
path = "docs/glossary.md"
word = "*"
contains = "|"
reason = "the other column"
"""
PARSED = Rules.parse(RULES)


def places(text: str, path: str = "a.py") -> list[str]:
    """Line, column and form of each finding."""
    found = findings(path, text, PARSED)
    return [f"{finding.line}:{finding.column} {finding.form}" for finding in found]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("frob = 1\n", ["1:1 frob"]),
        ("x = 1\ny = frobs\n", ["2:5 frobs"]),
        ("is_frob_of = 1", ["1:4 frob"]),
        ("class IsFrobs: ...", ["1:9 Frobs"]),
        ("FROB_LIMIT = 1", ["1:1 FROB"]),
        ("# a frob", ["1:5 frob"]),
        ('"""A frob."""', ["1:6 frob"]),
        ('x = f"a {frob.name} b"', ["1:10 frob"]),
        ('x = "a line\\nfrobs"', ["1:14 frobs"]),
        ("frobnicate = defrob = 1", []),
        ("x = 'mind the frob\\'s frob switch, frob'", ["1:15 frob", "1:36 frob"]),
        ("# the frob\n# switch", []),
        ("keeper = FrobKeeper()", []),
    ],
)
def test_word_when_part_of_a_name_or_a_sentence_then_it_is_found(
    text: str, expected: list[str]
) -> None:
    assert places(text) == expected


@pytest.mark.parametrize(
    ("path", "text", "expected"),
    [
        ("a.py", "blue = 'a blue sky'  # very blue\n", ["1:1 blue", "1:24 very"]),
        ("a.py", "very = blue_ = 'is_blue'", ["1:8 blue", "1:20 blue"]),
        ("a.py", "x = f'{blue} blue {{blue}}'", ["1:8 blue"]),
        ("a.py", "x = '''a # b'''; blue = \"it's\"", ["1:18 blue"]),
        ("a.py", "def very_blue(): ...", ["1:10 blue"]),
        ("a.md", "a blue sky, `blue`, `very`", ["1:14 blue", "1:22 very"]),
        ("a.j2", "blue = {{ node.blue }} # very", ["1:16 blue", "1:26 very"]),
        ("a.sh", "blue=1 # blue", ["1:1 blue"]),
        ("scripts/a", "echo very", ["1:6 very"]),
        ("a.yml", "key: frob very # very\n", ["1:18 very"]),
        ("a.yml", "blue: 1\n  - very: blue\n", ["1:1 blue"]),
    ],
)
def test_word_of_names_or_text_when_in_the_other_then_it_is_not_found(
    path: str, text: str, expected: list[str]
) -> None:
    assert places(text, path) == expected


def test_phrase_when_broken_by_a_line_then_it_is_found() -> None:
    assert places("# it is\n# nothing of ours") == ["1:6 is nothing of"]
    assert places('x = "is nothing "\n"of"') == ["1:6 is nothing of"]
    assert places("is_nothing_of = 1") == []


def test_symbol_when_in_a_sentence_then_only_between_backticks() -> None:
    assert places("x = Zap()  # Zap it: `Zap`") == ["1:5 Zap", "1:23 Zap"]
    assert places("Zapped = ZapIt = zap") == []


def test_module_when_imported_or_mentioned_then_it_is_found() -> None:
    assert places("from pgprovision.resources.thing import x  # resources/thing.py") == [
        "1:6 pgprovision.resources.thing",
        "1:46 resources/thing.py",
    ]
    assert places("# my_riddle.py, a/riddle.py, pgprovision/riddle.py") == ["1:42 riddle.py"]
    assert places("", "pgprovision/resources/thing.py") == ["1:1 thing.py"]
    assert places("", "pgprovision/resources/postgres/thing.py") == []


def test_word_when_in_the_name_of_a_file_then_it_is_found() -> None:
    assert places("", "tests/test_blue_sky.py") == ["1:1 test_blue_sky.py"]


def test_finding_when_printed_then_names_place_and_replacement() -> None:
    (finding,) = findings("x/a.py", "\n  frob", PARSED)
    assert str(finding) == "x/a.py:2:3: frob -> act"


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "glossary.md").write_text("| act | frob |\n")
    (tmp_path / "a.py").write_text("frob = frobs\n")
    (tmp_path / "a.patch").write_text("frob\n")
    subprocess.run(["git", "init", "-q"], cwd=tmp_path, check=True)
    subprocess.run(["git", "add", "."], cwd=tmp_path, check=True)
    (tmp_path / "untracked.py").write_text("frob = 1\n")
    return tmp_path


def test_tree_when_within_its_budget_then_nothing_is_wrong(checkout: Path) -> None:
    found = words.tree(checkout, PARSED)
    assert [str(finding)[:8] for finding in found.findings] == ["a.py:1:1", "a.py:1:8"]
    assert words.over_or_under(found, PARSED) == []


def test_tree_when_over_or_under_its_budget_then_it_is_named(checkout: Path) -> None:
    (checkout / "a.py").write_text("frob = frobs = frob\n")
    *places, line = words.over_or_under(words.tree(checkout, PARSED), PARSED)
    assert len(places) == 3 and line.startswith("frob: found 3 times, its budget is 2; write: act")
    (checkout / "a.py").write_text("frob = 1\n")
    (line,) = words.over_or_under(words.tree(checkout, PARSED), PARSED)
    assert line.startswith("frob: found 1 times, its budget is 2") and "--lower" in line


def test_allowed_when_outside_its_lines_then_found_and_when_unneeded_then_named(
    checkout: Path,
) -> None:
    (checkout / "docs" / "glossary.md").write_text("a frob\n")
    found = words.tree(checkout, PARSED)
    assert found.counts == {"frob": 3}
    assert any("take it out" in line for line in words.over_or_under(found, PARSED))


def test_budget_when_lowered_then_never_raised() -> None:
    lower = words.lowered(RULES, {"frob": 1, "blue": 7, "is nothing of": 0})
    assert [word.budget for word in Rules.parse(lower).words] == [1, 0, 0, 0, 0, 0, 0]
    assert lower == RULES.replace("budget = 2", "budget = 1")
    quoted = RULES.replace('one of", budget = 0', 'one of", budget = 4')
    assert words.lowered(quoted, {"frob": 2, "is nothing of": 3}) == quoted.replace("= 4", "= 3")


@pytest.mark.parametrize(
    "text",
    [
        '[words]\na = { use = "b" }',
        '[words]\na = { use = "", budget = 0 }',
        '[words]\na = { use = "b", budget = 0, form = ["c"] }',
        '[words]\na = { use = "b", budget = 0 }\n[symbols]\na = { use = "b", budget = 0 }',
        '[[allow]]\npath = "*"\nword = "*"\nreason = ""',
        '[[allow]]\npath = "*"\nword = "a"\nreason = "b"',
    ],
)
def test_rules_when_incomplete_then_refused(text: str) -> None:
    with pytest.raises(ValueError):
        Rules.parse(text)


def test_rules_when_read_then_every_form_is_one_that_can_be_found() -> None:
    rules = Rules.parse(words.RULES.read_text())
    wrong = [form for form in rules.pieces if words.PIECE.findall(form) != [form]]
    forms = [form for word in rules.words for form in _forms(word)]
    assert not wrong and len(forms) == len(set(forms))


def _forms(word: Word) -> list[str]:
    return [f"{word.section} {form}" for form in word.forms]
