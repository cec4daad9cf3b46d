"""`backup list` for people."""

from collections.abc import Mapping
from typing import Any

from pgprovision.report.printing import console, print_error, print_line


def show_backups(document: Mapping[str, Any]) -> None:
    """Every repository with its backups, from the same document as its JSON."""
    from rich.table import Table

    for repository in document["repositories"]:
        number, wal = repository["repository"], repository["wal"]
        if repository["trouble"]:
            print_error(f"repository {number}: {repository['trouble']}")
            continue
        running = ", a backup runs now" if repository["running"] else ""
        print_line(f"repository {number}: WAL {wal['first']} to {wal['last']}{running}")
        table = Table(box=None, pad_edge=False)
        for column in ("label", "type", "ended", "size", "in repository", "timeline", "WAL", ""):
            table.add_column(column)
        for backup in repository["backups"]:
            note = "" if backup["of_this_cluster"] else "system identifier differs"
            table.add_row(
                backup["label"],
                backup["type"],
                backup["stop"],
                f"{backup['size'] / 1e6:.1f} MB",
                f"{backup['stored'] / 1e6:.1f} MB",
                str(backup["timeline"]),
                f"{backup['wal']['first']} to {backup['wal']['last']}",
                "PAGE ERRORS" if backup["damaged"] else note,
            )
        console().print(table)
