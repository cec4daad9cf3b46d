"""The end of a verb: for people, for programs, and as an exit code."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from pgprovision.engine.model import Change, Impact, Report, State
from pgprovision.report.changes import show_changes
from pgprovision.report.drills import proven
from pgprovision.report.printing import console, elapsed, say, say_aside, say_error

JSON_VERSION = 1


def as_json(change: Change) -> dict[str, Any]:
    """A change as version 1 of the JSON output has it, secrets masked."""
    return {
        "on": change.resource.on,
        "kind": change.resource.kind,
        "name": change.resource.name,
        "impact": change.impact.name.lower(),
        "keys": list(change.keys),
        "before": change.shown.before,
        "after": change.shown.after,
    }


def document(
    command: str,
    cluster: str,
    report: Report,
    *,
    changes: Sequence[Change],
    record: str | None,
    failure: Exception | None = None,
    offers: Sequence[State] = (),
) -> dict[str, Any]:
    """The answer of plan, drift and up: see docs/json.md. `failure` is what ended the run."""
    failed = [*report.failed.items(), *([("run", failure)] if failure else [])]
    return {
        "version": JSON_VERSION,
        "command": command,
        "cluster": cluster,
        "changes": [as_json(c) for c in changes],
        "left": [as_json(c) for c in report.left],
        "waiting": [
            {"on": r.on, "kind": r.kind, "name": r.name, "reason": w.reason}
            for r, w in report.waiting
        ],
        "remarks": [
            {"on": r.on, "kind": r.kind, "name": r.name, "text": text} for r, text in report.remarks
        ],
        "failed": [{"on": on, "error": type(e).__name__, "message": str(e)} for on, e in failed],
        "skipped": list(report.skipped),
        "offers": list(offers),
        "trips": dict(report.trips),
        "api_calls": report.api_calls,
        "seconds": round(report.seconds, 3),
        "record": record,
    }


def exit_code(outcome: Report) -> int:
    """0 nothing differs, 1 something does, 5 (or the error's own) where a host failed."""
    codes = [getattr(error, "exit_code", 5) for error in outcome.failed.values()]
    return max(codes) if codes else 1 if outcome.left or outcome.waiting else 0


def show_left(outcome: Report) -> None:
    """What still differs."""
    if outcome.left:
        say("\nleft:")
        show_changes(outcome.left)


def show_outcome(outcome: Report, record: str | None) -> None:
    """The end of `up`: what changed, what is left, where the record is."""
    show_left(outcome)
    _show_under_way(outcome)
    _show_remarks(outcome)
    _show_failed(outcome)
    trips = ", ".join(f"{on} {n}" for on, n in outcome.trips.items())
    say(f"\n{len(outcome.changed)} changed in {elapsed(outcome.seconds)}; trips: {trips}")
    say(f"record: {record}")


def show_looked(outcome: Report) -> None:
    """The end of a run that changed nothing: what differs, or that nothing does."""
    show_changes(outcome.left)
    _show_under_way(outcome)
    _show_failed(outcome)
    for text in outcome.skipped:
        say_error(f"skipped: {text}")
    worst = max((c.impact for c in outcome.left), default=Impact.NONE)
    impact = "" if worst is Impact.NONE else f", at worst a {worst.name.lower()}"
    differs = f"{len(outcome.left)} differ{impact}" if outcome.left else "nothing differs"
    notes = f"; {len(outcome.remarks)} notes in status" if outcome.remarks else ""
    say(f"{differs} ({elapsed(outcome.seconds)}{notes})")


def _show_under_way(outcome: Report) -> None:
    for resource, waiting in outcome.waiting:
        say(f"{resource.on}: {resource}: under way: {waiting.reason}")


def _show_remarks(outcome: Report) -> None:
    hosts: dict[str, list[str]] = {}
    for resource, text in outcome.remarks:
        hosts.setdefault(text, []).append(resource.on)
    for text, on in hosts.items():
        say_aside(f"note: {', '.join(on)}: {text}")


def _show_failed(outcome: Report) -> None:
    for error in outcome.failed.values():
        say_error(str(error))


def show_status(cluster: str, found: Mapping[str, Any]) -> None:
    """`status` for people, from the same document as its JSON."""
    from rich.table import Table

    table = Table(title=f"cluster {cluster}", title_justify="left", box=None, pad_edge=False)
    for column in ("node", "role", "address", "private", "version", "timeline"):
        table.add_column(column)
    for column in ("lag", "slot", "drift"):
        table.add_column(column)
    for node in found["nodes"]:
        lag = "-"
        if node["lag_bytes"] is not None:
            lag = f"{node['lag_bytes']} B, {node['lag_seconds']:.1f} s"
        table.add_row(
            node["name"],
            node["role"] if node["reachable"] else f"{node['role']} (not reachable)",
            node["address"] or "-",
            node["private_ip"],
            node["version"] or "-",
            str(node["timeline"] or "-"),
            lag,
            node["slot"] or "-",
            f"{len(node['differs'])} differ" if node["differs"] else "none",
        )
    out = console()
    out.print(table)
    for backup in found["backups"][-3:]:
        size = f"{backup['size'] / 1e6:.1f} MB"
        which = f"repository {backup['repository']}"
        say(f"backup  {backup['label']}  {backup['type']}  ended {backup['stop']}  {size}  {which}")
    if not found["backups"]:
        say("backup  none")
    failing = {True: ", the last attempt FAILED", False: "", None: ", unknown"}
    say(f"archive last WAL {found['archive']['last']}{failing[found['archive']['failing']]}")
    if found["archive"]["alarm"]:
        say_error(f"archive {found['archive']['alarm']}")
    say(f"last proven restore: {proven(found['last_drill'], datetime.now(UTC))}")
    for node in found["nodes"]:
        for text in node["differs"]:
            say(f"drift   {node['name']}: {text}")
    for node in found["nodes"]:
        for text in node["remarks"]:
            say_aside(f"note    {node['name']}: {text}")
    for text in found["troubles"]:
        say_error(text)
