"""A node more is a file more, and nothing else."""

from pathlib import Path

import pytest

from pgprovision.errors import InventoryError, Refused
from pgprovision.inventory.edit.add_node import NewNode, add_node
from pgprovision.inventory.schema.cluster import Inventory
from tests.support.inventory_folders import (
    HETZNER_CLUSTER,
    STATIC_CLUSTER,
    hetzner_inventory,
    static_inventory,
)


def _files(path: Path) -> dict[str, bytes]:
    return {str(file): file.read_bytes() for file in path.rglob("*") if file.is_file()}


def test_node_added_is_one_new_file_with_the_next_address(tmp_path: Path) -> None:
    folder = hetzner_inventory(tmp_path)
    before = _files(tmp_path)
    path = add_node(tmp_path, NewNode(name="db-2")).path
    assert path == tmp_path / "nodes/db-2.yml"
    after = _files(tmp_path)
    assert after.pop(str(path)).decode().splitlines()[1:] == [
        "role: replica",
        "private_ip: 10.0.1.3",
    ]
    assert after == before
    assert [node.name for node in folder.load().replicas] == ["db-2"]


def test_node_added_again_changes_nothing(tmp_path: Path) -> None:
    hetzner_inventory(tmp_path)
    add_node(tmp_path, NewNode(name="db-2", private_ip="10.0.1.9"))
    before = _files(tmp_path)
    add_node(tmp_path, NewNode(name="db-2"))
    add_node(tmp_path, NewNode(name="db-2", private_ip="10.0.1.9"))
    assert _files(tmp_path) == before


def test_node_when_there_and_different_is_refused(tmp_path: Path) -> None:
    hetzner_inventory(tmp_path)
    add_node(tmp_path, NewNode(name="db-2"))
    with pytest.raises(InventoryError, match=r"private_ip is 10.0.1.3, not 10.0.1.9"):
        add_node(tmp_path, NewNode(name="db-2", private_ip="10.0.1.9"))


def test_node_that_would_make_the_inventory_wrong_writes_nothing(tmp_path: Path) -> None:
    hetzner_inventory(tmp_path)
    before = _files(tmp_path)
    for wrong in (
        NewNode(name="db-2", private_ip="10.0.1.2"),
        NewNode(name="DB_2"),
        NewNode(name="../db-2"),
        NewNode(name="db-2", role="primary"),
    ):
        with pytest.raises(InventoryError):
            add_node(tmp_path, wrong)
    assert _files(tmp_path) == before


def test_next_address_goes_on_after_the_highest_then_fills_gaps(tmp_path: Path) -> None:
    hetzner_inventory(tmp_path, HETZNER_CLUSTER, "role: primary\nprivate_ip: 10.0.1.254\n")
    path = add_node(tmp_path, NewNode(name="db-2")).path
    assert "private_ip: 10.0.1.1\n" in path.read_text()


def test_existing_host_is_added_with_its_addresses_and_login(tmp_path: Path) -> None:
    folder = static_inventory(tmp_path, STATIC_CLUSTER)
    with pytest.raises(InventoryError, match="cannot be chosen automatically"):
        add_node(tmp_path, NewNode(name="db-2", address="192.0.2.3"))
    add_node(
        tmp_path,
        NewNode(name="db-2", address="192.0.2.3", private_ip="10.0.1.3", ssh={"user": "admin"}),
    )
    node = folder.load().node("db-2")
    assert (node.address, str(node.private_ip), node.ssh.user) == ("192.0.2.3", "10.0.1.3", "admin")


def test_node_when_its_check_raises_then_nothing_is_written(tmp_path: Path) -> None:
    hetzner_inventory(tmp_path)

    def check(inventory: Inventory) -> None:
        raise Refused(f"{inventory.node('db-2').name} cannot be")

    with pytest.raises(Refused, match="db-2 cannot be"):
        add_node(tmp_path, NewNode(name="db-2"), check)
    assert [path.name for path in (tmp_path / "nodes").iterdir()] == ["db-1.yml"]
    add_node(tmp_path, NewNode(name="db-2"))
    with pytest.raises(Refused, match="db-2 cannot be"):
        add_node(tmp_path, NewNode(name="db-2"), check)
