"""What a test shows: `@pytest.mark.covers("F67", "row:B4")`, on a test, a parameter or a module.

Ids of the trust programme stand as they are (F67, B4, S24, V9: programme.txt); a row of the runbook
has `row:` before it (runbook_rows.txt). `pytest --covers F67,row:B4` runs the tests that carry one
of them; the JUnit report has each test's ids. conftest.py takes the hooks from here.
"""

import re
from collections.abc import Generator, Iterable
from functools import cache
from pathlib import Path

import pytest

HERE = Path(__file__).parents[1]
KNOWN = "known are those of programme.txt and, as row:B4, of runbook_rows.txt"
_OF_A_CASE = re.compile(r"(?:[A-Z]\d+-)+")


@cache
def programme() -> dict[str, tuple[str, ...]]:
    """Ids by section."""
    return {section: tuple(ids) for section, *ids in map(str.split, _lines("programme.txt"))}


@cache
def rows() -> dict[str, str]:
    """What each row of the runbook is about, by `row:` and its id."""
    parts = (line.partition(" ") for line in _lines("runbook_rows.txt"))
    return {f"row:{row}": text for row, _, text in parts}


def _lines(name: str) -> list[str]:
    lines = (HERE / name).read_text().splitlines()
    return [line for line in lines if line and not line.startswith("#")]


def unknown(ids: tuple[str, ...]) -> list[str]:
    known = {*rows(), *(one for section in programme().values() for one in section)}
    return [one for one in ids if one not in known]


def carried(item: pytest.Item) -> tuple[str, ...]:
    """What a test shows, each id once."""
    ids = (str(one) for mark in item.iter_markers("covers") for one in mark.args)
    return tuple(dict.fromkeys(ids))


def cases(files: Iterable[Path]) -> list[object]:
    """Case files as parameters. One is called by the ids it shows: `B26-B34-same-address.yml`."""
    return [_case(file) for file in files]


def _case(file: Path) -> object:
    ids = _OF_A_CASE.match(file.stem)
    shown = ids[0].rstrip("-").split("-") if ids else []
    return pytest.param(file, id=file.stem, marks=[pytest.mark.covers(*shown)] if shown else [])


def pytest_addoption(parser: pytest.Parser) -> None:
    help = "only tests that show one of these: F67, or row:B4,S24"
    parser.addoption("--covers", metavar="IDS", default="", help=help)


def pytest_configure(config: pytest.Config) -> None:
    if wrong := unknown(_chosen(config)):
        raise pytest.UsageError(f"--covers: no id {', '.join(wrong)}; {KNOWN}")


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report() -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    """An id that is none fails the collection, also in xdist's workers."""
    report = yield
    items = [item for item in report.result or () if isinstance(item, pytest.Item)]
    wrong = [f"{item.nodeid}: no id {one}" for item in items for one in unknown(carried(item))]
    if wrong:
        report.outcome, report.result = "failed", []
        report.longrepr = "\n".join([*wrong, KNOWN])
    return report


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    for item in items:
        if ids := carried(item):
            item.user_properties.append(("covers", " ".join(ids)))
    if chosen := {*_chosen(config)}:
        out = [item for item in items if not chosen & {*carried(item)}]
        config.hook.pytest_deselected(items=out)
        items[:] = [item for item in items if chosen & {*carried(item)}]


def _chosen(config: pytest.Config) -> tuple[str, ...]:
    return tuple(filter(None, re.split(r"[ ,]+", config.getoption("--covers"))))
