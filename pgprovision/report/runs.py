"""Records of runs, for people: from the same documents as their JSON."""

from collections.abc import Mapping
from typing import Any

from pgprovision.report.printing import console, format_duration, print_error, print_line


def show_runs(document: Mapping[str, Any]) -> None:
    """`runs`: one line each."""
    from rich.table import Table
    from rich.text import Text

    if not document["runs"]:
        print_line(f"no records yet in {document['folder']}")
        return
    table = Table(box=None, pad_edge=False)
    for column in ("run", "started", "user", "command", "result", "changes", "duration"):
        table.add_column(column)
    for run in document["runs"]:
        seconds = run["seconds"]
        took = format_duration(seconds) if isinstance(seconds, int | float) else "-"
        when = str(run["started_at"] or "?")[:19].replace("T", " ")
        cells = (run["id"], when, run["user"], run["command"], run["result"], run["changes"], took)
        table.add_row(*(Text("?" if word is None else str(word)) for word in cells))
    console().print(table)


def show_verification(document: Mapping[str, Any]) -> None:
    """`runs verify`: what is not sound is an error."""
    for run in document["runs"]:
        print_ = print_line if run["valid"] else print_error
        print_(f"{run['id']}  {run['state']}{': ' + run['detail'] if run['detail'] else ''}")
    if not document["runs"]:
        print_line(f"no records yet in {document['folder']}")
    elif document["valid"]:
        print_line(f"{len(document['runs'])} runs, all records are intact")
    else:
        broken = sum(not run["valid"] for run in document["runs"])
        print_error(f"records are not intact: {broken} of {len(document['runs'])}")
