"""Doors open one way: which room may import which. A room is a package or a module of
`pgprovision`, and the longest name that fits is the room a file lives in."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2] / "pgprovision"
MODEL = {"engine.model", "errors", "quote", "secret"}
FLOOR = MODEL | {
    "quantity",
    "tls",
    "hetzner_labels",
    "known_extensions",
    "lock_owner",
    "recovery_target",
}
SYSTEM = FLOOR | {"resources.system"}
SERVER = SYSTEM | {"resources.postgres", "resources.postgres.server"}
POSTGRES = SERVER | {
    "resources.postgres.catalog",
    "resources.postgres.configuration",
    "resources.postgres.replication",
}
NODE = POSTGRES | {"resources.node"}
PGBACKREST = NODE | {"resources.pgbackrest"}
RESOURCES = PGBACKREST | {"resources.hetzner", "resources.data_directory"}
SCHEMA = MODEL | {
    "inventory",
    "inventory.schema",
    "known_extensions",
    "package_data",
    "quantity",
    "recovery_target",
    "tls",
}
RULES = SCHEMA | {"inventory.rules"}
LOADER = RULES | {"inventory.loader"}
INVENTORY = LOADER | {"inventory.edit", "inventory.watch_file"}
ENGINE = {"engine.model", "errors", "engine"}
CLIENTS = MODEL | {"hetzner_labels", "server_offers", "object_listing"}
RUN = (
    RESOURCES
    | INVENTORY
    | ENGINE
    | {"run", "transport", "clients", "clients.hetzner", "record", "report", "tasks"}
    | {"server_offers", "object_listing"}
)
ALLOWED: dict[str, set[str]] = {
    "errors": set(),
    "secret": set(),
    "package_data": set(),
    "quantity": set(),
    "object_listing": set(),
    "known_extensions": set(),
    "lock_owner": set(),
    "quote": {"errors"},
    "tls": {"errors", "secret"},
    "recovery_target": {"errors"},
    "hetzner_labels": {"engine.model"},
    "server_offers": {"engine.model", "errors", "hetzner_labels"},
    "render": {"quote", "errors", "secret", "package_data"},
    "engine.model": set(),
    "engine": ENGINE,
    "transport": MODEL | {"transport", "transport.fault_points", "lock_owner"},
    "transport.fault_points": set(),
    "clients": CLIENTS | {"clients"},
    "clients.hetzner": CLIENTS | {"clients", "clients.hetzner", "transport.fault_points"},
    "record": ENGINE | {"record"},
    "report": {"engine.model", "server_offers", "report"},
    "explain": {"engine.model", "quote", "explain"},
    "resources": set(),
    "resources.system": SYSTEM,
    "resources.postgres": SERVER,
    "resources.postgres.server": POSTGRES,
    "resources.postgres.configuration": POSTGRES,
    "resources.postgres.replication": POSTGRES,
    "resources.postgres.catalog": POSTGRES,
    "resources.node": NODE,
    "resources.pgbackrest": PGBACKREST,
    "resources.data_directory": PGBACKREST | {"resources.data_directory"},
    "resources.hetzner": NODE | {"resources.hetzner"},
    "inventory": SCHEMA,
    "inventory.watch_file": LOADER,
    "inventory.schema": SCHEMA,
    "inventory.rules": RULES,
    "inventory.loader": LOADER,
    "inventory.edit": INVENTORY,
    "tasks": RESOURCES | INVENTORY | {"render", "tasks", "server_offers"},
    "run": RUN,
    "operations": RUN | {"operations", "operations.drill", "explain"},
    "operations.drill": RUN | {"operations", "operations.drill"},
    "operations.restore": RUN | {"operations", "operations.restore"},
    "operations.watch": RUN | {"operations", "operations.watch"},
    "lab": {"lab"},
}


def room_of(name: str) -> str:
    """The room that holds a module, by its dotted name below pgprovision."""
    parts = name.split(".")
    for end in range(len(parts), 0, -1):
        if (room := ".".join(parts[:end])) in ALLOWED:
            return room
    return parts[0]


def imports(path: Path) -> set[str]:
    """The rooms of ours that a file imports."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module == "pgprovision":
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and (node.module or "").startswith("pgprovision."):
            module = str(node.module).removeprefix("pgprovision.")
            names |= {f"{module}.{alias.name}" for alias in node.names}
        elif isinstance(node, ast.Import):
            ours = (a.name for a in node.names if a.name.startswith("pgprovision."))
            names |= {name.removeprefix("pgprovision.") for name in ours}
    return {room_of(name) for name in names - {"__version__"}}


def files() -> dict[str, list[Path]]:
    """Every file by its room."""
    rooms: dict[str, list[Path]] = {}
    for path in sorted(ROOT.rglob("*.py")):
        name = ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
        rooms.setdefault(room_of(name), []).append(path)
    return rooms


@pytest.mark.parametrize("room", sorted(ALLOWED))
def test_room_when_it_imports_then_only_through_its_doors(room: str) -> None:
    modules = files().get(room, [])
    assert modules, "no such room any more"
    wrong = {
        f"{file.relative_to(ROOT)}: {name}"
        for file in modules
        for name in imports(file) - ALLOWED[room]
    }
    assert wrong == set()


def test_every_room_when_listed_then_has_its_doors() -> None:
    assert set(files()) - {"cli", "__init__"} == set(ALLOWED)


def test_every_folder_when_it_is_a_room_then_holds_three_files_or_more() -> None:
    folders = {path.parent for path in ROOT.rglob("*.py")}
    small = {
        str(folder.relative_to(ROOT))
        for folder in folders
        if len([path for path in folder.glob("*.py") if path.name != "__init__.py"]) < 3
        and not any(child.is_dir() and child.name != "__pycache__" for child in folder.iterdir())
    }
    assert small == set()


def test_lab_when_imported_then_by_its_own_verb_alone() -> None:
    outside = (path for room, paths in files().items() if room != "lab" for path in paths)
    seeing = {str(path.relative_to(ROOT)) for path in outside if "lab" in imports(path)}
    assert seeing == {"cli/lab.py"}


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
