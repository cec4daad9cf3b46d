"""Sends alarms of watch and of drills, by the ways in backup.watch."""

from collections.abc import Callable, Mapping
from typing import Any

from pgprovision.clients import notifications
from pgprovision.errors import NotificationError, PgprovisionError
from pgprovision.inventory.watch_file import WatchFile


def send_all(
    senders: Mapping[str, Callable[[], None]],
) -> tuple[dict[str, bool], list[PgprovisionError]]:
    """Go each way: which reached somebody, and why the others did not."""
    sent: dict[str, bool] = {}
    failed: list[PgprovisionError] = []
    for way, send in senders.items():
        try:
            send()
            sent[way] = True
        except NotificationError as error:
            sent[way] = False
            failed.append(NotificationError(error.what, where=f"{way}: {error.where}"))
    return sent, failed


def heartbeat_senders(config: WatchFile) -> dict[str, Callable[[], None]]:
    """Where it is heard that all is well."""
    url = config.heartbeat_url
    return {"heartbeat": lambda: notifications.ping(url)} if url else {}


def alarm_senders(
    config: WatchFile, document: Mapping[str, Any], compose_mail: Callable[[], tuple[str, str]]
) -> dict[str, Callable[[], None]]:
    """Where it is heard that it is not: the document to the webhook, `compose_mail` (subject, text)
    by mail."""
    senders: dict[str, Callable[[], None]] = {}
    if hook := config.webhook:
        senders["webhook"] = lambda: notifications.post_json(hook, document)
    if mail := config.mail:
        senders["mail"] = lambda: notifications.send_mail(mail, *compose_mail())
    return senders
