"""Everything a person or a program reads. The only module that prints."""

import difflib
import json
import sys
import threading
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TextIO

from pgprovision.model import Change, Do, Impact, Report, Resource, Value, Waiting

if TYPE_CHECKING:
    from rich.console import Console

JSON_VERSION = 1
DIFF_LINES = 40
_SIGNS = {"create": "+", "remove": "-", "change": "~"}
_STYLES = {Impact.RELOAD: "yellow", Impact.RESTART: "bold red", Impact.DESTROY: "bold red"}


def console(stream: TextIO | None = None) -> "Console":
    """Colours and width as the terminal has them; none in a pipe or with NO_COLOR."""
    from rich.console import Console

    stream = stream or sys.stdout
    width = None if stream.isatty() else 10_000
    return Console(file=stream, highlight=False, soft_wrap=True, width=width)


def say(text: str) -> None:
    """One plain line for people."""
    console().print(text, markup=False)


def say_aside(text: str) -> None:
    """A line for people that is not the answer."""
    console(sys.stderr).print(text, markup=False, style="dim")


def say_error(text: str) -> None:
    console(sys.stderr).print(text, markup=False, style="red")


def emit(document: Mapping[str, Any]) -> None:
    """A JSON document, alone on stdout."""
    sys.stdout.write(json.dumps(document, indent=2, ensure_ascii=False) + "\n")


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
    planned: Sequence[Change],
    record: str | None,
) -> dict[str, Any]:
    """The answer of plan, drift and up: see docs/json.md."""
    return {
        "version": JSON_VERSION,
        "command": command,
        "cluster": cluster,
        "changes": [as_json(c) for c in planned],
        "left": [as_json(c) for c in report.left],
        "waiting": [
            {"on": r.on, "kind": r.kind, "name": r.name, "reason": w.reason}
            for r, w in report.waiting
        ],
        "failed": [
            {"on": on, "error": type(e).__name__, "message": str(e)}
            for on, e in report.failed.items()
        ],
        "trips": dict(report.trips),
        "api_calls": report.api_calls,
        "seconds": round(report.seconds, 3),
        "record": record,
    }


def show_changes(changes: Iterable[Change], stream: TextIO | None = None) -> None:
    """The plan: per target what is created, changed, removed, with before and after."""
    out = console(stream)
    target = None
    for change in changes:
        if change.resource.on != target:
            target = change.resource.on
            out.print(f"\n{target}", markup=False, style="bold")
        style = _STYLES.get(change.impact, "")
        impact = "" if change.impact is Impact.NONE else f"  [{change.impact.name.lower()}]"
        note = "" if change.actions else "  (reported: nothing can be done about it from here)"
        out.print(
            f"  {_SIGNS[_verb(change)]} {change.resource}{impact}{note}", markup=False, style=style
        )
        if change.diff.before is not None:
            for line in _details(change):
                out.print(f"      {line}", markup=False)


def _verb(change: Change) -> str:
    if change.diff.before is None:
        return "create"
    return "remove" if change.diff.after is None else "change"


def _details(change: Change) -> Iterable[str]:
    before, after = change.shown.before, change.shown.after
    for key in change.diff.keys:
        old, new = (before or {}).get(key), (after or {}).get(key)
        if isinstance(old, str) and isinstance(new, str) and ("\n" in old or "\n" in new):
            lines = list(difflib.unified_diff(old.splitlines(), new.splitlines(), n=0, lineterm=""))
            yield f"{key}:"
            yield from (f"  {line}" for line in lines[2 : DIFF_LINES + 2] if line[:2] != "@@")
            if len(lines) > DIFF_LINES + 2:
                yield f"  ... {len(lines) - DIFF_LINES - 2} more lines"
        else:
            yield f"{key}: {_show(old)} -> {_show(new)}"


def _show(value: Value) -> str:
    return "(absent)" if value is None else json.dumps(value, ensure_ascii=False)


def exit_code(outcome: Report) -> int:
    """0 nothing differs, 1 something does, 5 (or the error's own) where a host failed."""
    codes = [getattr(error, "exit_code", 5) for error in outcome.failed.values()]
    return max(codes) if codes else 1 if outcome.left or outcome.waiting else 0


def show_outcome(outcome: Report, record: str | None) -> None:
    """The end of `up`: what changed, what is left, where the record is."""
    if outcome.left:
        say("\nleft:")
        show_changes(outcome.left)
    _show_failed(outcome)
    trips = ", ".join(f"{on} {n}" for on, n in outcome.trips.items())
    if outcome.changed:
        say(f"\n{len(outcome.changed)} changed in {elapsed(outcome.seconds)}; trips: {trips}")
    else:
        say(f"nothing differs ({elapsed(outcome.seconds)}; trips: {trips})")
    if record:
        say(f"record: {record}")


def show_looked(outcome: Report) -> None:
    """The end of `plan` and `drift`."""
    for resource, waiting in outcome.waiting:
        say(f"{resource.on}: {resource}: under way: {waiting.reason}")
    _show_failed(outcome)
    worst = max((c.impact for c in outcome.left), default=Impact.NONE)
    impact = "" if worst is Impact.NONE else f", at worst a {worst.name.lower()}"
    differs = f"{len(outcome.left)} differ{impact}" if outcome.left else "nothing differs"
    say(f"{differs} ({elapsed(outcome.seconds)})")


def show_status(cluster: str, found: Mapping[str, Any]) -> None:
    """`status` for people, from the same document as its JSON."""
    from rich.table import Table

    table = Table(title=f"cluster {cluster}", title_justify="left", box=None, pad_edge=False)
    for column in ("node", "role", "address", "private", "version", "lag", "slot", "drift"):
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
            lag,
            node["slot"] or "-",
            f"{len(node['differs'])} differ" if node["differs"] else "none",
        )
    out = console()
    out.print(table)
    for backup in found["backups"][-3:]:
        size = f"{backup['size'] / 1e6:.1f} MB"
        say(f"backup  {backup['label']}  {backup['type']}  ended {backup['stop']}  {size}")
    if not found["backups"]:
        say("backup  none")
    failing = {True: ", the last attempt FAILED", False: "", None: ", unknown"}
    say(f"archive last WAL {found['archive']['last']}{failing[found['archive']['failing']]}")
    for node in found["nodes"]:
        for text in node["differs"]:
            say(f"drift   {node['name']}: {text}")
    for text in found["troubles"]:
        say_error(text)


def _show_failed(outcome: Report) -> None:
    for error in outcome.failed.values():
        say_error(str(error))


def elapsed(seconds: float) -> str:
    """12.3s, 4m05s."""
    return f"{seconds:.1f}s" if seconds < 60 else f"{int(seconds) // 60}m{int(seconds) % 60:02d}s"


class Progress:
    """Live steps: one line per finished action, and on a terminal one moving line per target."""

    def __init__(self, *, quiet: bool = False) -> None:
        self._out = console(sys.stderr)
        self._quiet = quiet
        self._began = time.monotonic()
        self._lock = threading.Lock()
        self._now: dict[str, str] = {}
        self._said: dict[str, str] = {}
        self._live: Any = None
        if self._out.is_terminal and not quiet:
            from rich.live import Live

            self._live = Live("", console=self._out, transient=True, get_renderable=self._moving)
            self._live.start()

    def close(self) -> None:
        if self._live is not None:
            self._live.stop()
            self._live = None

    @contextmanager
    def paused(self) -> Iterator[None]:
        """The terminal is somebody else's for a moment: a question is asked."""
        if self._live is not None:
            self._live.stop()
        try:
            yield
        finally:
            if self._live is not None:
                self._live.start()

    def tier(self, title: str) -> None:
        self._line("", title, "bold")

    def acting(self, changes: Sequence[Change]) -> None:
        with self._lock:
            for change in reversed(changes):
                if change.actions:
                    self._now[change.resource.on] = change.actions[0].why

    def done(self, change: Change, action: Do) -> None:
        with self._lock:
            self._now.pop(change.resource.on, None)
        self._line(change.resource.on, action.why, "green")

    def failed(self, target: str, error: Exception) -> None:
        with self._lock:
            self._now.pop(target, None)
        self._line(target, f"FAILED: {str(error).partition(chr(10))[0]}", "red")

    def waiting(self, resource: Resource, waiting: Waiting, seconds: float) -> None:
        with self._lock:
            self._now[resource.on] = f"waiting: {waiting.reason} ({elapsed(seconds)})"
            new = self._said.get(resource.on) != waiting.reason
            self._said[resource.on] = waiting.reason
        if new and self._live is None:
            self._line(resource.on, f"waiting: {waiting.reason}", "")

    def _line(self, target: str, text: str, style: str) -> None:
        if self._quiet:
            return
        since = elapsed(time.monotonic() - self._began)
        self._out.print(f"{since:>7}  {target:<20} {text}", markup=False, style=style)

    def _moving(self) -> str:
        since = elapsed(time.monotonic() - self._began)
        with self._lock:
            return "\n".join(f"{since:>7}  {on:<20} {why} ..." for on, why in self._now.items())
