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
from pgprovision.operations.reclone import ExistingData
from pgprovision.recovery_target import NOTHING_CHANGED, RecoveryTarget
from pgprovision.resources.data_directory.restore import RestoredDataDirectory
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
    nodes = inventory.members if node.is_primary else (node,)
    plan = tasks.tiers(inventory, nodes, now, recovery_targets={node.name: target})
    former = existing[node.name].inode

    def recreate(resource: Resource) -> Resource:
        if isinstance(resource, RestoredDataDirectory) and resource.on == node.name:
            return replace(resource, former_inode=former)
        return resource

    plan = tuple(
        Tier(tier.title, tuple(map(recreate, tier.resources)))
        for tier in plan
        if tier.title != tasks.CONFIGURATION_DIRECTORY  # finished nodes have theirs
    )
    for other in nodes:
        plan = reclone.with_new_data(plan, other, existing[other.name])
    return plan


def existing_data(
    inventory: Inventory, targets: Mapping[str, Machine], node: Node
) -> dict[str, ExistingData]:
    """The data directories that are to be made anew. Raises Unreachable: all have to answer."""
    probe = reclone.existing_data_probe(instance(inventory))
    found = {}
    for other in inventory.members if node.is_primary else (node,):
        answers = targets[other.name].observe((probe,))
        found[other.name] = (
            reclone.parse_existing_data(answers[probe])
            if isinstance(answers, Mapping)
            else ExistingData()
        )
    return found
