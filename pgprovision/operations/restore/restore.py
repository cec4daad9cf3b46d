"""Restores of what the repository has.

To a new node, which is a copy and no part of the cluster; or onto a node of ours, whose data are
renamed aside. Of the primary that is the cluster's next history: its replicas are cloned again in
the same run, as what they hold is of a future that did not happen.
"""

from collections.abc import Mapping
from datetime import datetime

from pgprovision import tasks
from pgprovision.engine.model import Tier
from pgprovision.engine.observe import Target as Machine
from pgprovision.errors import InventoryError, Refused
from pgprovision.inventory.schema.cluster import Inventory, Node
from pgprovision.inventory.topology import Topology
from pgprovision.operations import reclone
from pgprovision.operations.reclone import ExistingData
from pgprovision.recovery_target import NOTHING_CHANGED, RecoveryTarget
from pgprovision.tasks import intent
from pgprovision.tasks.paths import instance


def in_place_node(inventory: Inventory, name: str) -> Node:
    """The node whose data are to be replaced. Raises InventoryError, Refused."""
    node = next((node for node in inventory.nodes if node.name == name), None)
    if node is None:
        names = ", ".join(node.name for node in inventory.nodes)
        raise InventoryError(
            f"no node is called {name!r}", done=NOTHING_CHANGED, next=f"one of: {names}"
        )
    if node.role == "replica":
        raise Refused(
            f"{name} is a replica: its data are its primary's",
            done=NOTHING_CHANGED,
            next=f"for the same data anew: pgprovision re-clone {name}; for an older state beside"
            " the cluster: pgprovision restore --to NEW-NAME",
        )
    return node


def tiers(
    inventory: Inventory,
    node: Node,
    target: RecoveryTarget,
    existing: Mapping[str, ExistingData],
    now: datetime,
) -> tuple[Tier, ...]:
    """The node with the data of `target`, the ones it has now counted as absent; for the primary,
    its replicas cloned again."""
    topology = Topology.declared(inventory)
    nodes = _replaced_nodes(inventory, topology, node)
    intents: dict[str, intent.Intent] = {
        other.name: intent.Reclone(existing[other.name].inode) for other in nodes if other != node
    }
    intents[node.name] = intent.Restore(target, existing[node.name].inode)
    return tasks.tiers(inventory, nodes, now, topology=topology, intents=intents)


def _replaced_nodes(inventory: Inventory, topology: Topology, node: Node) -> tuple[Node, ...]:
    """Whose data are replaced by a restore onto `node`: of the primary, its standbys' as well."""
    return inventory.members if topology.is_primary(node) else (node,)


def existing_data(
    inventory: Inventory, targets: Mapping[str, Machine], node: Node
) -> dict[str, ExistingData]:
    """The data directories that are to be made anew. Raises Unreachable: all have to answer."""
    probe = reclone.existing_data_probe(instance(inventory))
    found = {}
    for other in _replaced_nodes(inventory, Topology.declared(inventory), node):
        answers = targets[other.name].observe((probe,))
        found[other.name] = (
            reclone.parse_existing_data(answers[probe])
            if isinstance(answers, Mapping)
            else ExistingData()
        )
    return found
