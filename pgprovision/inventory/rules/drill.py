"""What cannot be drilled: on production itself, later than backups are kept, what is not there."""

import json
from collections.abc import Iterator

from pgprovision.inventory.problems import (
    KeyPath,
    Message,
    Problems,
    closest_name,
    did_you_mean,
)
from pgprovision.inventory.schema.cluster import Inventory, Node
from pgprovision.inventory.schema.drill import DrillSpec

MAX_CLUSTER_NAME = 57  # of the 63 characters of a server's name, -drill takes 6


def drill_server_name(cluster: str) -> str:
    """What the machine of a cluster's drills is called.

    >>> drill_server_name("hcb-lab")
    'hcb-lab-drill'
    """
    return f"{cluster[:MAX_CLUSTER_NAME].rstrip('-')}-drill"


def production_node(inventory: Inventory, host: str) -> Node | None:
    """The node that this host is, by any of its names."""
    for node in inventory.nodes:
        if host in (node.address, str(node.private_ip), node.name):
            return node
    return None


def check_drills(inventory: Inventory) -> Problems:
    """By key path."""
    for index, node in enumerate(inventory.nodes):
        if node.name == drill_server_name(inventory.cluster):
            yield ("nodes", index, "name"), "is the name of the cluster's drills; expected another"
    if inventory.backup is None:
        return
    drill, retention_days = inventory.backup.drill, inventory.backup.retention_days
    at: KeyPath = ("backup", "drill")
    if drill.effective_period_days(retention_days) > retention_days:
        yield (
            (*at, "period_days"),
            f"{drill.period_days}: backups are kept for {retention_days} days; "
            f"expected {retention_days} or less",
            f"period_days: {retention_days}",
        )
    if drill.host and (production_host := production_node(inventory, drill.host)):
        yield (
            (*at, "host"),
            f"{drill.host} is {production_host.name}, a production host; expected an empty machine",
            "host: 192.0.2.99",
        )
    for index, probe in enumerate(drill.probes):
        if (probe.at_least is None) == (probe.equals is None):
            query = json.dumps(probe.query)
            yield (
                (*at, "probes", index),
                "expected either at_least or equals",
                f"- {{database: {probe.database}, query: {query}, at_least: 1}}",
            )
    for key, name in _databases(drill):
        if name not in inventory.databases:
            known = inventory.databases
            meant = did_you_mean(name, known)
            text = Message(f"database {{name}} is not declared under databases{meant}", name=name)
            example = closest_name(name, known) or next(iter(known), "")
            yield (*at, *key, "database"), text, f"database: {example}" if example else ""


def _databases(drill: DrillSpec) -> Iterator[tuple[KeyPath, str]]:
    for index, probe in enumerate(drill.probes):
        yield ("probes", index), probe.database
    if drill.heartbeat:
        yield ("heartbeat",), drill.heartbeat.database
