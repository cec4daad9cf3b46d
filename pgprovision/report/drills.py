"""Drills, for people: from the same documents as their JSON."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from pgprovision.report.printing import console, elapsed, say, say_error

NEVER = "never (pgprovision drill practises one)"


def show_drill(document: Mapping[str, Any]) -> None:
    """The end of `drill`: what was proven, how long it took, what failed."""
    say("")
    for check in document["checks"]:
        tell = say if check["ok"] else say_error
        tell(f"{'ok' if check['ok'] else 'FAILED':<7} {check['name']}: {check['found']}")
    for text in document["failures"]:
        say_error(f"FAILED  {text}")
    phases = ", ".join(f"{name} {elapsed(took)}" for name, took in document["phases"].items())
    say(f"\n{document['result']}: {document['backup'] or 'no backup'} to {document['target']}")
    say(f"on {document['machine']}; {lost(document)}")
    say(f"{elapsed(document['seconds'])}: {phases}")
    if document["record"]:
        say(f"record: {document['record']}")


def show_drills(document: Mapping[str, Any]) -> None:
    """`drill list`: one line each."""
    from rich.table import Table
    from rich.text import Text

    if not document["drills"]:
        say(f"no drill yet in {document['folder']}")
        return
    table = Table(box=None, pad_edge=False)
    for column in ("drill", "when", "result", "restored", "lost", "took"):
        table.add_column(column)
    for drill in document["drills"]:
        when = str(drill["at"] or "?")[:19].replace("T", " ")
        took = elapsed(drill["seconds"]) if drill["seconds"] is not None else "-"
        gone = "-" if drill["lost_seconds"] is None else lost(drill)
        words = (drill["id"], when, drill["result"], drill["backup"] or "-", gone, took)
        table.add_row(*map(Text, words))
    console().print(table)


def proven(drill: Mapping[str, Any] | None, now: datetime) -> str:
    """`3 days ago, 14 min, 42 s of data lost`; `never` where there was none."""
    if drill is None:
        return NEVER
    ago = now - datetime.fromisoformat(drill["at"])
    return f"{_span(ago)} ago, {_span(timedelta(seconds=drill['seconds']))}, {lost(drill)}"


def lost(drill: Mapping[str, Any]) -> str:
    """`42 s of data lost`."""
    seconds = drill["lost_seconds"]
    if seconds is None:
        return "data lost not measured"
    most = "at most " if drill["lost_by"] == "last commit" else ""
    return f"{most}{_span(timedelta(seconds=seconds))} of data lost"


def _span(time: timedelta) -> str:
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
