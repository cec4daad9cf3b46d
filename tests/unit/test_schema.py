"""The JSON Schema, read as a YAML language server reads it: tags tell only the shape of a value."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from jsonschema import Draft7Validator

from pgprovision.inventory.schema import json_schema
from pgprovision.inventory.schema.validators import size
from pgprovision.package_data import packaged_folder
from pgprovision.quantity import format_bytes

WHOLE = json_schema.build_schema()
INVENTORIES = sorted(path.parent for path in packaged_folder("inventories").glob("*/cluster.yml"))


class Editor(yaml.SafeLoader):
    """YAML 1.2 with `yaml.customTags` as docs/inventory.md has them."""

    yaml_implicit_resolvers = {  # noqa: RUF012 (as the base has it)
        letter: [(tag, form) for tag, form in known if letter not in "OoYyNn0123456789"]
        for letter, known in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }


def _tagged(loader: yaml.SafeLoader, node: yaml.Node) -> object:
    if isinstance(node, yaml.ScalarNode):
        return loader.construct_scalar(node)
    if isinstance(node, yaml.SequenceNode):
        return loader.construct_sequence(node)
    assert isinstance(node, yaml.MappingNode)
    return loader.construct_mapping(node)


for tag in json_schema.YAML_TAGS:
    Editor.add_constructor(tag.split()[0], _tagged)
Editor.add_implicit_resolver("tag:yaml.org,2002:int", re.compile(r"-?[0-9]+$"), list("-0123456789"))
Editor.add_implicit_resolver(
    "tag:yaml.org,2002:float", re.compile(r"-?[0-9]+\.[0-9]+$"), list("-0123456789")
)


def wrong(text: str, part: str = "") -> list[str]:
    """The key paths at which an editor would underline something."""
    judge = Draft7Validator({**WHOLE, **WHOLE["$defs"][part]} if part else WHOLE)
    errors: Any = judge.iter_errors(yaml.load(text, Editor))
    return [".".join(map(str, error.absolute_path)) for error in errors]


def test_schema_when_judged_itself_then_it_is_one() -> None:
    Draft7Validator.check_schema(WHOLE)


@pytest.mark.parametrize("folder", INVENTORIES, ids=lambda folder: folder.name)
def test_shipped_inventory_when_edited_then_nothing_is_underlined(folder: Path) -> None:
    assert wrong((folder / "cluster.yml").read_text()) == []
    for path in (folder / "nodes").glob("*.yml"):
        assert wrong(path.read_text(), "Node") == []


@pytest.mark.parametrize(
    "text",
    [
        "{}",
        "cluster: shop\nclutser: shop",
        "cluster: shop\nversion: 2",
        "cluster: shop\npostgres: {version: 9}",
        "cluster: shop\npostgres: {port: '5432'}",
        "cluster: shop\npostgres: {settings: {work_mem: [1]}}",
        "cluster: shop\nroles: {app: {login: maybe}}",
        "cluster: shop\napt: {source: ubuntu}",
        "cluster: shop\ndatabases: {shop: {owner: me, extensions: pgcrypto}}",
        "cluster: shop\nbackup: {}",
    ],
)
def test_cluster_when_written_wrong_then_it_is_underlined(text: str) -> None:
    assert len(wrong(text)) == 1


@pytest.mark.parametrize(
    "text",
    [
        "cluster: !env NAME",
        "cluster: !env {name: NAME, default: shop}",
        "cluster: !command [hostname, -s]",
        "cluster: shop\npostgres: {port: !env PGPORT}",
        "cluster: shop\nhost: {sysctl: {vm.swappiness: 5}}",
        "cluster: shop\nroles: {app: {password: !file secrets/app, valid_until: 2027-01-31}}",
        "cluster: shop\npostgres: {settings: {jit: false, work_mem: 4MB, cpu_tuple_cost: 0.1}}",
    ],
)
def test_value_when_taken_from_elsewhere_then_it_is_fine(text: str) -> None:
    assert wrong(text) == []


def test_node_when_its_file_is_edited_then_it_has_keys_of_its_own() -> None:
    assert wrong("role: primary\nprivate_ip: 10.0.0.2", "Node") == []
    assert wrong("role: leader\nprivate_ip: 10.0.0.2", "Node") == ["role"]
    assert wrong("role: primary", "Node") == [""]


@pytest.mark.parametrize("number", [1, 1000, 1024, 512 << 20, 4 << 30, (4 << 30) + 1])
def test_size_when_written_then_it_reads_back(number: int) -> None:
    assert size(format_bytes(number)) == number
