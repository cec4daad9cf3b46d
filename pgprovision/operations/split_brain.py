"""No verb acts on a cluster with two histories, also where its own work is not on the nodes.

Those that converge nodes have it as a tier, `tasks.host.live_roles`.
"""

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

from pgprovision.engine.observe import Look, Target
from pgprovision.errors import PgprovisionError
from pgprovision.inventory.schema.cluster import Inventory, Node
from pgprovision.tasks import host
from pgprovision.tasks.paths import snapshot


def refuse_split(inventory: Inventory, targets: Mapping[str, Target]) -> None:
    """Raises Refused where two nodes accept writes. Nodes that do not answer are not judged."""
    ask, seen = snapshot(inventory).ask(), Look()

    def look(node: Node) -> None:
        with suppress(PgprovisionError):
            seen.seen[node.name] = targets[node.name].look((ask,))

    with ThreadPoolExecutor(len(inventory.nodes)) as pool:
        list(pool.map(look, inventory.nodes))
    for wish in host.live_roles(inventory, inventory.primary):
        wish.settled(seen)
