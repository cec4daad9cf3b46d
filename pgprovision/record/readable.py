"""One event of a record as people read it: what ID.txt and `runs show` are made of."""

import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

Event = Mapping[str, Any]
MAX_VALUE_CHARACTERS = 200  # characters of a value; the whole is in ID.jsonl
_SIGNS = {(False, True): "+", (True, False): "-"}


def format_event(event: Event) -> str:
    """Whatever is in it: also an event that is not known, and one that makes no sense."""
    kind = event.get("event")
    formatter = _FORMATTERS.get(kind if isinstance(kind, str) else "", _unknown_event)
    text = "\n".join(formatter(event)) + "\n"
    return "".join(c if c.isprintable() or c == "\n" else "\N{REPLACEMENT CHARACTER}" for c in text)


def _begin(event: Event) -> Iterator[str]:
    yield f"run {_word(event, 'run')} of cluster {_word(event, 'cluster')}"
    argv = event.get("argv")
    yield f"  command   {_word(event, 'command')} ({' '.join(_words(argv))})"
    came = f", from {event['ssh_client']}" if event.get("ssh_client") else ""
    yield f"  by        {_word(event, 'who')} on {_word(event, 'host')}{came}"
    yield f"  at        {_word(event, 'at')}, pgprovision {_word(event, 'version')}"
    yield f"  approved  {_word(event, 'approved')}"
    yield f"  scope     {', '.join(_words(event.get('scope'))) or '-'}"
    yield f"  after     {event.get('after') or '(the first run)'}"
    yield f"\nplan: {len(_items(event.get('plan')))} changes"
    yield from (f"  {_change(change)}" for change in _items(event.get("plan")))
    yield ""


def _tier(event: Event) -> Iterator[str]:
    yield f"{_time(event)}  {_word(event, 'title')}"


def _acting(event: Event) -> Iterator[str]:
    yield f"{_time(event)}  applying: {_change(event)}"
    before, after = event.get("before"), event.get("after")
    if isinstance(before, dict) and isinstance(after, dict):
        for key in sorted(after):
            if before.get(key) != after[key]:
                yield f"      {key}: {_value(before.get(key))} -> {_value(after[key])}"
    elif isinstance(before, dict):
        yield from (f"      {key} was {_value(before[key])}" for key in sorted(before))
    for action in _items(event.get("actions")):
        yield f"      action: {_word(action, 'why')}"
        yield from (f"        | {line}" for line in _word(action, "text").splitlines())
    if event.get("undo"):
        yield f"      to undo: {_word(event, 'undo')}"


def _done(event: Event) -> Iterator[str]:
    took = f" ({event['seconds']} s)" if "seconds" in event else ""
    yield f"{_time(event)}  done: {_word(event, 'on')}: {_word(event, 'why')}{took}"


def _failed(event: Event) -> Iterator[str]:
    head, *rest = f"{_word(event, 'error')}: {_word(event, 'message')}".splitlines()
    yield f"{_time(event)}  FAILED: {_word(event, 'on')}: {head}"
    yield from (f"      {line}" for line in rest)


def _end(event: Event) -> Iterator[str]:
    yield f"{_time(event)}  end: {_word(event, 'result')} after {_word(event, 'seconds')} s"
    if event.get("message"):
        yield from (f"      {line}" for line in _word(event, "message").splitlines())
    for change in _items(event.get("left")):
        yield f"      remaining: {_change(change)}"


def _drill(event: Event) -> Iterator[str]:
    """The whole of a drill on one page."""
    yield f"{_time(event)}  drill: {_word(event, 'result')} in {_word(event, 'seconds')} s"
    yield f"      restored   {_word(event, 'backup')} to {_word(event, 'target')}"
    yield f"      on         {_word(event, 'machine')}"
    lost, how = event.get("lost_seconds"), event.get("lost_by")
    yield f"      data loss  {'not measured' if lost is None else f'{lost} s (by {how})'}"
    phases = event.get("phases")
    for name, seconds in phases.items() if isinstance(phases, dict) else ():
        yield f"      {name:<10} {seconds} s"
    for check in _items(event.get("checks")):
        sign = "ok    " if check.get("ok") is True else "FAILED"
        head, *rest = _word(check, "found").splitlines() or [""]
        yield f"      {sign} {_word(check, 'name')}: {head}"
        yield from (f"             {line}" for line in rest)
    yield from (
        f"      FAILED {line}"
        for text in _words(event.get("failures"))
        for line in text.splitlines()
    )


def _unknown_event(event: Event) -> Iterator[str]:
    known = ("at", "event", "n", "prev")
    rest = ", ".join(f"{k}: {_value(v)}" for k, v in event.items() if k not in known)
    yield f"{_time(event)}  {_word(event, 'event')}{': ' + rest if rest else ''}"


def _change(change: Event) -> str:
    sign = _SIGNS.get((bool(change.get("before")), bool(change.get("after"))), "~")
    keys = _words(change.get("keys")) if sign == "~" else []
    impact = "" if change.get("impact") in ("none", None) else f" [{change['impact']}]"
    names = f" ({', '.join(keys)})" if keys else ""
    return f"{sign} {_word(change, 'on')}: {_word(change, 'resource')}{names}{impact}"


def _time(event: Event) -> str:
    """The time of day, UTC."""
    return _word(event, "at")[11:23] or "?"


def _word(event: Event, key: str) -> str:
    value = event.get(key)
    return "?" if value is None else str(value)


def _words(value: object) -> list[str]:
    return [str(word) for word in value] if isinstance(value, list | tuple) else []


def _items(value: object) -> list[Event]:
    found: Iterable[object] = value if isinstance(value, list | tuple) else ()
    return [item for item in found if isinstance(item, dict)]


def _value(value: object) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return (
        text
        if len(text) <= MAX_VALUE_CHARACTERS
        else f"{text[:MAX_VALUE_CHARACTERS]} ... ({len(text)} characters)"
    )


_FORMATTERS = {
    "begin": _begin,
    "tier": _tier,
    "acting": _acting,
    "done": _done,
    "failed": _failed,
    "drill": _drill,
    "end": _end,
}
