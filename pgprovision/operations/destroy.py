"""Removing a cluster's servers and what was made around them. Never its backups.

Only what carries the cluster's labels goes; of that, what others use stays. It is the loop with
everything declared absent, so a run that was cut off is finished by the next. A label is no proof
of what runs behind it: machines that answer are asked whose they are, before anything goes.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from pgprovision.engine.model import Probe, Tier
from pgprovision.hetzner_labels import ApiObject, has_cluster_labels
from pgprovision.inventory.schema.cluster import Inventory, Node
from pgprovision.resources.hetzner.deleted_resource import DeletedResource
from pgprovision.tasks import host
from pgprovision.tasks.cloud import ReadOnlyCloud, bootstrap_host_key
from pgprovision.tasks.context import PlanContext

DELETION_ORDER = (
    "servers",
    "firewalls",
    "placement_groups",
    "networks",
    "ssh_keys",
)  # in this order


@dataclass(frozen=True)
class DestroyPlan:
    """What is to go, and what of ours stays because others use it."""

    tiers: tuple[Tier, ...]
    retained: tuple[str, ...]

    @property
    def has_objects(self) -> bool:
        """Whether anything of ours is there at all."""
        return bool(self.retained or self.tiers[1].resources)


def plan_destroy(
    cloud: ReadOnlyCloud, inventory: Inventory, reachable: Sequence[Node] = ()
) -> DestroyPlan:
    """What `destroy` would remove. `reachable`: nodes that can be asked. Raises CloudError."""
    probes = {kind: Probe(kind) for kind in DELETION_ORDER}
    answers = cloud.observe(tuple(probes.values()))
    ours = {
        kind: [item for item in answers[ask].items if has_cluster_labels(item, inventory.cluster)]
        for kind, ask in probes.items()
    }
    servers = {int(item["id"]) for item in ours["servers"]}
    deletions, retained = [], []
    for kind, items in ours.items():
        for item in items:
            if _server_ids(item) <= servers:
                name = str(item["name"])
                deletions.append(
                    DeletedResource(cluster=inventory.cluster, collection=kind, object_name=name)
                )
            else:
                retained.append(f"{kind}/{item['name']} (others use it)")
    created = [node for node in inventory.nodes if node.address is None]
    keys = tuple(bootstrap_host_key(inventory, node.name, absent=True) for node in created)
    identities = [
        resource
        for node in reachable
        for resource in host.identity(PlanContext.declared(inventory, node), for_deletion=True)
    ]
    tiers = (
        Tier("identity", tuple(identities)),
        Tier("removal", tuple(deletions)),
        Tier("host keys", keys),
    )
    return DestroyPlan(tiers, tuple(retained))


def _server_ids(item: ApiObject) -> set[int]:
    """Ids of servers that an object is used by; -1 stands for a label selector's."""
    applied = {
        int(target["server"]["id"]) if target["type"] == "server" else -1
        for target in item.get("applied_to") or ()
    }
    return applied | {int(server) for server in item.get("servers") or ()}
