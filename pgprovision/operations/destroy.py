"""Removing a cluster's servers and what was made around them. Never its backups.

Only what carries the cluster's labels is deleted; of that, what others use is kept. It is the loop
with everything declared absent, so the next run finishes an interrupted one. A label does not prove
identity: every host that answers has its identity verified before anything is deleted.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from pgprovision.engine.model import Probe, Tier
from pgprovision.errors import Refused
from pgprovision.hetzner_labels import ApiObject, has_cluster_labels
from pgprovision.inventory.schema.cluster import Inventory, Node
from pgprovision.operations.split_brain import refuse_split_brain
from pgprovision.resources.hetzner.deleted_resource import DeletedResource
from pgprovision.run.approval import NameConfirmation
from pgprovision.run.operation import Operation, Prepared
from pgprovision.run.targets import Targets
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
_NOTHING_FOUND = (
    "nothing of this cluster is in this project: if the API token is the right one, "
    "only what is remembered of its servers is left to forget"
)


@dataclass(frozen=True)
class Destroy(Operation):
    """`destroy`: the servers that pgprovision made, once the cluster's name was typed."""

    command: ClassVar[str] = "destroy"
    confirm: str = ""
    """The cluster's name, to confirm without a prompt."""

    def prepare(self, inventory: Inventory, targets: Targets) -> Prepared:
        if targets.cloud is None:
            raise Refused("this cluster's hosts were not made by pgprovision; it removes none")
        refuse_split_brain(inventory, targets)
        made = [node for node in inventory.nodes if node.address is None]
        plan = plan_destroy(targets.cloud, inventory, [n for n in made if targets.is_reachable(n)])
        question = "Type the cluster's name to remove all this for good"
        return Prepared(
            tiers=plan.tiers,
            notes=plan.notes,
            confirmation=NameConfirmation(inventory.cluster, question, self.confirm),
        )


@dataclass(frozen=True)
class DestroyPlan:
    """What is to go, and what of ours stays because others use it."""

    tiers: tuple[Tier, ...]
    retained: tuple[str, ...]

    @property
    def has_objects(self) -> bool:
        """Whether anything of ours is there at all."""
        return bool(self.retained or self.tiers[1].resources)

    @property
    def notes(self) -> tuple[str, ...]:
        """What a person should know before the name is typed."""
        stays = tuple(f"kept: {name}" for name in self.retained)
        return stays if self.has_objects else (_NOTHING_FOUND, *stays)


def plan_destroy(
    cloud: ReadOnlyCloud, inventory: Inventory, reachable: Sequence[Node] = ()
) -> DestroyPlan:
    """What `destroy` would remove. `reachable`: nodes that can be probed. Raises CloudError."""
    probes = {kind: Probe(kind) for kind in DELETION_ORDER}
    answers = cloud.observe(tuple(probes.values()))
    ours = {
        kind: [item for item in answers[probe].items if has_cluster_labels(item, inventory.cluster)]
        for kind, probe in probes.items()
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
        Tier("deletion", tuple(deletions)),
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
