"""Drills, for people: from the same documents as their JSON."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from pgprovision.report.printing import console, format_duration, print_error, print_line

NEVER = "never (run: pgprovision drill)"


def show_drill(document: Mapping[str, Any]) -> None:
    """The end of `drill`: what was proven, how long it took, what failed."""
    print_line("")
    for check in document["checks"]:
        print_ = print_line if check["passed"] else print_error
        print_(f"{'ok' if check['ok'] else 'FAILED':<7} {check['name']}: {check['detail']}")
    for text in document["failures"]:
        print_error(f"FAILED  {text}")
    phases = ", ".join(
        f"{name} {format_duration(took)}" for name, took in document["phases"].items()
    )
    print_line(
        f"\n{document['result']}: {document['backup'] or 'no backup'} to {document['target']}"
    )
    print_line(f"on {document['machine']}; {data_loss(document)}")
    print_line(f"{format_duration(document['seconds'])}: {phases}")
    if document["record"]:
        print_line(f"record: {document['record']}")


def show_drills(document: Mapping[str, Any]) -> None:
    """`drill list`: one line each."""
    from rich.table import Table
    from rich.text import Text

    if not document["drills"]:
        print_line(f"no drill yet in {document['folder']}")
        return
    table = Table(box=None, pad_edge=False)
    for column in ("drill", "started", "result", "backup", "data loss", "duration"):
        table.add_column(column)
    for drill in document["drills"]:
        when = str(drill["started_at"] or "?")[:19].replace("T", " ")
        took = format_duration(drill["seconds"]) if drill["seconds"] is not None else "-"
        loss = "-" if drill["data_loss_seconds"] is None else data_loss(drill)
        cells = (drill["id"], when, drill["result"], drill["backup"] or "-", loss, took)
        table.add_row(*map(Text, cells))
    console().print(table)


def last_proven_restore(drill: Mapping[str, Any] | None, now: datetime) -> str:
    """`3 days ago, 14 min, 42 s of data lost`; `never` where there was none."""
    if drill is None:
        return NEVER
    ago = now - datetime.fromisoformat(drill["started_at"])
    took = timedelta(seconds=drill["seconds"])
    return f"{_rounded_duration(ago)} ago, {_rounded_duration(took)}, {data_loss(drill)}"


def data_loss(drill: Mapping[str, Any]) -> str:
    """`42 s of data lost`."""
    seconds = drill["data_loss_seconds"]
    if seconds is None:
        return "data lost not measured"
    prefix = "at most " if drill["data_loss_measured_by"] == "last commit" else ""
    return f"{prefix}{_rounded_duration(timedelta(seconds=seconds))} of data lost"


def _rounded_duration(time: timedelta) -> str:
    """The largest unit that fits.

    >>> _span(timedelta(seconds=42.4)), _span(timedelta(minutes=14)), _span(timedelta(days=3))
    ('42 s', '14 min', '3 days')
    """
    seconds = max(0, round(time.total_seconds()))
    if seconds < 120:
        return f"{seconds} s"
    if seconds < 7200:
        return f"{seconds // 60} min"
    if seconds < 2 * 86400:
        return f"{seconds // 3600} hours"
    return f"{seconds // 86400} days"
