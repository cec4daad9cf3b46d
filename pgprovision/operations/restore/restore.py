"""Restores of what the repository has.

To a new node, which is a copy and no part of the cluster; or onto a node of ours, whose data are
renamed aside. Of the primary that is the cluster's next history: its replicas are cloned again in
the same run, as what they hold is of a future that did not happen.
"""

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime

from pgprovision import tasks
from pgprovision.engine.model import Resource, Tier
from pgprovision.engine.observe import Target as Machine
from pgprovision.errors import InventoryError, Refused
from pgprovision.inventory.schema.cluster import Inventory, Node
from pgprovision.operations import reclone
from pgprovision.operations.reclone import Former
from pgprovision.recovery_target import UNTOUCHED, Target
from pgprovision.resources.data_directory.restore import Restored
from pgprovision.tasks.paths import instance


def onto(inventory: Inventory, name: str) -> Node:
    """The node whose data are to be replaced. Raises InventoryError, Refused."""
    node = next((node for node in inventory.nodes if node.name == name), None)
    if node is None:
        names = ", ".join(node.name for node in inventory.nodes)
        raise InventoryError(f"no node is called {name!r}", done=UNTOUCHED, next=f"one of: {names}")
    if node.role == "replica":
        raise Refused(
            f"{name} is a replica: its data are its primary's",
            done=UNTOUCHED,
            next=f"for the same data anew: pgprovision re-clone {name}; for an older state beside"
            " the cluster: pgprovision restore --to NEW-NAME",
        )
    return node


def tiers(
    inventory: Inventory,
    node: Node,
    target: Target,
    formers: Mapping[str, Former],
    now: datetime,
) -> tuple[Tier, ...]:
    """The node with the data of `target`, the ones it has now counted as absent; for the primary,
    its replicas cloned again."""
    nodes = inventory.members if node.is_primary else (node,)
    whole = tasks.tiers(inventory, nodes, now, targets={node.name: target})
    former = formers[node.name].inode

    def anew(wish: Resource) -> Resource:
        if isinstance(wish, Restored) and wish.on == node.name:
            return replace(wish, former=former)
        return wish

    whole = tuple(
        Tier(tier.title, tuple(map(anew, tier.resources)))
        for tier in whole
        if tier.title != tasks.CONFIGURATION_DIRECTORY  # finished nodes have theirs
    )
    for other in nodes:
        whole = reclone.remade(whole, other, formers[other.name])
    return whole


def look(inventory: Inventory, machines: Mapping[str, Machine], node: Node) -> dict[str, Former]:
    """The data directories that are to be made anew. Raises Unreachable: all have to answer."""
    ask = reclone.look(instance(inventory))
    found = {}
    for other in inventory.members if node.is_primary else (node,):
        seen = machines[other.name].look((ask,))
        found[other.name] = reclone.read(seen[ask]) if isinstance(seen, Mapping) else Former()
    return found
