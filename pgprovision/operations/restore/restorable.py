"""What can be restored, as a machine of the cluster sees it: `restore plan`."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pgprovision import report
from pgprovision.engine.model import Answer, Probe
from pgprovision.engine.observe import Target as Machine
from pgprovision.errors import InventoryError, PgprovisionError, Unreachable
from pgprovision.inventory.schema.backup import BackupSpec
from pgprovision.inventory.schema.cluster import Inventory
from pgprovision.recovery_target import NOTHING_CHANGED, RecoveryTarget
from pgprovision.resources.pgbackrest import archive_timelines
from pgprovision.resources.pgbackrest import info as pgbackrest
from pgprovision.resources.pgbackrest.archive_timelines import ArchivedTimeline
from pgprovision.resources.pgbackrest.info import BackupInfo
from pgprovision.resources.pgbackrest.restore_points import (
    PLAN_HINT,
    RestorePlan,
    RestoreWindow,
    plan_restore,
    windows,
)
from pgprovision.run.query import ClusterQuery, Document
from pgprovision.run.targets import Targets
from pgprovision.tasks.paths import instance

NEXT_XID_QUERY = "select pg_snapshot_xmax(pg_current_snapshot())"


@dataclass(frozen=True)
class RestorePlanQuery(ClusterQuery[Document]):
    """`restore plan`: what can be restored, from when to when."""

    def check(self, inventory: Inventory) -> None:
        require_backup(inventory)

    def look_at(self, inventory: Inventory, targets: Targets) -> Document:
        return as_json(inventory.cluster, read_repository_view(inventory, targets))

    def document(self, found: Document) -> Document:
        return found

    def show(self, found: Document) -> None:
        report.show_restore_plan(found)


@dataclass(frozen=True)
class RepositoryView:
    """A repository as the machine `on` reads it. `next_xid`: the first transaction that the
    running server has not given out yet; 0 where none could be asked."""

    on: str
    stanza: str
    backups: tuple[BackupInfo, ...]
    timelines: tuple[ArchivedTimeline, ...]
    next_xid: int = 0

    @property
    def windows(self) -> tuple[RestoreWindow, ...]:
        return windows(self.backups, self.timelines)

    def choose(self, target: RecoveryTarget) -> RestorePlan:
        """What it would begin with. Raises InventoryError, Refused."""
        if target.kind == "xid" and self.next_xid and int(target.value) >= self.next_xid:
            raise InventoryError(
                f"{target} is in the future: the next transaction is {self.next_xid}",
                done=NOTHING_CHANGED,
                next=PLAN_HINT,
            )
        return plan_restore(target, self.backups, self.timelines)


def require_backup(inventory: Inventory) -> BackupSpec:
    """Raises InventoryError where there are none."""
    if inventory.backup is None:
        raise InventoryError(
            "this cluster has no backups",
            where=f"{inventory.folder}/cluster.yml",
            done=NOTHING_CHANGED,
            next="declare backup:, then pgprovision up",
        )
    return inventory.backup


def probes(inventory: Inventory) -> tuple[Probe, Probe, Probe]:
    """The repository and its archive; the running server's next transaction."""
    stanza, node_instance = require_backup(inventory).stanza, instance(inventory)
    query = Probe(f"{node_instance.psql()} <<'PGPROVISION'\n{NEXT_XID_QUERY}\nPGPROVISION")
    return pgbackrest.info_probe(stanza, 1), archive_timelines.archive_probe(stanza), query


def read_repository_view(inventory: Inventory, targets: Mapping[str, Machine]) -> RepositoryView:
    """By the first machine that can read it, members before copies. Raises Unreachable, with
    the message of each."""
    messages = []
    stanza = require_backup(inventory).stanza
    for node in (*inventory.members, *inventory.nodes):
        try:
            answers = targets[node.name].observe(probes(inventory))
        except PgprovisionError as error:
            messages.append(f"{node.name}: {error.what}")
            continue
        if not isinstance(answers, Mapping):
            messages.append(f"{node.name}: there is no machine yet")
            continue
        info, archive, xid = (answers[probe] for probe in probes(inventory))
        contents = pgbackrest.parse(info)
        if contents.error or not contents.system_identifier:
            messages.append(f"{node.name}: {contents.error or f'sees no stanza {stanza}'}")
            continue
        backups = contents.backups_of(contents.system_identifier)
        return RepositoryView(
            node.name, stanza, backups, archive_timelines.parse(archive), _next_xid(xid)
        )
    raise Unreachable(
        "no machine of the cluster can read the repository:\n  "
        + "\n  ".join(dict.fromkeys(messages)),
        done=NOTHING_CHANGED,
        next="where all of them are gone for good, from the repository alone: pgprovision rebuild",
    )


def _next_xid(answer: Answer) -> int:
    text = answer.text.strip()
    return int(text) if answer.code == 0 and text.isdigit() else 0


def as_json(cluster: str, view: RepositoryView) -> dict[str, Any]:
    """`restore plan --json`."""
    return {
        **report.envelope(cluster=cluster),
        "node": view.on,
        "stanza": view.stanza,
        "timelines": [
            {
                "timeline": window.timeline,
                "restorable_from": pgbackrest.iso_time(window.earliest),
                "restorable_until": pgbackrest.iso_time(window.latest),
                "from_lsn": _lsn_text(window.start_lsn),
                "to_lsn": _lsn_text(window.end_lsn),
                "backups": [backup.label for backup in window.backups],
            }
            for window in view.windows
        ],
        "backups": [
            {
                "label": backup.label,
                "type": backup.type,
                "timeline": backup.timeline,
                "stop": pgbackrest.iso_time(backup.stop),
                "lsn": backup.lsn_range[1],
                "size": backup.database_size,
                "repository_size": backup.repository_size,
                "page_checksum_errors": backup.damaged,
            }
            for backup in view.backups
        ],
    }


def _lsn_text(position: int) -> str:
    return f"{position >> 32:X}/{position & 0xFFFFFFFF:X}"
