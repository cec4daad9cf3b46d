"""watch: the bucket is read and judged, and notifications are sent."""

import os
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from pgprovision import record, report
from pgprovision.errors import InventoryError, ObjectStoreError, PgprovisionError
from pgprovision.inventory.loader.loader import load
from pgprovision.inventory.watch_file import WatchFile, watch_file_of
from pgprovision.operations.watch.install import open_bucket
from pgprovision.operations.watch.report import (
    ALARM,
    OK,
    UNKNOWN,
    alarm_mail,
    document,
    limits_of,
    unknown_verdict,
    with_unsent_alarms,
)
from pgprovision.operations.watch.repository import read_listing
from pgprovision.operations.watch.rules import WatchVerdict, judge
from pgprovision.run import notify
from pgprovision.run.options import Options
from pgprovision.run.query import Document, Query

TEST_NOW_VARIABLE = "PGP_TEST_NOW"  # a moment that tests have instead of the clocks
EXIT_CODES = {OK: 0, ALARM: 1, UNKNOWN: ObjectStoreError.exit_code}


@dataclass(frozen=True)
class Watch(Query[Document]):
    """`watch`: an alarm is sent before it is shown; a notification that fails is one, too."""

    file: Path | None = None
    """What `watch export` wrote, where there is no inventory, and so no records of drills."""

    def look(self, options: Options) -> Document:
        config = WatchFile.read(self.file) if self.file else watch_file_of(load(options.inventory))
        verdict = _judge_bucket(config, drills_known=self.file is None)
        sent, failed = _notify(config, document(config, verdict, {}))
        return document(config, with_unsent_alarms(verdict, failed), sent)

    def show(self, found: Document) -> None:
        report.show_watch(found)

    def exit_code(self, found: Document) -> int:
        return EXIT_CODES[found["state"]]


def exported_file(options: Options) -> str:
    """What another machine needs to watch. Raises InventoryError where it could write with it."""
    inventory = load(options.inventory)
    if inventory.backup and not inventory.backup.repository.has_read_key:
        raise InventoryError(
            "there is no key pair that can only read, and one that writes is not given away",
            where=str(options.inventory / "cluster.yml"),
            next="give backup.repository.read_key and read_key_secret; see docs/watch.md",
        )
    return watch_file_of(inventory).text().reveal().decode()


def _judge_bucket(config: WatchFile, *, drills_known: bool) -> WatchVerdict:
    """The verdict, or that there is none. `drills_known`: whether the records of drills are
    here."""
    store = config.store
    given = os.environ.get(TEST_NOW_VARIABLE)
    local_now = datetime.fromisoformat(given) if given else datetime.now(UTC)
    try:
        with open_bucket(store) as place:
            found = read_listing(
                place.reader(), store.path, config.stanza, config.time_zone, lambda: local_now
            )
    except ObjectStoreError as error:
        return unknown_verdict(error, local_now)
    last = record.last_proven_drill(record.records_folder(config.cluster)) if drills_known else None
    return judge(
        found,
        limits_of(config),
        local_now if given else found.server_time,
        local_now=local_now,
        last_proven_restore=last.started_at if last else None,
        drills_known=drills_known,
    )


def _notify(config: WatchFile, found: Document) -> tuple[dict[str, bool], list[PgprovisionError]]:
    """Whoever has to know: the heartbeat where all is well, the others where it is not."""
    if found["state"] == OK:
        return notify.send_all(notify.heartbeat_senders(config))
    return notify.send_all(notify.alarm_senders(config, found, lambda: alarm_mail(found)))
