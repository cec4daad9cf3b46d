"""Whom an alarm is told, of the watcher's and of a drill's: the ways that backup.watch gives."""

from collections.abc import Callable, Mapping
from typing import Any

from pgprovision.clients import notifications
from pgprovision.errors import NotSent, PgprovisionError
from pgprovision.inventory.watch_file import WatchFile


def tell(ways: Mapping[str, Callable[[], None]]) -> tuple[dict[str, bool], list[PgprovisionError]]:
    """Go each way: which reached somebody, and why the others did not."""
    sent: dict[str, bool] = {}
    failed: list[PgprovisionError] = []
    for way, send in ways.items():
        try:
            send()
            sent[way] = True
        except NotSent as error:
            sent[way] = False
            failed.append(NotSent(error.what, where=f"{way}: {error.where}"))
    return sent, failed


def fine(wanted: WatchFile) -> dict[str, Callable[[], None]]:
    """Where it is heard that all is well."""
    url = wanted.heartbeat_url
    return {"heartbeat": lambda: notifications.ping(url)} if url else {}


def alarm(
    wanted: WatchFile, document: Mapping[str, Any], letter: Callable[[], tuple[str, str]]
) -> dict[str, Callable[[], None]]:
    """Where it is heard that it is not: the document to the webhook, `letter` (subject, text) by
    mail."""
    ways: dict[str, Callable[[], None]] = {}
    if hook := wanted.webhook:
        ways["webhook"] = lambda: notifications.post(hook, document)
    if mail := wanted.mail:
        ways["mail"] = lambda: notifications.mail(mail, *letter())
    return ways
