"""What can be restored, as a machine of the cluster sees it, and restores of it.

To a new node, which is a copy and no part of the cluster; or onto a node of ours, whose data are
renamed aside. Of the primary that is the cluster's next history: its replicas are cloned again in
the same run, as what they hold is of a future that did not happen.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from pgprovision import tasks
from pgprovision.engine.model import Answer, Ask, Resource, Tier
from pgprovision.engine.observe import Target as Machine
from pgprovision.errors import InventoryError, PgprovisionError, Refused, Unreachable
from pgprovision.inventory.schema.backup import Backup as Wish
from pgprovision.inventory.schema.cluster import Inventory, Node
from pgprovision.operations import reclone
from pgprovision.operations.reclone import Former
from pgprovision.recovery_target import UNTOUCHED, Target
from pgprovision.resources.data_directory.restore import Restored
from pgprovision.resources.pgbackrest import archive_timelines
from pgprovision.resources.pgbackrest import info as pgbackrest
from pgprovision.resources.pgbackrest.archive_timelines import Timeline
from pgprovision.resources.pgbackrest.info import Backup
from pgprovision.resources.pgbackrest.restore_points import PLAN, Choice, Window, choose, windows
from pgprovision.tasks.paths import instance

NEXT_XID = "select pg_snapshot_xmax(pg_current_snapshot())"


@dataclass(frozen=True)
class Sight:
    """A repository as the machine `on` reads it. `next_xid`: the first transaction that the
    running server has not given out yet; 0 where none could be asked."""

    on: str
    stanza: str
    backups: tuple[Backup, ...]
    timelines: tuple[Timeline, ...]
    next_xid: int = 0

    @property
    def windows(self) -> tuple[Window, ...]:
        return windows(self.backups, self.timelines)

    def check(self, target: Target) -> Choice:
        """What it would begin with. Raises InventoryError, Refused."""
        if target.kind == "xid" and self.next_xid and int(target.value) >= self.next_xid:
            raise InventoryError(
                f"{target} lies in the future: the next transaction is {self.next_xid}",
                done=UNTOUCHED,
                next=PLAN,
            )
        return choose(target, self.backups, self.timelines)


def backups_of(inventory: Inventory) -> Wish:
    """Raises InventoryError where there are none."""
    if inventory.backup is None:
        raise InventoryError(
            "this cluster has no backups",
            where=f"{inventory.folder}/cluster.yml",
            done=UNTOUCHED,
            next="declare backup:, then pgprovision up",
        )
    return inventory.backup


def asks(inventory: Inventory) -> tuple[Ask, Ask, Ask]:
    """The repository and its archive; the running server's next transaction."""
    stanza, here = backups_of(inventory).stanza, instance(inventory)
    query = Ask(f"{here.psql()} <<'PGPROVISION'\n{NEXT_XID}\nPGPROVISION")
    return pgbackrest.info(stanza, 1), archive_timelines.look(stanza), query


def see(inventory: Inventory, machines: Mapping[str, Machine]) -> Sight:
    """By the first machine that can read it, members before copies. Raises Unreachable, with what
    each of them said."""
    said = []
    stanza = backups_of(inventory).stanza
    for node in (*inventory.members, *inventory.nodes):
        try:
            seen = machines[node.name].look(asks(inventory))
        except PgprovisionError as error:
            said.append(f"{node.name}: {error.what}")
            continue
        if not isinstance(seen, Mapping):
            said.append(f"{node.name}: there is no machine yet")
            continue
        info, archive, xid = (seen[ask] for ask in asks(inventory))
        held = pgbackrest.parse(info)
        if held.trouble or not held.system_identifier:
            said.append(f"{node.name}: {held.trouble or f'sees no stanza {stanza}'}")
            continue
        backups = held.of_system(held.system_identifier)
        return Sight(node.name, stanza, backups, archive_timelines.parse(archive), _number(xid))
    raise Unreachable(
        "no machine of the cluster can read the repository:\n  " + "\n  ".join(dict.fromkeys(said)),
        done=UNTOUCHED,
        next="where all of them are gone for good, from the repository alone: pgprovision rebuild",
    )


def _number(answer: Answer) -> int:
    text = answer.text.strip()
    return int(text) if answer.code == 0 and text.isdigit() else 0


def onto(inventory: Inventory, name: str) -> Node:
    """The node whose data are to be replaced. Raises InventoryError, Refused."""
    node = next((node for node in inventory.nodes if node.name == name), None)
    if node is None:
        names = ", ".join(node.name for node in inventory.nodes)
        raise InventoryError(f"no node is called {name!r}", done=UNTOUCHED, next=f"one of: {names}")
    if node.role == "replica":
        raise Refused(
            f"{name} is a replica: its data are its primary's",
            done=UNTOUCHED,
            next=f"for the same data anew: pgprovision re-clone {name}; for an older state beside"
            " the cluster: pgprovision restore --to NEW-NAME",
        )
    return node


def tiers(
    inventory: Inventory,
    node: Node,
    target: Target,
    formers: Mapping[str, Former],
    now: datetime,
) -> tuple[Tier, ...]:
    """The node with the data of `target`, the ones it has now counted as absent; for the primary,
    its replicas cloned again."""
    nodes = inventory.members if node.is_primary else (node,)
    whole = tasks.tiers(inventory, nodes, now, targets={node.name: target})
    former = formers[node.name].inode

    def anew(wish: Resource) -> Resource:
        if isinstance(wish, Restored) and wish.on == node.name:
            return replace(wish, former=former)
        return wish

    whole = tuple(
        Tier(tier.title, tuple(map(anew, tier.resources)))
        for tier in whole
        if tier.title != tasks.CONFIGURATION_DIRECTORY  # finished nodes have theirs
    )
    for other in nodes:
        whole = reclone.remade(whole, other, formers[other.name])
    return whole


def look(inventory: Inventory, machines: Mapping[str, Machine], node: Node) -> dict[str, Former]:
    """The data directories that are to be made anew. Raises Unreachable: all have to answer."""
    ask = reclone.look(instance(inventory))
    found = {}
    for other in inventory.members if node.is_primary else (node,):
        seen = machines[other.name].look((ask,))
        found[other.name] = reclone.read(seen[ask]) if isinstance(seen, Mapping) else Former()
    return found


def as_json(cluster: str, sight: Sight) -> dict[str, Any]:
    """Version 1 of `restore plan --json`."""
    return {
        "version": 1,
        "cluster": cluster,
        "read_on": sight.on,
        "stanza": sight.stanza,
        "timelines": [
            {
                "timeline": window.timeline,
                "from": pgbackrest.moment(window.first),
                "to": pgbackrest.moment(window.last),
                "from_lsn": _lsn(window.start),
                "to_lsn": _lsn(window.end),
                "backups": [backup.label for backup in window.backups],
            }
            for window in sight.windows
        ],
        "backups": [
            {
                "label": backup.label,
                "type": backup.type,
                "timeline": backup.timeline,
                "stop": pgbackrest.moment(backup.stop),
                "lsn": backup.lsn[1],
                "size": backup.size,
                "stored": backup.stored,
                "damaged": backup.damaged,
            }
            for backup in sight.backups
        ],
    }


def _lsn(place: int) -> str:
    return f"{place >> 32:X}/{place & 0xFFFFFFFF:X}"
