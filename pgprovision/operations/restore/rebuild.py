"""A cluster of which nothing is left but the inventory, its secrets and the repository.

The primary comes back as the newest backup and all the WAL after it have it, on a new timeline of
the same history. Refused while any of the cluster's nodes still has its data: those are newer.
"""

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime

from pgprovision import tasks
from pgprovision.engine.model import Resource, Tier
from pgprovision.engine.observe import Target as Machine
from pgprovision.errors import PgprovisionError, Refused
from pgprovision.inventory.schema.cluster import Inventory, Node
from pgprovision.recovery_target import END, UNTOUCHED
from pgprovision.resources.hetzner.node_registry import KnownNodes
from pgprovision.resources.node import identity
from pgprovision.tasks.paths import instance

PHASES: Mapping[str, str] = {  # of tiers by their titles; what is not here is the rest
    "host keys": "machine",
    "cloud": "machine",
    "first boot": "machine",
    "claim": "machine",
    "host keys of their own": "machine",
    "upgrades": "packages",
    "package repository": "packages",
    "packages": "packages",
    "restored data": "data",
}


def check(inventory: Inventory, machines: Mapping[str, Machine]) -> tuple[str, ...]:
    """Raises Refused where a node still has data, Unreachable where the primary's machine is there
    and does not answer. Returns what could not be asked."""
    silent = []
    for node in inventory.members:
        try:
            _check(inventory, node, machines[node.name])
        except Refused:
            raise
        except PgprovisionError as error:
            if node.is_primary:
                raise
            silent.append(f"{node.name} does not answer: {error.what}")
    return tuple(silent)


def _check(inventory: Inventory, node: Node, machine: Machine) -> None:
    ask = identity.look(instance(inventory))
    seen = machine.look((ask,))
    if not isinstance(seen, Mapping):
        return
    found = identity.parse(seen[ask])
    if found.marker is None and (found.making or not found.data):
        return
    role = "the primary" if node.is_primary else "a replica"
    raise Refused(
        f"{node.name} answers and has its data: the cluster is not gone",
        where=node.name,
        done=UNTOUCHED,
        next=f"pgprovision status shows how {role} is; to put an older state in its place:"
        f" pgprovision restore --onto {inventory.primary.name}",
    )


def tiers(inventory: Inventory, now: datetime) -> tuple[Tier, ...]:
    """Everything the primary should be, its data from the backups."""
    primary = inventory.primary
    whole = tasks.tiers(inventory, (primary,), now, targets={primary.name: END})

    def rebuilt(wish: Resource) -> Resource:
        return replace(wish, rebuilt=True) if isinstance(wish, KnownNodes) else wish

    return tuple(Tier(tier.title, tuple(map(rebuilt, tier.resources))) for tier in whole)


def figures(restored: object, seconds: Mapping[str, float], began: datetime) -> dict[str, object]:
    """What was lost and how long it took, for `rebuild --json`. `seconds` since the last
    transaction that came back: nothing tells when the old primary took its last one."""
    account = dict(restored) if isinstance(restored, Mapping) else {}
    data = seconds.get("data", 0.0)
    copied, replayed = (float(account.get(f"{w}_seconds", 0.0)) for w in ("restore", "recovery"))
    phases = {name: value for name, value in seconds.items() if name != "data"}
    phases |= {"restore": copied, "recovery": replayed}
    phases["rest"] = round(phases.get("rest", 0.0) + max(0.0, data - copied - replayed), 3)
    last = str(account.get("last_transaction", ""))
    since = (began - datetime.fromisoformat(last)).total_seconds() if last else None
    lost = {"after": last or None, "newest_wal": account.get("newest_wal"), "seconds": since}
    return {"lost": lost, "phases": phases}
