"""`watch` for people, from the same document as its JSON."""

from collections.abc import Mapping
from typing import Any

from pgprovision.report.printing import print_error, print_line, print_note


def show_watch(document: Mapping[str, Any]) -> None:
    """What there is; each alarm with the next command."""
    print_ = print_line if document["state"] == "ok" else print_error
    print_(document["summary"])
    for alarm in document["alarms"]:
        print_error(f"ALARM {alarm['kind']}: {alarm['message']}\n  next: {alarm['next_command']}")
    for note in document["notes"]:
        print_note(f"note: {note}")
    for channel, sent in document["notified"].items():
        print_note(f"{channel}: {'sent' if sent else 'NOT sent'}")
