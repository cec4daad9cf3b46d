"""A restore drill: what is probed, what is judged, and what is reported.

Production is only read: its primary tells what would be lost if it failed now, and the
repository is listed before and after. All the rest happens on the drill's own machine.
"""

import re
import socket
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from pgprovision.engine.model import Answer, Probe
from pgprovision.errors import InventoryError, Locked
from pgprovision.hetzner_labels import ApiObject, has_cluster_labels
from pgprovision.inventory.rules.drill import drill_server_name, production_node
from pgprovision.inventory.schema.cluster import Inventory, Node
from pgprovision.resources.data_directory import drill_cleanup
from pgprovision.tasks.cloud import ReadOnlyCloud
from pgprovision.tasks.drill import DRILL_LABEL
from pgprovision.tasks.paths import instance

PHASES = ("machine", "packages", "restore", "recovery", "checks", "removal")
PROVEN, FAILED = "proven", "failed"


@dataclass(frozen=True)
class DrillCheck:
    """One thing that was looked at, and what was found."""

    name: str
    passed: bool
    detail: str


@dataclass
class DrillResult:
    """A drill as its record tells it. Seconds by phase; `lost_by`: wal, heartbeat, or last commit
    where the primary did not answer (then it is the most that can be lost)."""

    target: str
    machine: str
    repository: int = 1
    backup: str = ""
    phases: dict[str, float] = field(default_factory=dict)
    checks: list[DrillCheck] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)
    leftovers: list[str] = field(default_factory=list)
    lost_seconds: float | None = None
    lost_by: str | None = None
    last_commit: str | None = None

    @property
    def result(self) -> str:
        sound = not self.failures and bool(self.checks) and all(c.passed for c in self.checks)
        return PROVEN if sound else FAILED

    @property
    def failed(self) -> tuple[str, ...]:
        """What went wrong, one text each."""
        return (*(f"{c.name}: {c.detail}" for c in self.checks if not c.passed), *self.failures)

    def event(self) -> dict[str, Any]:
        """The event of the record. `record.drill_document` makes most of `drill --json` of it."""
        took = {name: round(self.phases[name], 1) for name in PHASES if name in self.phases}
        return {
            "result": self.result,
            "machine": self.machine,
            "repository": self.repository,
            "backup": self.backup or None,
            "target": self.target,
            "last_commit": self.last_commit,
            "lost_seconds": None if self.lost_seconds is None else round(self.lost_seconds, 1),
            "lost_by": self.lost_by,
            "seconds": round(sum(self.phases.values()), 1),
            "phases": took,
            "checks": [
                {"name": check.name, "ok": check.passed, "found": check.detail}
                for check in self.checks
            ],
            "failures": list(self.failures),
            "left": list(self.leftovers),
        }


def check_host(inventory: Inventory, host: str) -> None:
    """Raises InventoryError where the spare host is a node of this cluster."""
    if node := production_node(inventory, host):
        raise _production(inventory, host, node.name)


def check_resolved_address(
    inventory: Inventory, host: str, addresses: Mapping[str, str | None]
) -> None:
    """The same by where names lead, and by where Hetzner's servers are. `addresses`: addresses."""
    resolved = _resolved(host)
    for name, address in addresses.items():
        if (
            name != drill_server_name(inventory.cluster)
            and address
            and resolved & _resolved(address)
        ):
            raise _production(inventory, host, name)


def _resolved(host: str) -> set[str]:
    try:
        return {host, *(str(found[4][0]) for found in socket.getaddrinfo(host, None))}
    except OSError:
        return {host}


def _production(inventory: Inventory, host: str, node: str) -> InventoryError:
    return InventoryError(
        f"{host} is {node}, a production host of {inventory.cluster}",
        done="nothing was changed",
        next="a machine that holds nothing: pgprovision drill --on HOST; without --on, Hetzner"
        " makes one",
    )


def check_possible(inventory: Inventory, host: str | None, repository: int = 1) -> None:
    """Raises InventoryError where there is nothing to restore, or nowhere."""
    if inventory.backup is None or not inventory.backup.archiving:
        raise InventoryError(
            "there are no backups to practise with",
            where=str(inventory.folder / "cluster.yml"),
            next="a backup: that archives, then pgprovision up",
        )
    if repository not in dict(inventory.backup.repositories):
        raise InventoryError(
            f"--repository: there is no repository {repository}",
            next="one of: " + ", ".join(str(n) for n, _ in inventory.backup.repositories),
        )
    if host is None and inventory.hetzner is None:
        raise InventoryError(
            "no machine to restore on: the inventory has no hetzner: that could make one",
            where=str(inventory.folder / "cluster.yml"),
            next="pgprovision drill --on HOST, or backup.drill.host: a machine that holds nothing",
        )


def leftover_server(cloud: ReadOnlyCloud, inventory: Inventory) -> ApiObject | None:
    """The server that a killed drill left, or one of a drill that is under way."""
    servers = Probe("servers")
    for item in cloud.observe((servers,))[servers].items:
        ours = has_cluster_labels(item, inventory.cluster) and DRILL_LABEL in (
            item.get("labels") or {}
        )
        if ours and item["name"] == drill_server_name(inventory.cluster):
            return item
    return None


def check_leftover(item: ApiObject, owner: str) -> None:
    """Raises Locked where it is another controller's: its drill may be under way. One of this
    controller's is over, or this run waits for its turn."""
    creator = str(item["labels"][DRILL_LABEL])
    if creator != owner:
        raise Locked(
            f"server {item['name']} was made for a drill from {creator} at {item['created']}, which"
            " may be under way",
            done="nothing was changed",
            next="wait for its end; where it was killed: pgprovision drill --clean",
        )


def owner_label(host: str) -> str:
    """A controller as a label's value.

    >>> owner("my laptop.")
    'my-laptop'
    """
    return re.sub(r"[^A-Za-z0-9._-]+", "-", host)[:63].strip("-._") or "controller"


def retained_data(inventory: Inventory, node: Node, answer: Answer | None) -> list[str]:
    """Data that stay on a spare host, with the command that removes them."""
    paths = answer.text.split() if answer else []
    return [f"{node.name}: set aside; to remove it: rm -r {path}" for path in paths]


def retained_data_probe(inventory: Inventory) -> Probe:
    return drill_cleanup.set_aside_probe(instance(inventory))


def machine_description(node: Node) -> str:
    """The machine in a few words."""
    if node.address is not None:
        return f"{node.name}, spare host {node.address}"
    return f"{node.name}, a {node.server_type} in {node.location}"


def drill_mail(document: Mapping[str, Any]) -> tuple[str, str]:
    """Subject and text of a mail about a drill that proved nothing. `document`: `drill --json`."""
    failed_checks = [f"{c['name']}: {c['detail']}" for c in document["checks"] if not c["passed"]]
    error = document["error"]["message"] if document["error"] else ""
    lines = [f"The restore of {document['target']} is not proven.", ""]
    lines += [*failed_checks, *document["failures"]] or [error]
    lines += ["", *(f"left: {leftover}" for leftover in document["leftovers"])]
    lines += [f"record: {document['record']}", "next: pgprovision drill show latest"]
    return f"[pgprovision] {document['cluster']}: drill failed", "\n".join(lines) + "\n"
