"""Takes a replica out of its cluster: it is stopped, its access rules and its slot are deleted, and
at last its file in the inventory is renamed. Run again, it finishes what is left.

Works without a file, too: what a removed node left on the primary is recognised by its slot's name.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from pgprovision import report
from pgprovision.engine.model import Probe, Tier
from pgprovision.errors import Refused
from pgprovision.inventory.schema.cluster import Inventory, Node
from pgprovision.inventory.topology import Topology
from pgprovision.operations.reachable_replicas import reachable_replicas
from pgprovision.quote import sh
from pgprovision.resources.hetzner.deleted_resource import DeletedResource
from pgprovision.resources.node.inventory_node_file import RemovedNodeFile
from pgprovision.resources.postgres.replication.slot import Slot, slot_name
from pgprovision.run.approval import NameConfirmation
from pgprovision.run.operation import Operation, Prepared, Run
from pgprovision.run.targets import Targets
from pgprovision.tasks import configuration, host, replica, system
from pgprovision.tasks.cloud import bootstrap_host_key
from pgprovision.tasks.context import PlanContext
from pgprovision.tasks.paths import instance, snapshot

CONTROLLER = "controller"


@dataclass(frozen=True)
class RemoveReplica(Operation):
    """`remove-replica NAME`, also after its file was removed by hand."""

    command: ClassVar[str] = "remove-replica"
    name: str
    confirm: str = ""
    """The name, to confirm without a prompt."""
    delete_server: bool = False

    def check(self, inventory: Inventory) -> None:
        declared_replica(inventory, self.name)

    def prepare(self, inventory: Inventory, targets: Targets) -> Prepared:
        node = declared_replica(inventory, self.name)
        running = node is not None and targets.probe_succeeds(node, installed_probe(inventory))
        others = reachable_replicas(inventory, self.name, targets)
        notes = [*others.notes]
        if node is None:
            notes.insert(0, f"{self.name} is not in the inventory: looking for what is left of it")
        elif not running:
            notes.append(f"{self.name} does not answer or has no PostgreSQL: nothing to stop there")
        request = RemovalRequest(
            name=self.name,
            node=node,
            running=running,
            other_replicas=others.nodes,
            delete_server=self.delete_server,
        )
        return Prepared(
            tiers=tiers(inventory, request),
            notes=notes,
            confirmation=NameConfirmation(
                self.name,
                f"Type {self.name} to take it out of the cluster",
                given=self.confirm,
                noun="the replica's",
            ),
        )

    def finished(self, run: Run) -> int:
        node = declared_replica(run.inventory, self.name)
        stays = node is not None and node.address is None and not self.delete_server
        if run.failure is None and stays and not run.options.json:
            report.print_line(
                f"its server stays: pgprovision remove-replica {self.name} --delete-server"
            )
        return run.exit_code


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
            done="nothing was changed",
            next=f"to remove the whole cluster: pgprovision destroy; to see who follows {name}: "
            "pgprovision status",
        )
    return node


def without_node(inventory: Inventory, name: str) -> Inventory:
    """The same cluster as if the node had never been."""
    rest = tuple(node for node in inventory.nodes if node.name != name)
    return inventory.model_copy(update={"nodes": rest})


def tiers(inventory: Inventory, request: RemovalRequest) -> tuple[Tier, ...]:
    """The steps, in an order in which each leaves the cluster well. The inventory still has it."""
    rest, node = without_node(inventory, request.name), request.node
    primary = Topology.declared(inventory).primary
    is_copy = node is not None and node.is_copy  # it was never let in anywhere
    access_nodes = () if is_copy else (primary, *request.other_replicas)
    slot = Slot(
        on=primary.name, snapshot=snapshot(rest), slot=slot_name(request.name), present=False
    )
    primary_context = PlanContext.declared(inventory, primary)
    identities = [
        found for other in access_nodes for found in host.identity(primary_context.at(other))
    ]
    if node is not None and request.running:
        identities += host.identity(primary_context.at(node), for_deletion=request.delete_server)
    plan = [
        Tier("identity", tuple(identities)),
        Tier(
            "split-brain check", () if is_copy else tuple(host.split_brain_check(primary_context))
        ),
    ]
    if request.delete_server:
        host_key_removal = bootstrap_host_key(inventory, request.name, absent=True)
        plan += [Tier("server", _server(inventory, request)), Tier("host key", (host_key_removal,))]
    elif node is not None and request.running:
        plan.append(Tier("stop replication", tuple(replica.stopped(primary_context.at(node)))))
    remaining = [PlanContext.declared(rest, other) for other in access_nodes]
    firewalls = [resource for context in remaining for resource in system.firewall(context)]
    hbas = [resource for context in remaining for resource in configuration.pg_hba(context)]
    loaded = [
        found for context in remaining for found in configuration.loaded_access_rules(context)
    ]
    plan += [
        Tier("access rules (pg_hba, firewall)", (*firewalls, *hbas)),
        Tier("loaded access rules", tuple(loaded)),
        Tier("slot", () if is_copy else (slot,)),
    ]
    if node is not None:
        path = str(inventory.folder / "nodes" / f"{request.name}.yml")
        plan.append(Tier("inventory", (RemovedNodeFile(on=CONTROLLER, path=path),)))
    return tuple(tier for tier in plan if tier.resources)


def _server(inventory: Inventory, request: RemovalRequest) -> tuple[DeletedResource, ...]:
    name, node = request.name, request.node
    if inventory.hetzner is None or (node is not None and node.address is not None):
        raise Refused(
            f"the host of {name} was not made by pgprovision; it deletes none of those",
            done="nothing was changed",
            next=f"the same without --delete-server: the host of {name} and its data stay",
        )
    return (DeletedResource(cluster=inventory.cluster, collection="servers", object_name=name),)
