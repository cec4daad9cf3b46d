"""Taking a replica out of its cluster: it stops, its ways in are shut, its slot goes, and at last
its file in the inventory is renamed. Run again after a cut, it finishes what is left.

Works without a file, too: what a removed node left on the primary is recognised by its slot's name.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from pgprovision.engine.model import Ask, Tier
from pgprovision.errors import Refused
from pgprovision.inventory.schema.cluster import Inventory, Node
from pgprovision.quote import sh
from pgprovision.resources.hetzner.deleted_resource import Removal
from pgprovision.resources.node.inventory_node_file import RemovedNodeFile
from pgprovision.resources.postgres.replication.slot import Slot, slot_of
from pgprovision.tasks import configuration, host, replica, system
from pgprovision.tasks.cloud import host_key
from pgprovision.tasks.paths import instance, snapshot

HERE = "here"


@dataclass(frozen=True)
class Leaving:
    """A replica on its way out. `running`: its host answers and PostgreSQL is installed there;
    `peers`: other replicas that answer."""

    name: str
    node: Node | None
    running: bool
    peers: Sequence[Node]
    delete_server: bool


def installed(inventory: Inventory) -> Ask:
    """Whether a host has an instance that can be stopped."""
    return Ask(sh("test", "-d", instance(inventory).config_directory))


def node_of(inventory: Inventory, name: str) -> Node | None:
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


def without(inventory: Inventory, name: str) -> Inventory:
    """The same cluster as if the node had never been."""
    rest = tuple(node for node in inventory.nodes if node.name != name)
    return inventory.model_copy(update={"nodes": rest})


def tiers(inventory: Inventory, leaving: Leaving) -> tuple[Tier, ...]:
    """The steps, in an order in which each leaves the cluster well. The inventory is the whole."""
    rest, primary, node = without(inventory, leaving.name), inventory.primary, leaving.node
    copied = node is not None and node.is_copy  # it was never let in anywhere
    shut = () if copied else (primary, *leaving.peers)
    slot = Slot(on=primary.name, snapshot=snapshot(rest), slot=slot_of(leaving.name), present=False)
    whose = [wish for other in shut for wish in host.identity(inventory, other)]
    if node is not None and leaving.running:
        whose += host.identity(inventory, node, going=leaving.delete_server)
    whole = [
        Tier("identity", tuple(whose)),
        Tier("live roles", () if copied else tuple(host.live_roles(inventory, primary))),
    ]
    if leaving.delete_server:
        forgotten = replace(host_key(inventory, leaving.name), absent=True)
        whole += [Tier("server", _server(inventory, leaving)), Tier("host key", (forgotten,))]
    elif node is not None and leaving.running:
        whole.append(Tier("stop following", tuple(replica.stopped(inventory, node))))
    firewalls = [wish for other in shut for wish in system.firewall(rest, other)]
    hbas = [wish for other in shut for wish in configuration.hba(rest, other)]
    whole += [Tier("ways in", (*firewalls, *hbas)), Tier("slot", () if copied else (slot,))]
    if node is not None:
        path = str(inventory.folder / "nodes" / f"{leaving.name}.yml")
        whole.append(Tier("inventory", (RemovedNodeFile(on=HERE, path=path),)))
    return tuple(tier for tier in whole if tier.resources)


def _server(inventory: Inventory, leaving: Leaving) -> tuple[Removal, ...]:
    name, node = leaving.name, leaving.node
    if inventory.hetzner is None or (node is not None and node.address is not None):
        raise Refused(
            f"the host of {name} was not made by pgprovision; it deletes none of those",
            done="nothing was touched",
            next=f"the same without --delete-server: the host of {name} and its data stay",
        )
    return (Removal(cluster=inventory.cluster, collection="servers", called=name),)
