"""backup list: what there is in the repositories, as one node sees it."""

from typing import Any

from pgprovision import report
from pgprovision.engine.model import Probe
from pgprovision.errors import Unreachable
from pgprovision.inventory.schema.cluster import Inventory
from pgprovision.operations.backups import declared_backup, repository_contents
from pgprovision.resources.pgbackrest import info as pgbackrest
from pgprovision.resources.pgbackrest.info import BackupInfo, StanzaInfo
from pgprovision.run.query import ClusterQuery, Document
from pgprovision.run.targets import Targets


class ListBackups(ClusterQuery[Document]):
    """`backup list`: the primary is asked first, then whoever answers."""

    def check(self, inventory: Inventory) -> None:
        declared_backup(inventory)

    def look_at(self, inventory: Inventory, targets: Targets) -> Document:
        nodes = sorted(inventory.nodes, key=lambda node: not node.is_primary)
        node = next((node for node in nodes if targets.probe_succeeds(node, Probe("true"))), None)
        if node is None:
            raise Unreachable("no node answers", next="pgprovision status")
        contents = repository_contents(inventory, targets, node.name)
        return {
            **report.envelope(cluster=inventory.cluster),
            "stanza": declared_backup(inventory).stanza,
            "node": node.name,
            "repositories": [_repository(number, info) for number, info in contents.items()],
        }

    def show(self, found: Document) -> None:
        report.show_backups(found)

    def exit_code(self, found: Document) -> int:
        unreadable = any(repository["error"] for repository in found["repositories"])
        return Unreachable.exit_code if unreadable else 0


def _repository(number: int, info: StanzaInfo) -> dict[str, Any]:
    return {
        "repository": number,
        "error": info.error or None,
        "system_identifier": info.system_identifier or None,
        "wal": {"first": info.archive.min, "last": info.archive.max},
        "backup_running": info.running,
        "backups": [_backup(backup, info) for backup in info.backups],
    }


def _backup(backup: BackupInfo, info: StanzaInfo) -> dict[str, Any]:
    return {
        "label": backup.label,
        "type": backup.type,
        "start": pgbackrest.iso_time(backup.start),
        "stop": pgbackrest.iso_time(backup.stop),
        "size": backup.database_size,
        "repository_size": backup.repository_size,
        "timeline": backup.timeline,
        "wal": {"first": backup.wal_range[0], "last": backup.wal_range[1]},
        "prior": backup.prior,
        "page_checksum_errors": backup.damaged,
        "matches_system_identifier": backup.system_identifier == info.system_identifier,
    }
