"""All that `pgprovision watch` needs, taken from an inventory or from a file made of one.

The file is JSON, for a machine that shall not hold the cluster's secrets: a key pair that can only
read, limits, whom to tell. No passphrase, no password of a role, no way to a host.
"""

import json
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, PlainSerializer, ValidationError

from pgprovision.errors import InventoryError
from pgprovision.inventory.rules.calendar import longest_gap
from pgprovision.inventory.schema import types as n
from pgprovision.inventory.schema.backup import Backup
from pgprovision.inventory.schema.base import Model
from pgprovision.inventory.schema.cluster import Inventory
from pgprovision.inventory.schema.watch import Mail, Watch, span
from pgprovision.secret import Secret

MARGIN = timedelta(minutes=10)  # archive_timeout is a minute; then WAL has to be sent


def _secret(value: object) -> object:
    return Secret(value, "the watch file") if isinstance(value, str) and value else value


Held = Annotated[
    Secret, BeforeValidator(_secret), PlainSerializer(lambda secret: secret.text(), str)
]
Seconds = Annotated[int, Field(ge=1)]


class Store(Model):
    """The bucket, and the pair that reads it. `ca`: a private authority's certificate, PEM."""

    endpoint: n.HostName
    port: n.Port
    region: n.CloudName
    bucket: n.Bucket
    uri_style: Literal["host", "path"]
    path: n.RepositoryPath
    key: Held
    key_secret: Held
    ca: str | None = None


class Ages(Model):
    """In seconds; None: not judged."""

    full: Seconds
    backup: Seconds
    grace: Seconds
    retention: Seconds
    wal: Seconds | None = None
    drill: Seconds | None = None


class MailTo(Model):
    """See `Mail`."""

    to: tuple[n.MailAddress, ...] = Field(min_length=1)
    sender: n.MailAddress
    server: n.HostName | None = None
    server_port: n.Port = 587
    encryption: Literal["starttls", "tls", "none"] = "starttls"
    user: n.Text | None = None
    password: Held | None = None


class WatchFile(Model):
    """One cluster's backups, to be watched. Raises InventoryError where it is not such a file."""

    version: Literal[1] = 1
    cluster: n.HostLabel
    stanza: n.HostLabel
    store: Store
    ages: Ages
    time_zone: str = "UTC"
    heartbeat_url: Held | None = None
    webhook: Held | None = None
    mail: MailTo | None = None

    @classmethod
    def read(cls, path: Path) -> "WatchFile":
        try:
            return cls.model_validate(json.loads(path.read_bytes()))
        except ValidationError as wrong:
            first = wrong.errors(include_input=False, include_url=False)[0]
            what = f"{'.'.join(map(str, first['loc']))}: {first['msg']}"
        except OSError as wrong:
            what = f"cannot be read: {wrong.strerror}"
        except ValueError:
            what = "is no JSON"
        next = "where the inventory is: pgprovision watch export >FILE"
        raise InventoryError(what, where=str(path), next=next)

    def text(self) -> Secret:
        """As a file."""
        shown = json.dumps(self.model_dump(mode="json", exclude_none=True), indent=1) + "\n"
        return Secret(shown, f"what watches {self.cluster}")


def of(inventory: Inventory) -> WatchFile:
    """What an inventory says. Raises InventoryError where it has no backups."""
    backup = inventory.backup
    if backup is None:
        raise InventoryError(
            "there is no backup: in this inventory, so there is nothing to watch",
            where=str(inventory.folder / "cluster.yml"),
        )
    watch = backup.watch or Watch(mark_every="never")
    repository = backup.repository.for_reading()
    ca = repository.ca_file.read_text() if repository.ca_file else None
    return WatchFile(
        cluster=inventory.cluster,
        stanza=backup.stanza,
        store=Store(
            endpoint=watch.endpoint or repository.endpoint,
            port=(watch.endpoint_port or 443) if watch.endpoint else repository.port,
            region=repository.region,
            bucket=repository.bucket,
            uri_style=repository.uri_style,
            path=repository.path,
            key=repository.key,
            key_secret=repository.key_secret,
            ca=ca,
        ),
        ages=ages(backup, watch),
        time_zone=watch.time_zone,
        heartbeat_url=watch.heartbeat_url,
        webhook=watch.webhook,
        mail=_mail(watch.mail),
    )


def ages(backup: Backup, watch: Watch) -> Ages:
    """Those that are given; the others as the schedule has them, with its random delay."""
    schedule = backup.schedule
    delay = span(schedule.randomized_delay)

    def allowed(given: str | None, key: str, *calendars: str) -> int:
        found = span(given) if given else longest_gap(calendars)
        if found is None:
            raise InventoryError(
                f"how far apart {' and '.join(calendars)} are cannot be told",
                next=f"say it in the inventory: backup: {{watch: {{{key}: 8d}}}}",
            )
        return _seconds(found if given else found + delay)

    wal = watch.wal_age
    marks = None if watch.mark_every == "never" else 2 * span(watch.mark_every) + MARGIN
    return Ages(
        full=allowed(watch.full_age, "full_age", schedule.full),
        backup=allowed(
            watch.differential_age, "differential_age", schedule.full, schedule.differential
        ),
        grace=_seconds(span(watch.grace)),
        retention=_seconds(timedelta(days=backup.retention_days)),
        wal=_seconds(span(wal)) if wal else _seconds(marks) if marks else None,
        drill=_seconds(span(watch.drill_age) if watch.drill_age else _drill_period(backup)),
    )


def _drill_period(backup: Backup) -> timedelta:
    return timedelta(days=backup.drill.period(backup.retention_days))


def _seconds(span: timedelta) -> int:
    return int(span.total_seconds())


def _mail(mail: Mail | None) -> MailTo | None:
    given: dict[str, Any] = dict(mail) if mail else {}
    return MailTo(**given) if mail else None
