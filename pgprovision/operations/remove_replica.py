"""Taking a replica out of its cluster: it stops, its ways in are shut, its slot goes, and at last
its file in the inventory is renamed. Run again after a cut, it finishes what is left.

Works without a file, too: what a removed node left on the primary is recognised by its slot's name.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from pgprovision.engine.model import Probe, Tier
from pgprovision.errors import Refused
from pgprovision.inventory.schema.cluster import Inventory, Node
from pgprovision.inventory.topology import Topology
from pgprovision.quote import sh
from pgprovision.resources.hetzner.deleted_resource import DeletedResource
from pgprovision.resources.node.inventory_node_file import RemovedNodeFile
from pgprovision.resources.postgres.replication.slot import Slot, slot_name
from pgprovision.tasks import configuration, host, replica, system
from pgprovision.tasks.cloud import bootstrap_host_key
from pgprovision.tasks.context import PlanContext
from pgprovision.tasks.paths import instance, snapshot

CONTROLLER = "here"


@dataclass(frozen=True)
class RemovalRequest:
    """A replica on its way out. `running`: its host answers and PostgreSQL is installed there;
    `other_replicas`: other replicas that answer."""

    name: str
    node: Node | None
    running: bool
    other_replicas: Sequence[Node]
    delete_server: bool


def installed_probe(inventory: Inventory) -> Probe:
    """Whether a host has an instance that can be stopped."""
    return Probe(sh("test", "-d", instance(inventory).config_directory))


def declared_replica(inventory: Inventory, name: str) -> Node | None:
    """The replica of this name, if it is still declared. Raises Refused for the primary."""
    node = next((node for node in inventory.nodes if node.name == name), None)
    if node is not None and node.is_primary:
        raise Refused(
            f"{name} is the primary",
            where=f"nodes/{name}.yml",
            done="nothing was touched",
            next=f"to remove the whole cluster: pgprovision destroy; to see who follows {name}: "
            "pgprovision status",
        )
    return node


def without_node(inventory: Inventory, name: str) -> Inventory:
    """The same cluster as if the node had never been."""
    rest = tuple(node for node in inventory.nodes if node.name != name)
    return inventory.model_copy(update={"nodes": rest})


def tiers(inventory: Inventory, request: RemovalRequest) -> tuple[Tier, ...]:
    """The steps, in an order in which each leaves the cluster well. The inventory is the whole."""
    rest, node = without_node(inventory, request.name), request.node
    primary = Topology.declared(inventory).primary
    is_copy = node is not None and node.is_copy  # it was never let in anywhere
    access_nodes = () if is_copy else (primary, *request.other_replicas)
    slot = Slot(
        on=primary.name, snapshot=snapshot(rest), slot=slot_name(request.name), present=False
    )
    whole = PlanContext.declared(inventory, primary)
    identities = [found for other in access_nodes for found in host.identity(whole.at(other))]
    if node is not None and request.running:
        identities += host.identity(whole.at(node), for_deletion=request.delete_server)
    plan = [
        Tier("identity", tuple(identities)),
        Tier("live roles", () if is_copy else tuple(host.split_brain_check(whole))),
    ]
    if request.delete_server:
        host_key_removal = bootstrap_host_key(inventory, request.name, absent=True)
        plan += [Tier("server", _server(inventory, request)), Tier("host key", (host_key_removal,))]
    elif node is not None and request.running:
        plan.append(Tier("stop following", tuple(replica.stopped(whole.at(node)))))
    remaining = [PlanContext.declared(rest, other) for other in access_nodes]
    firewalls = [resource for context in remaining for resource in system.firewall(context)]
    hbas = [resource for context in remaining for resource in configuration.pg_hba(context)]
    plan += [Tier("ways in", (*firewalls, *hbas)), Tier("slot", () if is_copy else (slot,))]
    if node is not None:
        path = str(inventory.folder / "nodes" / f"{request.name}.yml")
        plan.append(Tier("inventory", (RemovedNodeFile(on=CONTROLLER, path=path),)))
    return tuple(tier for tier in plan if tier.resources)


def _server(inventory: Inventory, request: RemovalRequest) -> tuple[DeletedResource, ...]:
    name, node = request.name, request.node
    if inventory.hetzner is None or (node is not None and node.address is not None):
        raise Refused(
            f"the host of {name} was not made by pgprovision; it deletes none of those",
            done="nothing was touched",
            next=f"the same without --delete-server: the host of {name} and its data stay",
        )
    return (DeletedResource(cluster=inventory.cluster, collection="servers", object_name=name),)
