"""What can be restored, and how a restore went, for people."""

from collections.abc import Mapping
from typing import Any

from pgprovision.report.printing import console, format_duration, print_error, print_line


def show_restore_plan(document: Mapping[str, Any]) -> None:
    """`restore plan`."""
    from rich.table import Table

    for line in document["timelines"]:
        print_line(
            f"timeline {line['timeline']}: from {line['restorable_from']}"
            f" to {line['restorable_until']} ({line['from_lsn']} to {line['to_lsn']})"
        )
    if not document["timelines"]:
        print_error(f"no restorable backup in stanza {document['stanza']}")
    table = Table(box=None, pad_edge=False)
    for column in ("backup", "type", "timeline", "ended", "database size", "repository size", ""):
        table.add_column(column)
    for backup in document["backups"]:
        sizes = (f"{backup[key] / 1e6:.1f} MB" for key in ("size", "repository_size"))
        cells = (backup["label"], backup["type"], str(backup["timeline"]), backup["stop"])
        table.add_row(*cells, *sizes, "page errors" if backup["page_checksum_errors"] else "")
    console().print(table)


def show_restore_result(node: str, result: Mapping[str, Any]) -> None:
    """The end of a restore."""
    last = result["last_transaction"]
    print_line(
        f"\n{node}: restored from backup {result['backup']} to {result['target']}: timeline"
        f" {result['timeline']}, {result['lsn']}" + (f", last transaction {last}" if last else "")
    )
    if result["target_after_last_transaction"]:
        print_line(
            f"{result['target']} is later than the last transaction in the repository: what was"
            " committed between the two, if anything, had not been archived"
        )
    restore_time, recovery_time = (
        format_duration(result[f"{w}_seconds"]) for w in ("restore", "recovery")
    )
    print_line(f"restore {restore_time}, recovery {recovery_time}")


def show_rebuild(document: Mapping[str, Any]) -> None:
    """What a rebuild cost."""
    lost, phases = document["data_loss"], document["phases"]
    print_line(f"data loss: everything committed after {lost['committed_after'] or 'the backup'}")
    print_line(f"the newest WAL in the repository was archived at {lost['newest_wal']}")
    print_line(", ".join(f"{name} {format_duration(seconds)}" for name, seconds in phases.items()))
