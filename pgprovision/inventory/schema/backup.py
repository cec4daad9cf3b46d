"""What an inventory says of backups: repository, schedule, retention. Names are pgBackRest's."""

from typing import Annotated, Any, Literal, Self

from pydantic import Field, model_validator

from pgprovision.inventory.schema import types as n
from pgprovision.inventory.schema.base import Model
from pgprovision.inventory.schema.drill import DrillSpec
from pgprovision.inventory.schema.validators import split_host_port
from pgprovision.inventory.schema.watch import Watch

# what a second repository has from the first one
_STORE = ("bucket", "endpoint", "port", "region", "uri_style", "key", "key_secret", "ca_file")
_READ = ("read_key", "read_key_secret", "read_endpoint", "read_port")
_FORM = ("bundle", "block")


def inherit_store(backup: dict[str, Any]) -> None:
    """Puts the first repository's store into the second, where that has no endpoint of its own."""
    first, second = backup.get("repository"), backup.get("second_repository")
    if isinstance(first, dict) and isinstance(second, dict):
        names = _FORM if "endpoint" in second else (*_STORE, *_READ, *_FORM)
        for name in names:
            if name in first:
                second.setdefault(name, first[name])


class S3Repository(Model):
    """A pgBackRest repository in an S3 bucket. `endpoint` may be given as host:port."""

    type: Literal["s3"] = "s3"
    """What kind of store."""
    bucket: n.BucketName
    """The bucket."""
    endpoint: n.HostName
    """The store's host name, or host:port."""
    port: n.Port = 443
    """The store's port."""
    region: n.CloudName
    """The store's region."""
    uri_style: Literal["host", "path"] = "host"
    """Whether the bucket's name is part of the host name or of the path."""
    key: n.SecretText
    """The access key."""
    key_secret: n.SecretText
    """The secret access key."""
    read_key: n.SecretText | None = None
    """The access key of a pair that can only read: for watching, drills and restored copies."""
    read_key_secret: n.SecretText | None = None
    """Its secret access key."""
    read_endpoint: n.HostName | None = None
    """Where the store answers those who only read, if not at `endpoint`; host:port says a port."""
    read_port: n.Port | None = None
    """Its port; if not given, as `port`."""
    ca_file: n.LocalPath | None = None
    """The certificate of a private authority that signed the store's; copied to the nodes."""
    path: n.RepositoryPath
    """Where in the bucket; of this cluster alone."""
    cipher_type: Literal["aes-256-cbc", "none"] = "aes-256-cbc"
    """How backups are encrypted before they leave the host."""
    allow_unencrypted: n.Boolean = False
    """Lets `cipher_type: none` pass."""
    cipher_pass: n.SecretText | None = None
    """The passphrase; if not given, from secrets/pgbackrest.passphrase. Without it no backup can
    be read."""
    bundle: n.Boolean = True
    """Stores small files together."""
    block: n.Boolean = True
    """Stores only the changed parts of big files, where pgBackRest knows it (2.46)."""

    @model_validator(mode="before")
    @classmethod
    def split_ports(cls, value: object) -> object:
        """An endpoint of host:port says the port."""
        for name, port in (("endpoint", "port"), ("read_endpoint", "read_port")):
            value = split_host_port(value, name, port)
        return value

    @property
    def has_read_key(self) -> bool:
        """Whether there is a key pair that can only read."""
        return self.read_key is not None

    def with_read_key(self) -> Self:
        """The repository with the pair that can only read; where there is none, as it is."""
        if self.read_key is None or self.read_key_secret is None:
            return self
        return self.model_copy(
            update={
                "key": self.read_key,
                "key_secret": self.read_key_secret,
                "endpoint": self.read_endpoint or self.endpoint,
                "port": self.read_port or self.port,
            }
        )


class SecondRepository(S3Repository):
    """Another repository, of everything. Its store is the first one's unless it has an `endpoint`.

    `role`: a permanent `copy`; the `successor`, which replaces the first one once it has a verified
    full backup; the `former` first one, kept until `kept_until`. The last two are
    written by `backup rotate-cipher`.
    """

    bucket: Annotated[n.BucketName, n.FilledIn()]
    endpoint: Annotated[n.HostName, n.FilledIn()]
    region: Annotated[n.CloudName, n.FilledIn()]
    key: Annotated[n.SecretText, n.FilledIn()]
    key_secret: Annotated[n.SecretText, n.FilledIn()]
    role: Literal["copy", "successor", "former"] = "copy"
    """What it is for: a copy of its own; the other two are for `backup rotate-cipher`."""
    path: n.SecondRepositoryPath
    """Where in the bucket; of this cluster alone, and outside of the first one's path."""
    cipher_pass: n.SecretText | None = None
    """The passphrase, another than the first one's; if not given, from
    secrets/pgbackrest2.passphrase."""
    retention_days: n.Integer | None = Field(default=None, ge=1)
    """How long full backups are kept in it; if not given, as in the first one."""
    kept_until: n.Timestamp | None = None
    """Until when a former one is kept."""


class BackupSchedule(Model):
    """When backups run, as systemd's OnCalendar, and the random delay before them."""

    full: n.OnCalendar = "Sun *-*-* 03:00:00"
    """When full backups begin."""
    differential: n.OnCalendar = "Mon..Sat *-*-* 03:00:00"
    """When differential ones begin."""
    randomized_delay: n.Delay = "15min"
    """Up to this much later, at random."""


class BackupSpec(Model):
    """pgBackRest. Full backups (and the WAL they need) are kept for `retention_days`."""

    stanza: n.HostLabel = "main"
    """pgBackRest's name for this cluster."""
    repository: S3Repository
    """Where backups and WAL are kept."""
    second_repository: SecondRepository | None = None
    """Where they are kept once more, with a passphrase of its own."""
    retention_days: n.Integer = Field(default=30, ge=1)
    """How long full backups are kept, with the WAL they need."""
    start_fast: n.Boolean = True
    """Begins with an immediate checkpoint."""
    compress_type: Literal["zst", "lz4", "gz", "none"] = "zst"
    """How files are compressed."""
    process_max: n.Integer = Field(default=2, ge=1, le=64)
    """How many processes compress and send."""
    schedule: BackupSchedule = BackupSchedule()
    """When backups run, as OnCalendar of systemd."""
    archiving: n.Boolean = True
    """Whether WAL is archived and a first backup taken."""
    archive_queue_max: n.SizeText | None = None
    """How much WAL may wait for a repository that does not answer (archive-push-queue-max). Beyond
    it WAL is dropped, and no backup can be restored past the gap. Not given, all of it waits."""
    watch: Watch | None = None
    """The outside watcher: how old backups may be, and whom it tells."""
    drill: DrillSpec = DrillSpec()
    """Restores practised on a throw-away machine."""

    @property
    def repositories(self) -> tuple[tuple[int, S3Repository], ...]:
        """Every repository with its number in pgBackRest."""
        second = self.second_repository
        return ((1, self.repository), *(((2, second),) if second else ()))

    @property
    def backup_targets(self) -> tuple[int, ...]:
        """The repositories that backups are taken to; a former one gets WAL only."""
        second = self.second_repository
        return (1, 2) if second and second.role != "former" else (1,)

    def retention_of(self, number: int) -> int:
        """How many days full backups are kept in that repository."""
        second = self.second_repository
        own = second.retention_days if second and number == 2 else None
        return own or self.retention_days
