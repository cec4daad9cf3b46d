"""What can be restored, as a machine of the cluster sees it: `restore plan`."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pgprovision.engine.model import Answer, Ask
from pgprovision.engine.observe import Target as Machine
from pgprovision.errors import InventoryError, PgprovisionError, Unreachable
from pgprovision.inventory.schema.backup import Backup as Wish
from pgprovision.inventory.schema.cluster import Inventory
from pgprovision.recovery_target import UNTOUCHED, Target
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
