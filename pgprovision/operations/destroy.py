"""Removing a cluster's servers and what was made around them. Never its backups.

Only what carries the cluster's labels goes; of that, what others use stays. It is the loop with
everything declared absent, so a run that was cut off is finished by the next. A label is no proof
of what runs behind it: machines that answer are asked whose they are, before anything goes.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from pgprovision.engine.model import Ask, Tier
from pgprovision.hetzner_labels import Item, is_ours
from pgprovision.inventory.schema.cluster import Inventory, Node
from pgprovision.resources.hetzner.deleted_resource import Removal
from pgprovision.tasks import host
from pgprovision.tasks.cloud import Looker, host_key

KINDS = ("servers", "firewalls", "placement_groups", "networks", "ssh_keys")  # in this order


@dataclass(frozen=True)
class Doomed:
    """What is to go, and what of ours stays because others use it."""

    tiers: tuple[Tier, ...]
    kept: tuple[str, ...]

    @property
    def found(self) -> bool:
        """Whether anything of ours is there at all."""
        return bool(self.kept or self.tiers[1].resources)


def doomed(cloud: Looker, inventory: Inventory, answering: Sequence[Node] = ()) -> Doomed:
    """What `destroy` would remove. `answering`: nodes that can be asked. Raises CloudError."""
    asks = {kind: Ask(kind) for kind in KINDS}
    seen = cloud.look(tuple(asks.values()))
    ours = {
        kind: [item for item in seen[ask].items if is_ours(item, inventory.cluster)]
        for kind, ask in asks.items()
    }
    servers = {int(item["id"]) for item in ours["servers"]}
    going, kept = [], []
    for kind, items in ours.items():
        for item in items:
            if _users(item) <= servers:
                name = str(item["name"])
                going.append(Removal(cluster=inventory.cluster, collection=kind, called=name))
            else:
                kept.append(f"{kind}/{item['name']} (others use it)")
    made = [node for node in inventory.nodes if node.address is None]
    keys = tuple(replace(host_key(inventory, node.name), absent=True) for node in made)
    whose = [wish for node in answering for wish in host.identity(inventory, node, going=True)]
    tiers = Tier("identity", tuple(whose)), Tier("removal", tuple(going)), Tier("host keys", keys)
    return Doomed(tiers, tuple(kept))


def _users(item: Item) -> set[int]:
    """Ids of servers that an object is used by; -1 stands for a label selector's."""
    applied = {
        int(target["server"]["id"]) if target["type"] == "server" else -1
        for target in item.get("applied_to") or ()
    }
    return applied | {int(server) for server in item.get("servers") or ()}
