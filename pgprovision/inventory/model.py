"""What an inventory says, as typed, frozen values. Every key has a default where a sane one exists.

Names are the field's own: Hetzner's for servers, PostgreSQL's for databases, pgBackRest's for
backups. `load` fills in what one part takes from another, so readers never merge defaults.
One file on purpose: all that can be written into an inventory, on one page.
"""

import hashlib
import re
from collections.abc import Mapping
from ipaddress import IPv4Address, IPv4Network, ip_network
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from pgprovision.inventory import names as n
from pgprovision.inventory.values import frozen_mapping

Frozen = AfterValidator(frozen_mapping)
ANYONE = (ip_network("0.0.0.0/0"), ip_network("::/0"))


class Model(BaseModel):
    """Frozen, and closed to unknown keys."""

    model_config = ConfigDict(frozen=True, extra="forbid", arbitrary_types_allowed=True)


class PrivateNetwork(Model):
    """A Hetzner network and the subnet the nodes live in. `existing`: looked up, never made."""

    name: n.CloudName
    ip_range: n.PrivateRange = IPv4Network("10.0.0.0/16")
    subnet: n.PrivateRange = IPv4Network("10.0.1.0/24")
    network_zone: n.Word = "us-east"
    existing: n.Boolean = False

    @property
    def gateway(self) -> IPv4Address:
        """The first address of the range; Hetzner keeps it for itself."""
        return self.ip_range.network_address + 1


class CloudFirewall(Model):
    """SSH in from these ranges, everything else shut (on the public side only)."""

    name: n.CloudName
    ssh_source_ips: tuple[n.Network, ...] = ANYONE


class SshKey(Model):
    """A public key as Hetzner registers it. Found again by fingerprint, whatever its name."""

    public_key: n.PublicKey
    name: n.CloudName

    @model_validator(mode="before")
    @classmethod
    def named(cls, value: object) -> object:
        """Given as a line of text (as `!file ID.pub` is), the key names itself."""
        if not isinstance(value, str):
            return value
        _, _, comment = value.partition(" ")[2].partition(" ")
        words = re.sub(r"[^A-Za-z0-9]+", "-", comment)[:40].strip("-") or "key"
        digest = hashlib.sha256(value.encode()).hexdigest()[:8]
        return {"public_key": str(value), "name": f"{words}-{digest}"}


class Hetzner(Model):
    """A Hetzner Cloud project and what servers are made of unless a node says otherwise."""

    token: n.SecretText
    endpoint: n.Url = "https://api.hetzner.cloud/v1"
    location: n.Word = "ash"
    server_type: n.Word = "ccx13"
    image: n.Word = "debian-12"
    network: PrivateNetwork
    placement_group: n.CloudName
    firewall: CloudFirewall
    ssh_keys: tuple[SshKey, ...] = Field(min_length=1)
    protection: n.Boolean = True


class Ssh(Model):
    """How to log in. `jump` is [user@]host[:port]; `config` an ssh_config file."""

    user: n.UserName = "root"
    port: n.Port = 22
    identity_file: n.LocalPath | None = None
    jump: n.JumpHost | None = None
    known_hosts: n.LocalPath | None = None
    config: n.LocalPath | None = None


class Machine(Model):
    """What the machine has, where it should not be observed. Memory and disk in bytes."""

    memory: n.Bytes | None = None
    cores: n.Integer | None = Field(default=None, ge=1)
    disk: n.Bytes | None = None


class Apt(Model):
    """Where PostgreSQL's packages come from, and what else to install."""

    source: Literal["distribution", "pgdg"] = "distribution"
    mirror: n.Url | None = None
    extra_packages: tuple[n.Package, ...] = ()


class OpenPort(Model):
    """A port of the host that is open to some networks, besides SSH and PostgreSQL."""

    port: n.Port
    protocol: Literal["tcp", "udp"] = "tcp"
    source_ips: tuple[n.Network, ...] = Field(min_length=1)
    purpose: n.Purpose


class Host(Model):
    """The operating system under PostgreSQL. What is false is left as it is.

    `ssh_source_ips`: who may reach SSH; as Hetzner's firewall has it, or anyone, if not given.
    `sysctl` wins over the computed kernel settings. `journal_limit` in bytes.
    """

    firewall: n.Boolean = True
    ssh_source_ips: tuple[n.Network, ...] = ()
    open_ports: tuple[OpenPort, ...] = ()
    harden_sshd: n.Boolean = True
    tune_kernel: n.Boolean = True
    sysctl: Annotated[Mapping[n.SysctlName, n.Integer], Frozen] = Field(default_factory=dict)
    huge_pages: n.Boolean = True
    unattended_upgrades: n.Boolean = True
    synchronise_clock: n.Boolean = True
    journal_limit: n.Bytes = 4 << 30
    banner: n.Boolean = True


class HbaRule(Model):
    """Who may connect over TLS with a SCRAM password: to which databases and from where."""

    databases: tuple[n.DatabaseName, ...] = Field(min_length=1)
    users: tuple[n.RoleName, ...] = Field(min_length=1)
    addresses: tuple[n.Network, ...] = Field(min_length=1)


class Replication(Model):
    """The role replicas stream with. `max_slot_wal_keep_size` caps what one slot may hold."""

    role: n.RoleName = "replicator"
    password: n.SecretText
    connection_limit: n.Integer = Field(default=10, ge=1)
    max_slot_wal_keep_size: n.SizeText = "16GB"


class Postgres(Model):
    """One PostgreSQL instance per node. `settings` override the computed ones."""

    version: n.Integer = Field(default=15, ge=13, le=18)
    port: n.Port = 5432
    locale: n.Locale = "C.UTF-8"
    encoding: n.Encoding = "UTF8"
    data_checksums: n.Boolean = True
    settings: Annotated[Mapping[n.SettingName, n.Setting], Frozen] = Field(default_factory=dict)
    allow_dangerous_settings: tuple[Literal["fsync", "full_page_writes"], ...] = ()
    hba: tuple[HbaRule, ...] = ()
    replication: Replication


class Role(Model):
    """A role. Connection limit -1: no limit. No password: no login over the network."""

    name: n.RoleName
    password: n.SecretText | None = None
    login: n.Boolean = True
    inherit: n.Boolean = True
    connection_limit: n.Integer = Field(default=-1, ge=-1)
    member_of: tuple[n.RoleName, ...] = ()
    valid_until: n.Moment | None = None
    comment: n.Text | None = None


class Grant(Model):
    """Privileges for one role. With `created_by`, on objects that role will create later."""

    to: n.RoleName
    privileges: tuple[n.Privilege, ...] = Field(min_length=1)
    on: Literal["database", "schema", "tables", "sequences", "functions"] = "database"
    in_schema: n.SchemaName = "public"
    created_by: n.RoleName | None = None


class Database(Model):
    """A database. Encoding and locale are the instance's unless given."""

    name: n.DatabaseName
    owner: n.RoleName
    encoding: n.Encoding = ""
    locale: n.Locale = ""
    extensions: tuple[n.Extension, ...] = ()
    grants: tuple[Grant, ...] = ()


class S3Repository(Model):
    """A pgBackRest repository in an S3 bucket. `endpoint` may be given as host:port."""

    type: Literal["s3"] = "s3"
    bucket: n.Bucket
    endpoint: n.HostName
    port: n.Port = 443
    region: n.CloudName
    uri_style: Literal["host", "path"] = "host"
    key: n.SecretText
    key_secret: n.SecretText
    ca_file: n.LocalPath | None = None
    path: n.RepositoryPath
    cipher_type: Literal["aes-256-cbc", "none"] = "aes-256-cbc"
    cipher_pass: n.SecretText | None = None
    bundle: n.Boolean = True
    block: n.Boolean = True

    @model_validator(mode="before")
    @classmethod
    def split(cls, value: object) -> object:
        """An endpoint of host:port says the port."""
        if isinstance(value, dict) and isinstance(value.get("endpoint"), str):
            host, _, port = value["endpoint"].partition(":")
            if port.isascii() and port.isdigit() and len(port) < 6:
                return {"port": int(port)} | value | {"endpoint": host}
        return value


class Schedule(Model):
    """When backups run, as systemd's OnCalendar, and the random delay before them."""

    full: n.OnCalendar = "Sun *-*-* 03:00:00"
    differential: n.OnCalendar = "Mon..Sat *-*-* 03:00:00"
    randomized_delay: n.Delay = "15min"


class Backup(Model):
    """pgBackRest. Full backups (and the WAL they need) are kept for `retention_days`."""

    stanza: n.HostLabel = "main"
    repository: S3Repository
    retention_days: n.Integer = Field(default=30, ge=1)
    start_fast: n.Boolean = True
    compress_type: Literal["zst", "lz4", "gz", "none"] = "zst"
    process_max: n.Integer = Field(default=2, ge=1, le=64)
    schedule: Schedule = Schedule()
    archiving: n.Boolean = True


class Tls(Model):
    """The cluster's certificate authority, PEM: its key signs every node's certificate."""

    ca_key: n.PrivateKey
    ca_certificate: n.Certificate


class Node(Model):
    """One machine with one instance. `address`: an existing host; without it, Hetzner makes one.

    `ssh`, `machine`, `server_type`, `location`, `image` are complete after `load`.
    """

    name: n.HostLabel
    role: Literal["primary", "replica"]
    private_ip: n.Address
    address: n.HostName | None = None
    server_type: n.Word = ""
    location: n.Word = ""
    image: n.Word = ""
    ssh: Ssh = Ssh()
    machine: Machine = Machine()

    @property
    def is_primary(self) -> bool:
        return self.role == "primary"


class Inventory(Model):
    """A cluster: its settings, its nodes, the folder they were read from."""

    version: Literal[1] = 1
    cluster: n.HostLabel
    folder: Path
    hetzner: Hetzner | None = None
    ssh: Ssh = Ssh()
    machine: Machine = Machine()
    apt: Apt = Apt()
    host: Host = Host()
    postgres: Postgres
    roles: Annotated[Mapping[n.RoleName, Role], Frozen] = Field(default_factory=dict)
    databases: Annotated[Mapping[n.DatabaseName, Database], Frozen] = Field(default_factory=dict)
    backup: Backup | None = None
    tls: Tls
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
