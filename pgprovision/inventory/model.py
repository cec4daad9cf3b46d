"""What an inventory says, as typed, frozen values. Every key has a default where a sane one exists.

Names are the field's own: Hetzner's for servers, PostgreSQL's for databases, pgBackRest's for
backups. `load` fills in what one part takes from another, so readers never merge defaults.
"""

from collections.abc import Mapping
from ipaddress import IPv4Address, IPv4Network, ip_network
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from pgprovision.inventory.names import (
    Address,
    Boolean,
    Bytes,
    CloudName,
    DatabaseName,
    HostLabel,
    Integer,
    LocalPath,
    Network,
    NetworkV4,
    Port,
    RoleName,
    SecretText,
    SizeText,
    SqlName,
    Text,
    Url,
    frozen_mapping,
)

Setting = Boolean | Integer | float | str
Frozen = AfterValidator(frozen_mapping)


class Model(BaseModel):
    """Frozen, and closed to unknown keys."""

    model_config = ConfigDict(frozen=True, extra="forbid", arbitrary_types_allowed=True)


class PrivateNetwork(Model):
    """A Hetzner network and the subnet the nodes live in. `existing`: looked up, never made."""

    name: CloudName
    ip_range: NetworkV4 = IPv4Network("10.0.0.0/16")
    subnet: NetworkV4 = IPv4Network("10.0.1.0/24")
    network_zone: Text = "us-east"
    existing: Boolean = False

    @property
    def gateway(self) -> IPv4Address:
        """The first address of the range; Hetzner keeps it for itself."""
        return self.ip_range.network_address + 1


class CloudFirewall(Model):
    """SSH in from these ranges, everything else shut (on the public side only)."""

    name: CloudName
    ssh_source_ips: tuple[Network, ...] = (ip_network("0.0.0.0/0"), ip_network("::/0"))


class SshKey(Model):
    """A public key as Hetzner registers it. Found again by fingerprint, whatever its name."""

    name: CloudName
    public_key: Text


class Hetzner(Model):
    """A Hetzner Cloud project and what servers are made of unless a node says otherwise."""

    token: SecretText
    endpoint: Url = "https://api.hetzner.cloud/v1"
    location: Text = "ash"
    server_type: Text = "ccx13"
    image: Text = "debian-12"
    network: PrivateNetwork
    placement_group: CloudName
    firewall: CloudFirewall
    ssh_keys: tuple[SshKey, ...] = Field(min_length=1)
    protection: Boolean = True


class Ssh(Model):
    """How to log in. `jump` is [user@]host[:port]; `config` an ssh_config file."""

    user: Text = "root"
    port: Port = 22
    identity_file: LocalPath | None = None
    jump: Text | None = None
    known_hosts: LocalPath | None = None
    config: LocalPath | None = None


class Machine(Model):
    """What the machine has, where it should not be observed. Memory and disk in bytes."""

    memory: Bytes | None = None
    cores: Integer | None = Field(default=None, ge=1)
    disk: Bytes | None = None


class Apt(Model):
    """Where PostgreSQL's packages come from, and what else to install."""

    source: Literal["distribution", "pgdg"] = "distribution"
    mirror: Url | None = None
    extra_packages: tuple[Text, ...] = ()


class HbaRule(Model):
    """Who may connect over TLS with a SCRAM password: to which databases and from where."""

    databases: tuple[DatabaseName, ...] = Field(min_length=1)
    users: tuple[RoleName, ...] = Field(min_length=1)
    addresses: tuple[Network, ...] = Field(min_length=1)


class Replication(Model):
    """The role replicas stream with. `max_slot_wal_keep_size` caps what one slot may hold."""

    role: RoleName = "replicator"
    password: SecretText
    connection_limit: Integer = Field(default=10, ge=1)
    max_slot_wal_keep_size: SizeText = "16GB"


class Postgres(Model):
    """One PostgreSQL instance per node. `settings` override the computed ones."""

    version: Integer = Field(default=15, ge=13, le=18)
    port: Port = 5432
    locale: Text = "C.UTF-8"
    encoding: Text = "UTF8"
    data_checksums: Boolean = True
    settings: Annotated[Mapping[str, Setting], Frozen] = Field(default_factory=dict)
    hba: tuple[HbaRule, ...] = ()
    replication: Replication


class Role(Model):
    """A role. Connection limit -1: no limit. No password: no login over the network."""

    name: RoleName
    password: SecretText | None = None
    login: Boolean = True
    inherit: Boolean = True
    connection_limit: Integer = Field(default=-1, ge=-1)
    member_of: tuple[RoleName, ...] = ()
    valid_until: Text | None = None
    comment: Text | None = None


class Grant(Model):
    """Privileges for one role. With `created_by`, on objects that role will create later."""

    to: RoleName
    privileges: tuple[Text, ...] = Field(min_length=1)
    on: Literal["database", "schema", "tables", "sequences", "functions"] = "database"
    in_schema: Text = "public"
    created_by: RoleName | None = None


class Database(Model):
    """A database. Encoding and locale are the instance's unless given."""

    name: DatabaseName
    owner: RoleName
    encoding: Text = ""
    locale: Text = ""
    extensions: tuple[SqlName, ...] = ()
    grants: tuple[Grant, ...] = ()


class S3Repository(Model):
    """A pgBackRest repository in an S3 bucket. `endpoint` may be given as host:port."""

    type: Literal["s3"] = "s3"
    bucket: Text
    endpoint: Text
    port: Port = 443
    region: Text
    uri_style: Literal["host", "path"] = "host"
    key: SecretText
    key_secret: SecretText
    ca_file: LocalPath | None = None
    path: Text
    cipher_type: Literal["aes-256-cbc", "none"] = "aes-256-cbc"
    cipher_pass: SecretText | None = None
    bundle: Boolean = True
    block: Boolean = True


class Schedule(Model):
    """When backups run, as systemd's OnCalendar, and the random delay before them."""

    full: Text = "Sun *-*-* 03:00:00"
    differential: Text = "Mon..Sat *-*-* 03:00:00"
    randomized_delay: Text = "15min"


class Backup(Model):
    """pgBackRest. Full backups (and the WAL they need) are kept for `retention_days`."""

    stanza: HostLabel = "main"
    repository: S3Repository
    retention_days: Integer = Field(default=30, ge=1)
    start_fast: Boolean = True
    compress_type: Literal["zst", "lz4", "gz", "none"] = "zst"
    process_max: Integer = Field(default=2, ge=1, le=64)
    schedule: Schedule = Schedule()
    archiving: Boolean = True


class Node(Model):
    """One machine with one instance. `address`: an existing host; without it, Hetzner makes one.

    `ssh`, `machine`, `server_type`, `location`, `image` are complete after `load`.
    """

    name: HostLabel
    role: Literal["primary", "replica"]
    private_ip: Address
    address: Text | None = None
    server_type: Text = ""
    location: Text = ""
    image: Text = ""
    ssh: Ssh = Ssh()
    machine: Machine = Machine()

    @property
    def is_primary(self) -> bool:
        return self.role == "primary"


class Inventory(Model):
    """A cluster: its settings, its nodes, the folder they were read from."""

    version: Literal[1] = 1
    cluster: HostLabel
    folder: Path
    hetzner: Hetzner | None = None
    ssh: Ssh = Ssh()
    machine: Machine = Machine()
    apt: Apt = Apt()
    postgres: Postgres
    roles: Annotated[Mapping[str, Role], Frozen] = Field(default_factory=dict)
    databases: Annotated[Mapping[str, Database], Frozen] = Field(default_factory=dict)
    backup: Backup | None = None
    nodes: tuple[Node, ...] = Field(min_length=1)

    @property
    def primary(self) -> Node:
        """The declared primary. The live role wins over it."""
        return next(node for node in self.nodes if node.is_primary)

    @property
    def replicas(self) -> tuple[Node, ...]:
        return tuple(node for node in self.nodes if not node.is_primary)

    @property
    def secrets_folder(self) -> Path:
        return self.folder / "secrets"

    def node(self, name: str) -> Node:
        """Raises KeyError."""
        for node in self.nodes:
            if node.name == name:
                return node
        raise KeyError(name)
