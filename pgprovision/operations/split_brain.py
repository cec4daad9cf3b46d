"""No verb acts on a cluster with two histories, also where its own work is not on the nodes.

Those that converge nodes have it as a tier, `tasks.host.split_brain_check`.
"""

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

from pgprovision.engine.model import resolve
from pgprovision.engine.observe import Observation, Target
from pgprovision.errors import PgprovisionError
from pgprovision.inventory.schema.cluster import Inventory, Node
from pgprovision.inventory.topology import Topology
from pgprovision.tasks import host
from pgprovision.tasks.context import PlanContext
from pgprovision.tasks.paths import snapshot


def refuse_split_brain(inventory: Inventory, targets: Mapping[str, Target]) -> None:
    """Raises Refused where two nodes accept writes. Nodes that do not answer are not judged."""
    probe, observation = snapshot(inventory).probe(), Observation()

    def look(node: Node) -> None:
        with suppress(PgprovisionError):
            observation.answers[node.name] = targets[node.name].observe((probe,))

    with ThreadPoolExecutor(len(inventory.nodes)) as pool:
        list(pool.map(look, inventory.nodes))
    primary = Topology.declared(inventory).primary
    for check in host.split_brain_check(PlanContext.declared(inventory, primary)):
        resolve(check, observation)
