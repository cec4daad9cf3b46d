"""A node more: a file of its own, and no other file touched."""

from collections.abc import Callable
from dataclasses import dataclass, field, fields
from ipaddress import IPv4Address
from pathlib import Path
from typing import Any

import yaml
from pydantic import TypeAdapter, ValidationError

from pgprovision.errors import InventoryError
from pgprovision.inventory.edit.atomic_write import create_file
from pgprovision.inventory.loader.loader import NODES_FOLDER, load, read_documents, validate
from pgprovision.inventory.schema.cluster import Inventory
from pgprovision.inventory.schema.restore import RestoreSpec
from pgprovision.inventory.schema.types import HostLabel


@dataclass(frozen=True, kw_only=True)
class NewNode:
    """What is asked for. None or empty: left to the inventory; no private IP: the next free one."""

    name: str
    role: str = "replica"
    private_ip: str | None = None
    address: str | None = None
    server_type: str | None = None
    location: str | None = None
    image: str | None = None
    clone_from: str | None = None
    restore: dict[str, object] | None = None
    ssh: dict[str, object] = field(default_factory=dict)

    def declared(self) -> dict[str, Any]:
        """What was really asked for, without the name."""
        values = {item.name: getattr(self, item.name) for item in fields(self)}
        return {key: value for key, value in values.items() if value and key != "name"}


@dataclass(frozen=True)
class AddedNode:
    """A node that the inventory has now."""

    path: Path
    """Its file."""
    inventory: Inventory
    """The inventory with it, validated: nobody has to load it again."""


def add_node(
    folder: Path,
    new: NewNode,
    check: Callable[[Inventory], None] = lambda inventory: None,
    inventory: Inventory | None = None,
) -> AddedNode:
    """Writes nodes/NAME.yml; the same node again changes nothing. `check` is given the inventory
    with it before anything is written. `inventory`: the present one, where it is loaded already;
    its references are not resolved again.

    Raises InventoryError where the inventory with the node would be wrong, or where the node
    exists and is different; and what `check` raises.
    """
    try:
        TypeAdapter(HostLabel).validate_python(new.name)
    except ValidationError as wrong:
        reason = wrong.errors()[0]["ctx"]["error"]
        raise InventoryError(f"{new.name!r} is not a valid node name: {reason}") from None
    path = folder / NODES_FOLDER / f"{new.name}.yml"
    inventory = inventory or load(folder)
    if any(node.name == new.name for node in inventory.nodes):
        _check_same(inventory, new, path)
        check(inventory)
        return AddedNode(path, inventory)
    declared, verb = new.declared(), "restore" if new.role == "copy" else "add-replica"
    if "private_ip" not in declared:
        declared["private_ip"] = str(free_private_ip(inventory))
    content = (
        f"# Added by `pgprovision {verb}`. What is left out is taken from cluster.yml.\n"
        + yaml.safe_dump(declared, sort_keys=False, allow_unicode=True)
    ).encode()
    extended = validate(read_documents(folder, {path: content}), inventory.resolver)
    check(extended)
    create_file(path, content, 0o644)
    return AddedNode(path, extended)


def free_private_ip(inventory: Inventory) -> IPv4Address:
    """The address after the highest one taken, else the lowest free one, of the subnet."""
    if inventory.hetzner is None:
        raise InventoryError(
            "the private IP of an existing host cannot be chosen automatically",
            where=str(inventory.folder),
            next="run the same command with --private-ip ADDRESS",
        )
    network = inventory.hetzner.network
    taken = {node.private_ip for node in inventory.nodes}
    reserved = {network.gateway, network.ip_range.broadcast_address}
    free = [ip for ip in network.subnet.hosts() if ip not in taken | reserved]
    if not free:
        raise InventoryError(f"no free address in {network.subnet}", where="hetzner.network.subnet")
    return next((ip for ip in free if ip > max(taken)), free[0])


def _check_same(inventory: Inventory, new: NewNode, path: Path) -> None:
    node = inventory.node(new.name)
    for key, value in new.declared().items():
        if key == "ssh":
            found: object = {name: str(getattr(node.ssh, name)) for name in value}
            value = {name: str(desired) for name, desired in value.items()}
        elif key == "restore":
            found = RestoreSpec.as_yaml(node.restore.recovery_target()) if node.restore else {}
        else:
            found = str(getattr(node, key))
        if found != value:
            raise InventoryError(
                f"{new.name} exists already, and its {key} is {found}, not {value}",
                where=str(path),
                next="choose another name, or edit the file",
            )
