"""Changes, for people: what is created, changed, removed, with before and after."""

import difflib
import json
from collections.abc import Iterable, Iterator
from typing import TextIO

from pgprovision.engine.model import Change, Impact, Value
from pgprovision.report.printing import console
from pgprovision.server_offers import Quote

DIFF_LINES = 40
_SIGNS = {"create": "+", "remove": "-", "change": "~"}
_STYLES = {Impact.RELOAD: "yellow", Impact.RESTART: "bold red", Impact.DESTROY: "bold red"}


def show_changes(changes: Iterable[Change], stream: TextIO | None = None) -> None:
    """The plan, target by target."""
    out = console(stream)
    targets: dict[str, list[Change]] = {}
    for change in changes:
        targets.setdefault(change.resource.on, []).append(change)
    for target, target_changes in targets.items():
        out.print(f"\n{target}", markup=False, style="bold")
        for change in target_changes:
            for line in _lines(change):
                out.print(f"  {line}", markup=False, style=_STYLES.get(change.impact, ""))


def show_quote(quote: Quote, stream: TextIO | None = None) -> None:
    """What the servers to be made cost, and which of them cannot be had."""
    out = console(stream)
    if quote.offers or quote.unavailable:
        out.print("\nservers to create, prices without VAT", markup=False, style="bold")
    for offer in quote.offers:
        out.print(f"  + {offer}", markup=False)
    if quote.offers:
        out.print(f"  total: {quote.total}", markup=False)
    for refusal in quote.unavailable:
        out.print(f"  ! {refusal}", markup=False, style="red")


def _lines(change: Change) -> Iterator[str]:
    impact = "" if change.impact is Impact.NONE else f"  [{change.impact.name.lower()}]"
    note = "" if change.actions else "  (reported only: pgprovision cannot change it)"
    note = f"  ({change.blocked_by.reason})" if change.blocked_by else note
    yield f"{_SIGNS[_verb(change)]} {change.resource}{impact}{note}"
    if change.diff.before is not None:
        yield from (f"    {line}" for line in _details(change))


def _verb(change: Change) -> str:
    if change.diff.before is None:
        return "create"
    return "remove" if change.diff.after is None else "change"


def _details(change: Change) -> Iterable[str]:
    before, after = change.redacted.before, change.redacted.after
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
