"""inventories/vagrant, and the Vagrantfile that it is for."""

import re
from pathlib import Path

import pytest

from pgprovision.inventory.edit.add_node import NewNode, add_node
from pgprovision.inventory.loader.loader import load
from tests.support.inventory_folders import copy_inventory

CHECKOUT = Path(__file__).parents[2]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy, with what `secrets init` and scripts/vagrant-trust make."""
    made = copy_inventory("vagrant", tmp_path / "vagrant", monkeypatch.setenv)
    (made / "secrets" / "id_ed25519").touch(mode=0o600)
    return made


def test_vagrant_inventory_loads_and_has_the_vagrantfile_s_machines(folder: Path) -> None:
    inventory = load(folder)
    text = (CHECKOUT / "Vagrantfile").read_text()
    machines = dict(re.findall(r'"(pg\d)" => (\d+)', text))
    addresses = {name: f"192.168.56.{last}" for name, last in machines.items()}
    assert {node.name: node.address for node in inventory.nodes} == addresses
    assert {node.name: str(node.private_ip) for node in inventory.nodes} == addresses
    assert inventory.primary.name == "pg1"
    assert {node.ssh.user for node in inventory.nodes} == {"vagrant"}


def test_vagrant_replica_when_added_by_command_is_the_one_there(folder: Path) -> None:
    shipped = load(folder)
    (folder / "nodes" / "pg2.yml").unlink()
    address = "192.168.56.12"
    add_node(folder, NewNode(name="pg2", private_ip=address, address=address))
    assert load(folder).nodes == shipped.nodes
