"""Another server type for a server that is there: checked, then shut down, changed, started.

The disk stays as it is, so that the server can go back to a smaller type later.
"""

from dataclasses import dataclass
from typing import ClassVar

from pgprovision import report
from pgprovision.engine.model import Impact, Probe, Tier
from pgprovision.errors import CloudError, Refused
from pgprovision.hetzner_labels import ApiObject, find_object, has_cluster_labels
from pgprovision.inventory.schema.cluster import Inventory, Node
from pgprovision.inventory.topology import Topology
from pgprovision.operations.split_brain import refuse_split_brain
from pgprovision.run.approval import ShowPlan
from pgprovision.run.operation import Operation, Prepared, Run
from pgprovision.run.targets import Targets
from pgprovision.server_offers import (
    NEXT_IF_UNAVAILABLE,
    alternatives,
    format_monthly_price,
    is_available,
    monthly_price,
)
from pgprovision.tasks import host, intent
from pgprovision.tasks.cloud import ReadOnlyCloud, declared_server
from pgprovision.tasks.context import PlanContext

SERVERS_PROBE, SERVER_TYPES_PROBE, PRICING_PROBE = (
    Probe("servers"),
    Probe("server_types"),
    Probe("pricing"),
)


@dataclass(frozen=True)
class Resize(Operation):
    """`resize NODE`: the server type that the inventory names."""

    command: ClassVar[str] = "resize"
    node: str

    def check(self, inventory: Inventory) -> None:
        inventory.node(self.node)

    def prepare(self, inventory: Inventory, targets: Targets) -> Prepared:
        node = inventory.node(self.node)
        if targets.cloud is None:
            raise Refused("this cluster's hosts were not made by pgprovision; it resizes none")
        refuse_split_brain(inventory, targets)
        reachable = node.address is None and targets.is_reachable(node)
        plan = plan_resize(targets.cloud, inventory, node, reachable=reachable)
        return Prepared(tiers=plan.tiers, notes=plan.notes, confirmation=ShowPlan(Impact.RESTART))

    def finished(self, run: Run) -> int:
        if run.failure is None and not run.options.json:
            report.print_line(
                f"next: pgprovision up {self.node} --allow restart sizes PostgreSQL for it"
            )
        return run.exit_code


@dataclass(frozen=True)
class ResizePlan:
    """What a resize declares, and what a person should know before it."""

    tiers: tuple[Tier, ...]
    notes: tuple[str, ...]


def plan_resize(
    cloud: ReadOnlyCloud, inventory: Inventory, node: Node, *, reachable: bool = False
) -> ResizePlan:
    """The node's server with the inventory's type. `reachable`: the host answers, and its
    identity has to be this node. Raises Refused where that cannot be, CloudError where the type is
    not available now."""
    answers = cloud.observe((SERVERS_PROBE, SERVER_TYPES_PROBE, PRICING_PROBE))
    servers = [
        item for item in answers[SERVERS_PROBE].items if has_cluster_labels(item, inventory.cluster)
    ]
    types = answers[SERVER_TYPES_PROBE].items
    server, desired = find_object(servers, node.name), find_object(types, node.server_type)
    if node.address is not None or server is None:
        raise Refused(
            f"{node.name} has no server of ours that could be resized",
            done="nothing was changed",
            next=f"pgprovision plan {node.name} shows what would be made",
        )
    if desired is None:
        raise CloudError(
            f"there is no server type {node.server_type}",
            where=node.name,
            done="nothing was changed",
            next=NEXT_IF_UNAVAILABLE,
        )
    _check(server, desired, types)
    now, currency = server["server_type"], answers[PRICING_PROBE].items[0]["currency"]
    notes = [
        f"{node.name}: {_describe_type(now, server, currency)}"
        f" -> {_describe_type(desired, server, currency)}"
    ]
    topology = Topology.declared(inventory)
    standbys = {standby.name for standby in topology.standbys}
    others = [s for s in servers if s["name"] in standbys]
    smaller = [str(s["name"]) for s in others if s["server_type"]["memory"] < desired["memory"]]
    if topology.is_primary(node):
        notes.append("the primary is not there while it is resized: choose a quiet moment")
    if topology.is_primary(node) and smaller:
        notes.append(f"replicas first, so that none is smaller: {', '.join(smaller)}")
    intents = {node.name: intent.Resize()}
    context = PlanContext(inventory=inventory, node=node, topology=topology, intents=intents)
    tiers = (
        Tier("identity", tuple(host.identity(context)) if reachable else ()),
        Tier("cloud", tuple(declared_server(context))),
        Tier("first boot", tuple(host.first_boot(context))),
    )
    return ResizePlan(tiers, tuple(notes))


def _check(server: ApiObject, desired: ApiObject, types: tuple[ApiObject, ...]) -> None:
    now, disk, location = (
        server["server_type"],
        server["primary_disk_size"],
        server["location"]["name"],
    )
    if now["name"] == desired["name"]:
        return
    if desired["architecture"] != now["architecture"]:
        raise _refused(
            server,
            f"{desired['name']} is {desired['architecture']}, the server {now['architecture']}: "
            "its disk would not boot",
            f"choose a type for {now['architecture']}",
        )
    if desired["disk"] < disk:
        suitable = [
            t["name"] for t in types if t["disk"] >= disk and t["cpu_type"] == now["cpu_type"]
        ]
        raise _refused(
            server,
            f"its disk has {disk} GB, a {desired['name']} only {desired['disk']} GB: a disk never "
            "shrinks",
            f"choose one of {', '.join(suitable)}; or make a replica of that type"
            " and switch over to it",
        )
    if not is_available(desired, location):
        raise CloudError(
            f"{desired['name']} cannot be had in {location} now; "
            f"{alternatives(types, desired['name'], location)}",
            where=server["name"],
            done="nothing was changed",
            next=NEXT_IF_UNAVAILABLE,
        )


def _refused(server: ApiObject, what: str, next_step: str) -> Refused:
    return Refused(what, where=server["name"], done="nothing was changed", next=next_step)


def _describe_type(kind: ApiObject, server: ApiObject, currency: str) -> str:
    price = format_monthly_price(
        monthly_price(kind["prices"], server["location"]["name"]), currency
    )
    return f"{kind['name']} ({kind['cores']} vCPU, {kind['memory']:g} GB, {price} without VAT)"
