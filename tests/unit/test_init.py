"""`init`: what it writes loads once its secrets and environment are there, whatever it is for."""

import re
from pathlib import Path

import pytest

from pgprovision.errors import InventoryError, Refused
from pgprovision.inventory.edit.init import InventoryKind, create_inventory
from pgprovision.inventory.edit.secrets import generate_secrets
from pgprovision.inventory.loader.loader import load
from pgprovision.inventory.schema import json_schema
from pgprovision.inventory.schema.cluster import Inventory

every_kind = pytest.mark.parametrize("kind", InventoryKind)


def filled(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Inventory:
    """The inventory with everything that it takes from elsewhere."""
    text = (folder / "cluster.yml").read_text()
    for name in re.findall(r"!env \{?(?:name: )?(\w+)", text):
        kind = name.rpartition("_")[2]
        plain = "example-read" if "_READ_" in name else "example"
        places = {"ENDPOINT": "s3.example:9000", "ADDRESS": "192.0.2.1:9000"}
        monkeypatch.setenv(name, places.get(kind, plain))
    if "PGPROVISION_LAB_S3_CA" in text:
        monkeypatch.setenv("PGPROVISION_LAB_S3_CA", str(folder / "cluster.yml"))  # any file
    if "HCLOUD_ENDPOINT" in text:
        monkeypatch.delenv("HCLOUD_ENDPOINT")
    generate_secrets(folder)
    for key in re.findall(r"^ +identity_file: (\S+)", text, re.MULTILINE):
        (folder / key).touch(0o600)
    return load(folder)


@every_kind
def test_new_inventory_when_its_secrets_are_there_then_it_loads_under_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: InventoryKind
) -> None:
    create_inventory(tmp_path / "my-shop", kind)
    inventory = filled(tmp_path / "my-shop", monkeypatch)
    assert inventory.cluster == "my-shop"
    assert inventory.primary and inventory.databases and inventory.roles
    assert (inventory.hetzner is None) == all(node.address for node in inventory.nodes)
    assert inventory.backup and inventory.backup.repository.path == "/my-shop"


@every_kind
def test_new_inventory_when_written_then_commands_name_it_and_secrets_stay_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: InventoryKind
) -> None:
    monkeypatch.chdir(tmp_path)
    commands = create_inventory(Path("it-new"), kind)
    assert "pgprovision -i it-new secrets init" in commands
    assert not any("init it-new --for" in command for command in commands)
    folder = tmp_path / "it-new"
    assert (folder / "secrets/.gitignore").read_text() == "*\n"
    assert (folder / "secrets").stat().st_mode & 0o777 == 0o700
    written = {str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_file()}
    assert {"cluster.yml", json_schema.SCHEMA_FILE, "secrets/.gitignore"} < written
    assert "inventories/" not in "\n".join(commands)
    assert {path.name for path in tmp_path.iterdir()} == {"it-new"}


@every_kind
def test_new_inventory_when_opened_in_an_editor_then_its_schema_is_beside_it(
    tmp_path: Path, kind: InventoryKind
) -> None:
    create_inventory(tmp_path / "shop", kind)
    for path in [tmp_path / "shop/cluster.yml", *(tmp_path / "shop/nodes").iterdir()]:
        first = path.read_text().splitlines()[0]
        file, _, part = first.removeprefix("# yaml-language-server: $schema=").partition("#/")
        assert (path.parent / file).read_text() == json_schema.schema_text()
        assert part == ("" if path.name == "cluster.yml" else "$defs/Node")


def test_init_when_the_folder_holds_something_then_it_is_refused_and_untouched(
    tmp_path: Path,
) -> None:
    (tmp_path / "shop").mkdir()
    (tmp_path / "shop/mine").write_text("mine")
    (tmp_path / "file").touch()
    for name in ("shop", "file"):
        with pytest.raises(Refused, match="exists already"):
            create_inventory(tmp_path / name, InventoryKind.static)
    assert [p.name for p in (tmp_path / "shop").iterdir()] == ["mine"]
    assert {path.name for path in tmp_path.iterdir()} == {"shop", "file"}


def test_init_when_the_folder_is_empty_then_it_is_filled(tmp_path: Path) -> None:
    (tmp_path / "shop").mkdir()
    create_inventory(tmp_path / "shop", InventoryKind.static)
    assert (tmp_path / "shop/cluster.yml").exists()


@pytest.mark.parametrize("name", ["My_Shop", "-x", "x" * 64, "a b"])
def test_init_when_no_cluster_can_be_called_so_then_nothing_is_written(
    tmp_path: Path, name: str
) -> None:
    with pytest.raises(InventoryError, match="is not a valid cluster name"):
        create_inventory(tmp_path / name, InventoryKind.hetzner)
    assert list(tmp_path.iterdir()) == []


def test_init_when_the_parent_is_missing_then_it_is_made(tmp_path: Path) -> None:
    create_inventory(tmp_path / "a/b/shop", InventoryKind.lab)
    assert (tmp_path / "a/b/shop/cluster.yml").exists()
