"""A node more in the inventory, before the run that makes it: add-replica, restore --to."""

from collections.abc import Callable

from pgprovision import report
from pgprovision.inventory.edit.add_node import NewNode, add_node
from pgprovision.inventory.schema.cluster import Inventory
from pgprovision.run.options import Options


def load_with_node(
    options: Options, node: NewNode, check: Callable[[Inventory], None] = lambda inventory: None
) -> Inventory:
    """Write nodes/NAME.yml, say where, and read the inventory with it.

    `check` is given the inventory as it will be, and raises where nothing is to be written.
    """
    added = add_node(options.inventory, node, check)
    if not options.json:
        report.print_line(f"inventory: {added.path}")
    return added.inventory
