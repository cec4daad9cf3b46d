"""Another server type for a server that is there: checked, then shut down, changed, started.

The disk stays as it is, so that the server can go back to a smaller type later.
"""

from dataclasses import dataclass, replace

from pgprovision.engine.model import Ask, Tier
from pgprovision.errors import CloudError, Refused
from pgprovision.hetzner_labels import Item, is_ours, named
from pgprovision.inventory.schema.cluster import Inventory, Node
from pgprovision.resources.hetzner.server import Server
from pgprovision.server_offers import AGAIN, alternatives, available, money, monthly
from pgprovision.tasks import host
from pgprovision.tasks.cloud import Looker, cloud_tiers

SERVERS, TYPES, PRICING = Ask("servers"), Ask("server_types"), Ask("pricing")


@dataclass(frozen=True)
class Resize:
    """What `resize` wishes for, and what a person should know before it."""

    tiers: tuple[Tier, ...]
    notes: tuple[str, ...]


def resize(cloud: Looker, inventory: Inventory, node: Node, *, answers: bool = False) -> Resize:
    """The node's server with the inventory's type. `answers`: the machine can be asked whose it
    is, and has to be this node. Raises Refused where that cannot be, CloudError where it cannot be
    had now."""
    seen = cloud.look((SERVERS, TYPES, PRICING))
    servers = [item for item in seen[SERVERS].items if is_ours(item, inventory.cluster)]
    types = seen[TYPES].items
    server, wanted = named(servers, node.name), named(types, node.server_type)
    if node.address is not None or server is None:
        raise Refused(
            f"{node.name} has no server of ours that could be resized",
            done="nothing was touched",
            next=f"pgprovision plan {node.name} shows what would be made",
        )
    if wanted is None:
        raise CloudError(
            f"there is no server type {node.server_type}",
            where=node.name,
            done="nothing was touched",
            next=AGAIN,
        )
    _check(server, wanted, types)
    now, currency = server["server_type"], seen[PRICING].items[0]["currency"]
    notes = [f"{node.name}: {_said(now, server, currency)} -> {_said(wanted, server, currency)}"]
    others = [s for s in servers if s["name"] in {replica.name for replica in inventory.replicas}]
    smaller = [str(s["name"]) for s in others if s["server_type"]["memory"] < wanted["memory"]]
    if node.is_primary:
        notes.append("the primary is not there while it is resized: choose a quiet moment")
    if node.is_primary and smaller:
        notes.append(f"replicas first, so that none is smaller: {', '.join(smaller)}")
    whole = (r for tier in cloud_tiers(inventory, (node,)) for r in tier.resources)
    wish = next(replace(r, resizable=True) for r in whole if isinstance(r, Server))
    booted = Tier("first boot", tuple(host.first_boot(inventory, node)))
    whose = Tier("identity", tuple(host.identity(inventory, node) if answers else ()))
    return Resize((whose, Tier("cloud", (wish,)), booted), tuple(notes))


def _check(server: Item, wanted: Item, types: tuple[Item, ...]) -> None:
    now, disk, place = (
        server["server_type"],
        server["primary_disk_size"],
        server["location"]["name"],
    )
    if now["name"] == wanted["name"]:
        return
    if wanted["architecture"] != now["architecture"]:
        raise _refused(
            server,
            f"{wanted['name']} is {wanted['architecture']}, the server {now['architecture']}: "
            "its disk would not boot",
            f"choose a type for {now['architecture']}",
        )
    if wanted["disk"] < disk:
        fit = [t["name"] for t in types if t["disk"] >= disk and t["cpu_type"] == now["cpu_type"]]
        raise _refused(
            server,
            f"its disk has {disk} GB, a {wanted['name']} only {wanted['disk']} GB: a disk never "
            "shrinks",
            f"choose one of {', '.join(fit)}; or make a replica of that type and switch over to it",
        )
    if not available(wanted, place):
        raise CloudError(
            f"{wanted['name']} cannot be had in {place} now; "
            f"{alternatives(types, wanted['name'], place)}",
            where=server["name"],
            done="nothing was touched",
            next=AGAIN,
        )


def _refused(server: Item, what: str, turn: str) -> Refused:
    return Refused(what, where=server["name"], done="nothing was touched", next=turn)


def _said(kind: Item, server: Item, currency: str) -> str:
    price = money(monthly(kind["prices"], server["location"]["name"]), currency)
    return f"{kind['name']} ({kind['cores']} vCPU, {kind['memory']:g} GB, {price} without VAT)"
