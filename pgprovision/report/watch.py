"""`watch` for people, from the same document as its JSON."""

from collections.abc import Mapping
from typing import Any

from pgprovision.report.printing import print_error, print_line, print_note


def show_watch(document: Mapping[str, Any]) -> None:
    """What there is; each alarm with the next command."""
    print_ = print_line if document["state"] == "fine" else print_error
    print_(document["text"])
    for alarm in document["alarms"]:
        print_error(f"ALARM {alarm['kind']}: {alarm['text']}\n  next: {alarm['next']}")
    for note in document["remarks"]:
        print_note(f"note: {note}")
    for channel, sent in document["sent"].items():
        print_note(f"{channel}: {'sent' if sent else 'NOT sent'}")
