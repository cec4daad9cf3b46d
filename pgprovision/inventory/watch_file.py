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
from pgprovision.inventory.schema.backup import BackupSpec
from pgprovision.inventory.schema.base import Model
from pgprovision.inventory.schema.cluster import Inventory
from pgprovision.inventory.schema.watch import Mail, Watch, duration
from pgprovision.secret import Secret

WAL_MARGIN = timedelta(minutes=10)  # archive_timeout is a minute; then WAL has to be sent


def _secret(value: object) -> object:
    return Secret(value, "the watch file") if isinstance(value, str) and value else value


InlineSecret = Annotated[
    Secret, BeforeValidator(_secret), PlainSerializer(lambda secret: secret.text(), str)
]
Seconds = Annotated[int, Field(ge=1)]


class WatchedStore(Model):
    """The bucket, and the pair that reads it. `ca`: a private authority's certificate, PEM."""

    endpoint: n.HostName
    port: n.Port
    region: n.CloudName
    bucket: n.BucketName
    uri_style: Literal["host", "path"]
    path: n.RepositoryPath
    key: InlineSecret
    key_secret: InlineSecret
    ca: str | None = None


class AgeLimits(Model):
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
    password: InlineSecret | None = None


class WatchFile(Model):
    """One cluster's backups, to be watched. Raises InventoryError where it is not such a file."""

    version: Literal[1] = 1
    cluster: n.HostLabel
    stanza: n.HostLabel
    store: WatchedStore
    ages: AgeLimits
    time_zone: str = "UTC"
    heartbeat_url: InlineSecret | None = None
    webhook: InlineSecret | None = None
    mail: MailTo | None = None

    @classmethod
    def read(cls, path: Path) -> "WatchFile":
        try:
            return cls.model_validate(json.loads(path.read_bytes()))
        except ValidationError as wrong:
            first = wrong.errors(include_input=False, include_url=False)[0]
            reason = f"{'.'.join(map(str, first['loc']))}: {first['msg']}"
        except OSError as wrong:
            reason = f"cannot be read: {wrong.strerror}"
        except ValueError:
            reason = "is not JSON"
        next = "where the inventory is: pgprovision watch export >FILE"
        raise InventoryError(reason, where=str(path), next=next)

    def text(self) -> Secret:
        """As a file."""
        shown = json.dumps(self.model_dump(mode="json", exclude_none=True), indent=1) + "\n"
        return Secret(shown, f"what watches {self.cluster}")


def watch_file_of(inventory: Inventory) -> WatchFile:
    """What an inventory says. Raises InventoryError where it has no backups."""
    backup = inventory.backup
    if backup is None:
        raise InventoryError(
            "there is no backup: in this inventory, so there is nothing to watch",
            where=str(inventory.folder / "cluster.yml"),
        )
    watch = backup.watch or Watch(wal_heartbeat_interval="never")
    repository = backup.repository.with_read_key()
    ca = repository.ca_file.read_text() if repository.ca_file else None
    return WatchFile(
        cluster=inventory.cluster,
        stanza=backup.stanza,
        store=WatchedStore(
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
        ages=age_limits(backup, watch),
        time_zone=watch.time_zone,
        heartbeat_url=watch.heartbeat_url,
        webhook=watch.webhook,
        mail=_mail(watch.mail),
    )


def age_limits(backup: BackupSpec, watch: Watch) -> AgeLimits:
    """Those that are given; the others as the schedule has them, with its random delay."""
    schedule = backup.schedule
    delay = duration(schedule.randomized_delay)

    def limit(given: str | None, key: str, *calendars: str) -> int:
        found = duration(given) if given else longest_gap(calendars)
        if found is None:
            raise InventoryError(
                f"how far apart {' and '.join(calendars)} are cannot be determined",
                next=f"set it in the inventory: backup: {{watch: {{{key}: 8d}}}}",
            )
        return _seconds(found if given else found + delay)

    wal = watch.wal_age
    heartbeat_limit = (
        None
        if watch.wal_heartbeat_interval == "never"
        else 2 * duration(watch.wal_heartbeat_interval) + WAL_MARGIN
    )
    return AgeLimits(
        full=limit(watch.full_age, "full_age", schedule.full),
        backup=limit(
            watch.differential_age, "differential_age", schedule.full, schedule.differential
        ),
        grace=_seconds(duration(watch.grace)),
        retention=_seconds(timedelta(days=backup.retention_days)),
        wal=_seconds(duration(wal))
        if wal
        else _seconds(heartbeat_limit)
        if heartbeat_limit
        else None,
        drill=_seconds(duration(watch.drill_age) if watch.drill_age else _drill_period(backup)),
    )


def _drill_period(backup: BackupSpec) -> timedelta:
    return timedelta(days=backup.drill.effective_period_days(backup.retention_days))


def _seconds(span: timedelta) -> int:
    return int(span.total_seconds())


def _mail(mail: Mail | None) -> MailTo | None:
    given: dict[str, Any] = dict(mail) if mail else {}
    return MailTo(**given) if mail else None
