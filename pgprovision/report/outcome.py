"""The end of a verb: for people, for programs, and as an exit code."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from pgprovision.engine.model import Change, Impact, Report, State
from pgprovision.report.changes import show_changes
from pgprovision.report.document import envelope
from pgprovision.report.drills import last_proven_restore
from pgprovision.report.printing import (
    console,
    format_duration,
    print_error,
    print_line,
    print_note,
)


def change_as_json(change: Change) -> dict[str, Any]:
    """A change as the JSON output has it, secrets masked."""
    return {
        "target": change.resource.on,
        "kind": change.resource.kind,
        "name": change.resource.name,
        "impact": change.impact.name.lower(),
        "differing_keys": list(change.keys),
        "before": change.redacted.before,
        "after": change.redacted.after,
    }


def run_document(
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
        **envelope(command=command, cluster=cluster),
        "changes": [change_as_json(c) for c in changes],
        "remaining": [change_as_json(c) for c in report.remaining],
        "in_progress": [
            {"target": r.on, "kind": r.kind, "name": r.name, "reason": w.reason}
            for r, w in report.waiting
        ],
        "notes": [
            {"target": r.on, "kind": r.kind, "name": r.name, "text": text}
            for r, text in report.notes
        ],
        "failed": [{"target": on, "type": type(e).__name__, "message": str(e)} for on, e in failed],
        "skipped": list(report.skipped),
        "server_offers": list(offers),
        "ssh_execs": dict(report.round_trips),
        "api_calls": report.api_calls,
        "seconds": round(report.seconds, 3),
        "record": record,
    }


def exit_code(outcome: Report) -> int:
    """0 nothing differs, 1 something does, 5 (or the error's own) where a host failed."""
    codes = [getattr(error, "exit_code", 5) for error in outcome.failed.values()]
    return max(codes) if codes else 1 if outcome.remaining or outcome.waiting else 0


def show_remaining(outcome: Report) -> None:
    """What still differs."""
    if outcome.remaining:
        print_line("\nremaining differences:")
        show_changes(outcome.remaining)


def show_outcome(outcome: Report, record: str | None) -> None:
    """The end of `up`: what changed, what is left, where the record is."""
    show_remaining(outcome)
    _show_under_way(outcome)
    _show_notes(outcome)
    _show_failed(outcome)
    trips = ", ".join(f"{on} {n}" for on, n in outcome.round_trips.items())
    print_line(
        f"\n{len(outcome.changed)} changed in {format_duration(outcome.seconds)};"
        f" SSH execs: {trips}"
    )
    print_line(f"record: {record}")


def show_differences(outcome: Report) -> None:
    """The end of a run that changed nothing: what differs, or that nothing does."""
    show_changes(outcome.remaining)
    _show_under_way(outcome)
    _show_failed(outcome)
    for text in outcome.skipped:
        print_error(f"skipped: {text}")
    worst = max((c.impact for c in outcome.remaining), default=Impact.NONE)
    impact = "" if worst is Impact.NONE else f", at worst a {worst.name.lower()}"
    differs = f"{len(outcome.remaining)} differ{impact}" if outcome.remaining else "nothing differs"
    notes = f"; {len(outcome.notes)} notes in status" if outcome.notes else ""
    print_line(f"{differs} ({format_duration(outcome.seconds)}{notes})")


def _show_under_way(outcome: Report) -> None:
    for resource, waiting in outcome.waiting:
        print_line(f"{resource.on}: {resource}: in progress: {waiting.reason}")


def _show_notes(outcome: Report) -> None:
    hosts: dict[str, list[str]] = {}
    for resource, text in outcome.notes:
        hosts.setdefault(text, []).append(resource.on)
    for text, on in hosts.items():
        print_note(f"note: {', '.join(on)}: {text}")


def _show_failed(outcome: Report) -> None:
    for error in outcome.failed.values():
        print_error(str(error))


def show_status(document: Mapping[str, Any]) -> None:
    """`status` for people, from the same document as its JSON."""
    from rich.table import Table

    table = Table(
        title=f"cluster {document['cluster']}", title_justify="left", box=None, pad_edge=False
    )
    for column in ("node", "role", "address", "private", "version", "timeline"):
        table.add_column(column)
    for column in ("lag", "slot WAL status", "drift"):
        table.add_column(column)
    for node in document["nodes"]:
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
            node["slot_wal_status"] or "-",
            f"{len(node['drift'])} differ" if node["drift"] else "none",
        )
    out = console()
    out.print(table)
    for backup in document["backups"][-3:]:
        size = f"{backup['size'] / 1e6:.1f} MB"
        which = f"repository {backup['repository']}"
        print_line(
            f"backup  {backup['label']}  {backup['type']}  ended {backup['stop']}  {size}  {which}"
        )
    if not document["backups"]:
        print_line("backup  none")
    failing = {True: ", the last attempt FAILED", False: "", None: ", unknown"}
    archive, drill = document["archive"], document["last_proven_drill"]
    print_line(f"WAL archive: last segment {archive['last_segment']}{failing[archive['failing']]}")
    if archive["alarm"]:
        print_error(f"archive {archive['alarm']}")
    print_line(f"last proven restore: {last_proven_restore(drill, datetime.now(UTC))}")
    for node in document["nodes"]:
        for text in node["drift"]:
            print_line(f"drift   {node['name']}: {text}")
    for node in document["nodes"]:
        for text in node["notes"]:
            print_note(f"note    {node['name']}: {text}")
    for text in document["problems"]:
        print_error(text)
