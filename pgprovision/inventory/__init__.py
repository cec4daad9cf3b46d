"""The inventory: a folder of YAML files that says what a cluster should be.

`cluster.yml`, one file per node in `nodes/`, templates of one's own in `templates/`, secrets in
`secrets/`. People's files are read, never rewritten.
"""

from pathlib import Path

from pgprovision.inventory.edit.add_node import NewNode, add_node
from pgprovision.inventory.edit.secrets import make_secrets, missing_secrets
from pgprovision.inventory.loader.cluster_name import cluster_name
from pgprovision.inventory.loader.loader import documents, validated
from pgprovision.inventory.loader.tags import MAKES, here
from pgprovision.inventory.problems import BadInventory, Complaint
from pgprovision.inventory.schema.cluster import Inventory, Node

__all__ = [
    "BadInventory",
    "Complaint",
    "Inventory",
    "NewNode",
    "Node",
    "add_node",
    "cluster_name",
    "load",
    "make_secrets",
    "missing_secrets",
]


def load(path: Path) -> Inventory:
    """The inventory in this folder. Raises BadInventory, an InventoryError, with all complaints."""
    try:
        return validated(documents(path, here(path), {}))
    except BadInventory as wrong:
        if any(complaint.text.endswith(MAKES) for complaint in wrong.complaints):
            wrong.next = f"pgprovision -i {path} secrets init"
        raise
