"""What can be restored, and how a restore went, for people."""

from collections.abc import Mapping
from typing import Any

from pgprovision.report.printing import console, elapsed, say, say_error


def show_restorable(document: Mapping[str, Any]) -> None:
    """`restore plan`."""
    from rich.table import Table

    for line in document["timelines"]:
        say(
            f"timeline {line['timeline']}: from {line['from']} to {line['to']}"
            f" ({line['from_lsn']} to {line['to_lsn']})"
        )
    if not document["timelines"]:
        say_error(f"nothing can be restored from stanza {document['stanza']}")
    table = Table(box=None, pad_edge=False)
    for column in ("backup", "type", "timeline", "ended", "database", "stored", ""):
        table.add_column(column)
    for backup in document["backups"]:
        sizes = (f"{backup[key] / 1e6:.1f} MB" for key in ("size", "stored"))
        words = (backup["label"], backup["type"], str(backup["timeline"]), backup["stop"])
        table.add_row(*words, *sizes, "page errors" if backup["damaged"] else "")
    console().print(table)


def show_account(node: str, account: Mapping[str, Any]) -> None:
    """The end of a restore."""
    last = account["last_transaction"]
    say(
        f"\n{node}: restored from backup {account['backup']} to {account['target']}: timeline"
        f" {account['timeline']}, {account['lsn']}" + (f", last transaction {last}" if last else "")
    )
    if account["beyond"]:
        say(
            f"{account['target']} lies after the last transaction in the repository: what was"
            " committed between the two, if anything, had not been archived"
        )
    copied, replayed = (elapsed(account[f"{w}_seconds"]) for w in ("restore", "recovery"))
    say(f"restore {copied}, recovery {replayed}")


def show_rebuilt(document: Mapping[str, Any]) -> None:
    """What a rebuild cost."""
    lost, phases = document["lost"], document["phases"]
    say(f"lost: what was committed after {lost['after'] or 'the backup'}")
    say(f"the newest WAL in the repository had arrived at {lost['newest_wal']}")
    say(", ".join(f"{name} {elapsed(seconds)}" for name, seconds in phases.items()))
