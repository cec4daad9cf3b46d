"""Bad inputs, B of the programme. One file, one case: a right inventory, what is changed about it,
and the whole report. No problems: it is accepted.

`base`: static or cloud. `cluster`, `node`: text put behind those files; `swap`: text replaced in
cluster.yml; `document`: cluster.yml itself; `times`: how often it is in it; `files`: other files.
"""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from pgprovision.inventory.loader.loader import fill_in, load, read_documents, validate
from pgprovision.inventory.loader.yaml_document import Document, parse_document
from pgprovision.inventory.problems import BadInventory, KeyPath, Problem
from pgprovision.inventory.resolver import Resolver
from tests.support.covers import cases
from tests.support.inventory_folders import (
    HETZNER_CLUSTER,
    HETZNER_PRIMARY,
    STATIC_CLUSTER,
    STATIC_PRIMARY,
    InventoryFolder,
    hetzner_inventory,
    static_inventory,
)

CASES = sorted((Path(__file__).parents[1] / "cases" / "inputs").glob("*.yml"))
BACKUP = """\
backup:
  repository:
    {bucket: hcb-backups, endpoint: s3.example.org, region: lab, key: !file key,
     key_secret: !file key_secret, path: /hcb-lab}
"""
SHOWN = "canary"  # what no problem may show: every secret in these cases has it


def folder_of(case: Mapping[str, Any], path: Path) -> InventoryFolder:
    """The case's inventory."""
    base, make = (
        (HETZNER_CLUSTER, hetzner_inventory)
        if case.get("base") == "cloud"
        else (STATIC_CLUSTER, static_inventory)
    )
    text = base + (BACKUP if case.get("backup") else "")
    for old, new in case.get("swap", {}).items():
        assert old in text
        text = text.replace(old, new)
    text = case.get("document", text + case.get("cluster", "")) * case.get("times", 1)
    node = (HETZNER_PRIMARY if base is HETZNER_CLUSTER else STATIC_PRIMARY) + case.get("node", "")
    folder = make(path, text, case.get("only_node", node))
    folder.write("key", "AKIAEXAMPLE")
    folder.write("key_secret", "a-secret-key-of-the-store")
    if not (path / "secrets/pgbackrest.passphrase").exists():
        folder.write("secrets/pgbackrest.passphrase", "p" * 43)
    if not (path / "secrets/pgbackrest2.passphrase").exists():
        folder.write("secrets/pgbackrest2.passphrase", "q" * 43)
    for name, content in case.get("files", {}).items():
        folder.write(name, content, 0o644 if name in case.get("open", ()) else 0o600)
    for name in case.get("deleted", ()):
        (path / name).unlink()
    return folder


def problems(folder: InventoryFolder) -> tuple[Problem, ...]:
    try:
        load(folder.path)
    except BadInventory as wrong:
        assert wrong.exit_code == 2
        assert SHOWN not in str(wrong)
        return wrong.problems
    return ()


@pytest.mark.parametrize("file", cases(CASES))
def test_bad_input(file: Path, tmp_path: Path) -> None:
    case = yaml.safe_load(file.read_text())
    folder = folder_of(case, tmp_path)
    found = problems(folder)
    reports = [c.report().replace(f"{tmp_path}/", "") for c in found]
    assert reports == [text.rstrip("\n") for text in case["problems"]]
    for problem in found:
        assert re.match(rf"{re.escape(str(tmp_path))}/[^:]+:\d+:\d+: ", str(problem))
        if problem.example:
            assert not spoiled(folder, problem)


def spoiled(folder: InventoryFolder, problem: Problem) -> set[KeyPath]:
    """Keys that are newly wrong, or still, once the problem's example stands in its place."""
    assert problem.example
    for name in re.findall(r"!file (secrets/[^ ,}\]]+)", problem.example):
        if not (folder.path / name).exists():
            folder.write(name, "https://a-secret.example/and-nothing-else")
    resolver = Resolver(folder.path, Anything())
    before = keys(read_documents(folder.path), resolver)
    document = read_documents(folder.path)
    document.problems = [c for c in document.problems if c.path != problem.path]
    better = parse_document(Path("example.yml"), problem.example.encode())
    assert better.problems == []
    put(document, problem, better.value)
    fill_in(document)
    return {key for key in keys(document, resolver) if key not in before or key == problem.path}


class Anything(dict[str, str]):
    """An environment in which every name is set."""

    def get(self, key: str, default: object = None) -> str:
        return "something-for-an-example"


def keys(document: Document, resolver: Resolver) -> set[KeyPath]:
    """What is wrong."""
    try:
        validate(document, resolver)
    except BadInventory as wrong:
        return {c.path for c in wrong.problems}
    return set()


def put(document: Document, problem: Problem, better: Any) -> None:
    """An example in place of what was complained about; one from the top of the file there."""
    container = around(document.value, problem.path[:-1])
    if isinstance(better, list):
        container[problem.path[-1]] = better[0]
        return
    container.pop(problem.path[-1], None)
    top = "belongs under" in problem.text or (len(problem.path) > 1 and problem.path[0] in better)
    merge(document.value if top else container, better)


def around(container: Any, loc: KeyPath) -> Any:
    for part in loc:
        container = container[part]
    return container


def merge(into: dict[str, Any], better: dict[str, Any]) -> None:
    for key, value in better.items():
        if isinstance(value, dict) and isinstance(into.get(key), dict):
            merge(into[key], value)
        else:
            into[key] = value
