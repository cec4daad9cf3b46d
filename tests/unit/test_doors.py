"""Doors open one way: who may import whom."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2] / "pgprovision"
BASE = {"model", "errors", "quote", "secret"}
RESOURCES = BASE | {"resources", "tls", "owned", "holder", "restore_target"}
ALLOWED = {
    "model": set(),
    "errors": set(),
    "quote": {"errors"},
    "secret": set(),
    "shipped": set(),
    "stored": set(),
    "tls": {"errors", "secret"},
    "owned": {"model"},
    "restore_target": {"errors"},
    "offers": {"model", "errors", "owned"},
    "observe": {"model", "errors"},
    "endings": {"model", "errors"},
    "engine": {"model", "errors", "observe", "endings"},
    "holder": set(),
    "backends": BASE | {"backends", "owned", "offers", "holder", "stored"},
    "resources": RESOURCES,
    "render": {"quote", "errors", "secret", "shipped"},
    "report": {"model", "offers", "report"},
    "runbook": {"model", "quote", "runbook"},
    "record": {"model", "errors", "record"},
    "inventory": BASE | {"inventory", "tls", "shipped", "restore_target"},
    "tasks": RESOURCES | {"inventory", "render", "tasks", "offers"},
    "operations": RESOURCES
    | {"offers", "inventory", "tasks", "engine", "observe", "operations", "stored"},
    "lab": {"lab"},
}


def imports(path: Path) -> set[str]:
    """The rooms of ours that a file imports."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module:
            if node.module == "pgprovision":
                names |= {alias.name for alias in node.names}
            elif node.module.startswith("pgprovision."):
                names.add(node.module.split(".")[1])
        elif isinstance(node, ast.Import):
            names |= {a.name.split(".")[1] for a in node.names if a.name.startswith("pgprovision.")}
    return names - {"__version__"}


@pytest.mark.parametrize("room", sorted(ALLOWED))
def test_room_when_it_imports_then_only_through_its_doors(room: str) -> None:
    path = ROOT / room
    files = sorted(path.rglob("*.py")) if path.is_dir() else [path.with_suffix(".py")]
    wrong = {
        f"{file.relative_to(ROOT)}: {name}"
        for file in files
        for name in imports(file) - ALLOWED[room]
    }
    assert wrong == set()


def test_every_room_when_listed_then_has_its_doors() -> None:
    rooms = {path.stem for path in ROOT.iterdir() if path.suffix == ".py" or path.is_dir()}
    rooms = {room for room in rooms if not room.startswith("_")}
    assert rooms - {"cli"} == set(ALLOWED)


def test_only_report_when_something_is_printed() -> None:
    printing = {
        str(file.relative_to(ROOT))
        for file in ROOT.rglob("*.py")
        for node in ast.walk(ast.parse(file.read_text()))
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Name)
        and node.func.id == "print"
    }
    assert printing == set()
