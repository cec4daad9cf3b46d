"""The replicas that are updated when another one is added or removed."""

from dataclasses import dataclass

from pgprovision.engine.model import Probe
from pgprovision.inventory.schema.cluster import Inventory, Node
from pgprovision.resources.node.identity import MARKER_FILE
from pgprovision.run.targets import Targets


@dataclass(frozen=True)
class ReachableReplicas:
    """Those with access rules to update, and a note for each of the others."""

    nodes: tuple[Node, ...]
    notes: tuple[str, ...]


def reachable_replicas(inventory: Inventory, name: str, targets: Targets) -> ReachableReplicas:
    """The replicas beside `name` that are finished and answer."""
    finished = Probe(f"[ -s {MARKER_FILE} ]")
    others = [node for node in inventory.replicas if node.name != name]
    nodes = tuple(node for node in others if targets.probe_succeeds(node, finished))
    notes = tuple(
        f"{node.name} does not answer or is not finished: left as it is"
        for node in others
        if node not in nodes
    )
    return ReachableReplicas(nodes, notes)
