"""`watch` for people, from the same document as its JSON."""

from collections.abc import Mapping
from typing import Any

from pgprovision.report.printing import say, say_aside, say_error


def show_watch(document: Mapping[str, Any]) -> None:
    """What there is; each alarm with the next command."""
    tell = say if document["state"] == "fine" else say_error
    tell(document["text"])
    for alarm in document["alarms"]:
        say_error(f"ALARM {alarm['kind']}: {alarm['text']}\n  next: {alarm['next']}")
    for remark in document["remarks"]:
        say_aside(f"note: {remark}")
    for way, sent in document["sent"].items():
        say_aside(f"{way}: {'sent' if sent else 'NOT sent'}")
