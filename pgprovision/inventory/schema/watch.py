"""What an inventory says of the outside watcher: how old backups may be, and whom it tells."""

import re
from datetime import timedelta
from typing import Literal
from zoneinfo import available_timezones

from pydantic import Field, field_validator, model_validator

from pgprovision.inventory.schema import types as n
from pgprovision.inventory.schema.base import Model
from pgprovision.inventory.schema.validators import split_host_port

_UNITS = {"min": "minutes", "h": "hours", "d": "days", "s": "seconds"}


def duration(text: str) -> timedelta:
    """An Age or Delay of the inventory.

    >>> span("26h")
    datetime.timedelta(days=1, seconds=7200)
    """
    number, unit = re.fullmatch(r"([0-9]+)([a-z]+)", text).groups()  # type: ignore[union-attr]
    return timedelta(**{_UNITS[unit]: int(number)})


class Mail(Model):
    """Alarms by mail: over SMTP, or by this machine's own sendmail where no server is given."""

    to: tuple[n.MailAddress, ...] = Field(min_length=1)
    """Who gets them."""
    sender: n.MailAddress
    """Whom they come from."""
    server: n.HostName | None = None
    """The SMTP server, as host or host:port; if not given, sendmail."""
    server_port: n.Port = 587
    """Its port."""
    encryption: Literal["starttls", "tls", "none"] = "starttls"
    """How the way there is encrypted."""
    user: n.Text | None = None
    """Who logs in there."""
    password: n.SecretText | None = None
    """With what."""

    @model_validator(mode="before")
    @classmethod
    def split_ports(cls, value: object) -> object:
        """A server of host:port says the port."""
        return split_host_port(value, "server", "server_port")


class Watch(Model):
    """What `pgprovision watch` judges the bucket by, from any machine. Ages that are not given
    come from the schedule."""

    endpoint: n.HostName | None = None
    """Where the watcher reaches the store, if not at the repository's read_endpoint."""
    endpoint_port: n.Port | None = None
    """Its port."""
    full_age: n.Age | None = None
    """How old the newest full backup may be; if not given, as the schedule has them."""
    differential_age: n.Age | None = None
    """How old the newest backup of any kind may be; if not given, as the schedule has them."""
    grace: n.Age = "3h"
    """How much later than that a backup may end before it is an alarm."""
    wal_heartbeat_interval: n.IntervalOrNever = "10min"
    """A timer on the primary writes some bytes of WAL this often, so that an idle database
    archives, too, and WAL that stops is an alarm. `never`: it does not."""
    wal_age: n.Age | None = None
    """How old the newest WAL may be; if not given, twice wal_heartbeat_interval and 10 minutes.
    Without wal_heartbeat_interval an idle database looks like a broken one, and only an age given
    here is judged."""
    drill_age: n.Age | None = None
    """How long ago the last proven restore may be, where the record of it is; if not given, as
    backup.drill has it."""
    time_zone: n.Text = "UTC"
    """The nodes' time zone, in which pgBackRest names backups."""
    heartbeat_url: n.SecretUrl | None = None
    """Asked for (GET) after each verified success, as healthchecks.io wants it."""
    webhook: n.SecretUrl | None = None
    """Gets alarms as JSON (POST)."""
    mail: Mail | None = None
    """Gets alarms by mail."""

    @model_validator(mode="before")
    @classmethod
    def split_ports(cls, value: object) -> object:
        """An endpoint of host:port says the port."""
        return split_host_port(value, "endpoint", "endpoint_port")

    @field_validator("time_zone")
    @classmethod
    def check_time_zone(cls, text: str) -> str:
        if text not in available_timezones():
            raise ValueError("expected a time zone by its place, for instance Europe/Berlin or UTC")
        return text
