"""What cannot be drilled: on production itself, later than backups are kept, what is not there."""

import json
from collections.abc import Iterator

from pgprovision.inventory.problems import Found, Loc, closest, nearest
from pgprovision.inventory.schema.cluster import Inventory, Node
from pgprovision.inventory.schema.drill import Drill

NAME = 57  # of the 63 characters of a server's name, -drill takes 6


def drill_name(cluster: str) -> str:
    """What the machine of a cluster's drills is called.

    >>> drill_name("hcb-lab")
    'hcb-lab-drill'
    """
    return f"{cluster[:NAME].rstrip('-')}-drill"


def production(inventory: Inventory, host: str) -> Node | None:
    """The node that this host is, by any of its names."""
    for node in inventory.nodes:
        if host in (node.address, str(node.private_ip), node.name):
            return node
    return None


def checked(inventory: Inventory) -> Found:
    """By key path."""
    for index, node in enumerate(inventory.nodes):
        if node.name == drill_name(inventory.cluster):
            yield ("nodes", index, "name"), "is the name of the cluster's drills; expected another"
    if inventory.backup is None:
        return
    drill, kept = inventory.backup.drill, inventory.backup.retention_days
    at: Loc = ("backup", "drill")
    if drill.period(kept) > kept:
        yield (
            (*at, "period_days"),
            f"{drill.period_days}: backups are kept for {kept} days; expected a drill before what"
            " it would find is gone",
            f"period_days: {kept}",
        )
    if drill.host and (node_ := production(inventory, drill.host)):
        yield (
            (*at, "host"),
            f"{drill.host} is {node_.name}, a production host; expected a machine that holds"
            " nothing",
            "host: 192.0.2.99",
        )
    for index, probe in enumerate(drill.probes):
        if (probe.at_least is None) == (probe.equals is None):
            query = json.dumps(probe.query)
            yield (
                (*at, "probes", index),
                "expected either at_least or equals: what is good",
                f"- {{database: {probe.database}, query: {query}, at_least: 1}}",
            )
    for key, name in _databases(drill):
        if name not in inventory.databases:
            known = inventory.databases
            text = f"database {name} is not declared under databases{nearest(name, known)}"
            example = closest(name, known) or next(iter(known), "")
            yield (*at, *key, "database"), text, f"database: {example}" if example else ""


def _databases(drill: Drill) -> Iterator[tuple[Loc, str]]:
    for index, probe in enumerate(drill.probes):
        yield ("probes", index), probe.database
    if drill.heartbeat:
        yield ("heartbeat",), drill.heartbeat.database
