"""What an inventory says, as typed, frozen values. Every key has a default where a sane one exists.

Names are the field's own: Hetzner's for servers, PostgreSQL's for databases, pgBackRest's for
backups. `load` fills in what one part takes from another, so readers never merge defaults.
All that can be written into an inventory, on two pages: backups are on their own.
"""

import hashlib
import re
from collections.abc import Mapping
from ipaddress import IPv4Address, IPv4Network, ip_network
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, Field, PrivateAttr, model_validator

from pgprovision.errors import InventoryError
from pgprovision.inventory.resolver import Resolver
from pgprovision.inventory.schema import types as n
from pgprovision.inventory.schema.backup import BackupSpec
from pgprovision.inventory.schema.base import Model
from pgprovision.inventory.schema.restore import RestoreSpec
from pgprovision.inventory.schema.validators import frozen_mapping

FrozenMapping = AfterValidator(frozen_mapping)
ANY_NETWORK = (ip_network("0.0.0.0/0"), ip_network("::/0"))


class PrivateNetwork(Model):
    """A Hetzner network and the subnet the nodes live in. `existing`: looked up by name or id,
    never made, changed or deleted."""

    name: n.CloudName
    """What it is called in the project."""
    ip_range: n.PrivateCidr = IPv4Network("10.0.0.0/16")
    """All of its addresses; the first one is Hetzner's gateway."""
    subnet: n.PrivateCidr = IPv4Network("10.0.1.0/24")
    """The part of it the nodes live in."""
    network_zone: n.HetznerName = "us-east"
    """Hetzner's zone; it has to be the location's zone."""
    existing: n.Boolean = False
    """It is foreign: looked up, never created, changed or removed."""

    @property
    def gateway(self) -> IPv4Address:
        """The first address of the range; Hetzner keeps it for itself."""
        return self.ip_range.network_address + 1


class CloudFirewallRule(Model):
    """Traffic that the cloud firewall allows in addition to SSH; the host firewall allows it by
    `host.open_ports`."""

    protocol: Literal["tcp", "udp", "icmp", "esp", "gre"] = "tcp"
    """What it is."""
    port: n.Port | None = None
    """Its port: tcp and udp have one, the others none."""
    source_ips: tuple[n.Cidr, ...] = Field(min_length=1, max_length=100)
    """Networks from which it is let in."""
    purpose: n.Purpose
    """What for, in a few words: the rule's description at Hetzner."""

    @model_validator(mode="after")
    def check_port(self) -> Self:
        if (self.protocol in ("tcp", "udp")) != (self.port is not None):
            raise ValueError("expected a port for tcp and udp, and none for the others")
        return self


class CloudFirewall(Model):
    """Allows SSH from these ranges and what the rules say; all else is closed (on the public side
    only: Hetzner's firewall does not filter the private network)."""

    name: n.CloudName
    """What it is called in the project."""
    ssh_source_ips: tuple[n.Cidr, ...] = ANY_NETWORK
    """Networks from which SSH is let in."""
    rules: tuple[CloudFirewallRule, ...] = Field(default=(), max_length=49)
    """What else is let in."""


class SshKeySpec(Model):
    """A public key as Hetzner registers it. Found again by fingerprint, whatever its name."""

    public_key: n.PublicKey
    """The key, in one line."""
    name: n.CloudName
    """What it is called in the project; if not given, made from the key and its comment."""

    @model_validator(mode="before")
    @classmethod
    def parse_key_line(cls, value: object) -> object:
        """Given as a line of text (as `!file ID.pub` is), the key names itself."""
        if not isinstance(value, str):
            return value
        _, _, comment = value.partition(" ")[2].partition(" ")
        words = re.sub(r"[^A-Za-z0-9]+", "-", comment)[:40].strip("-") or "key"
        digest = hashlib.sha256(value.encode()).hexdigest()[:8]
        return {"public_key": str(value), "name": f"{words}-{digest}"}


class HetznerSpec(Model):
    """A Hetzner Cloud project and what servers are made of unless a node says otherwise."""

    token: n.SecretText
    """The project's API token, with read and write."""
    endpoint: n.Url = "https://api.hetzner.cloud/v1"
    """Where the API answers."""
    location: n.HetznerName = "ash"
    """Where servers are made, for instance ash, fsn1 or hel1."""
    server_type: n.HetznerName = "ccx13"
    """What servers are made, for instance ccx13: 2 dedicated vCPUs, 8 GB."""
    image: n.HetznerName = "debian-12"
    """What new servers are installed with."""
    network: PrivateNetwork
    """The private network of the nodes."""
    placement_group: n.CloudName
    """Name of the spread group: no two nodes on one machine of Hetzner's."""
    firewall: CloudFirewall
    """Hetzner's firewall, on the public side from a server's first second."""
    ssh_keys: tuple[SshKeySpec, ...] = Field(min_length=1)
    """Public keys that new servers let in, for root."""
    protection: n.Boolean = True
    """Protects servers against deletion and rebuild, also by hand in the console."""
    ipv4: n.Boolean = True
    """A public IPv4 address each, beside IPv6. Servers without are not supported."""


class Ssh(Model):
    """How to log in. `jump` is [user@]host[:port]; `config` an ssh_config file."""

    user: n.UserName = "root"
    """Who logs in; anybody but root needs sudo without a password."""
    port: n.Port = 22
    """Where sshd listens."""
    identity_file: n.LocalPath | None = None
    """The private key; if not given, the agent's keys and ssh's own defaults."""
    jump: n.JumpHost | None = None
    """A host to jump over."""
    known_hosts: n.LocalPath | None = None
    """The file that pins host keys by node name; if not given, secrets/known_hosts."""
    config: n.LocalPath | None = None
    """An ssh_config file to read."""


class MachineOverrides(Model):
    """What the machine has, where it should not be observed. Memory and disk in bytes."""

    memory: n.Bytes | None = None
    """Main memory."""
    cores: n.Integer | None = Field(default=None, ge=1)
    """Processors."""
    disk: n.Bytes | None = None
    """The disk that holds the data directory."""


class Apt(Model):
    """Where PostgreSQL's packages come from, and what else to install."""

    source: Literal["distribution", "pgdg"] = "distribution"
    """Origin of PostgreSQL: the distribution, or the PostgreSQL project's own repository."""
    mirror: n.Url | None = None
    """Another address of that repository: a mirror, or one of your own in its shape."""
    mirror_key: n.PgpPublicKey | None = None
    """The public key that alone may sign the mirror, if it is not signed with PGDG's."""
    extra_packages: tuple[n.Package, ...] = ()
    """Other packages to install."""


class OpenPort(Model):
    """A port of the host that is open to some networks, in addition to SSH and PostgreSQL."""

    port: n.Port
    """The port."""
    protocol: Literal["tcp", "udp"] = "tcp"
    """Its transport."""
    source_ips: tuple[n.Cidr, ...] = Field(min_length=1)
    """Networks that may reach it."""
    purpose: n.Purpose
    """What for; stands beside the rule."""


class HostSpec(Model):
    """The operating system under PostgreSQL. What is false is left as it is.

    `ssh_source_ips`: who may reach SSH; as Hetzner's firewall has it, or anyone, if not given.
    `sysctl` wins over the computed kernel settings. `journal_limit` in bytes.
    """

    firewall: n.Boolean = True
    """A table of our own in nftables: SSH and PostgreSQL for those named, nothing else in."""
    ssh_source_ips: tuple[n.Cidr, ...] = ()
    """Networks that may reach SSH; if none, as Hetzner's firewall has it, or anybody."""
    open_ports: tuple[OpenPort, ...] = ()
    """What else is open."""
    harden_sshd: n.Boolean = True
    """Keys only, no forwarding of what is not needed."""
    tune_kernel: n.Boolean = True
    """Kernel settings for a machine that PostgreSQL has to itself."""
    sysctl: Annotated[Mapping[n.SysctlName, n.Integer], FrozenMapping] = Field(default_factory=dict)
    """Kernel settings of your own, by name; they win over the computed ones."""
    huge_pages: n.Boolean = True
    """Reserves as many as PostgreSQL asks for."""
    noatime: n.Boolean | None = None
    """The data's filesystem without access times; if not given, on servers that are made here."""
    unattended_upgrades: n.Boolean = True
    """Security updates by themselves, PostgreSQL's own left to people."""
    synchronise_clock: n.Boolean = True
    """Sees that a time service runs."""
    journal_limit: n.Bytes = 4 << 30
    """What systemd's journal may take on disk."""
    banner: n.Boolean = True
    """Tells whoever logs in which machine of which cluster this is."""


class HbaRuleSpec(Model):
    """Who may connect over TLS with a SCRAM password: to which databases and from where."""

    databases: tuple[n.DatabaseName, ...] = Field(min_length=1)
    """Databases of this inventory."""
    users: tuple[n.RoleName, ...] = Field(min_length=1)
    """Roles of this inventory."""
    addresses: tuple[n.Cidr, ...] = Field(min_length=1)
    """Networks they come from."""


class Replication(Model):
    """The role replicas stream with. `max_slot_wal_keep_size` limits what one slot may retain."""

    role: n.RoleName = "replicator"
    """Its name."""
    password: Annotated[n.SecretText, n.FilledIn()]
    """Its password; if not given, from secrets/replicator.password."""
    connection_limit: n.Integer = Field(default=10, ge=1)
    """How many connections it may have."""
    max_slot_wal_keep_size: n.SizeText | None = None
    """How much WAL a lost replica's slot may retain on the primary before the slot is given up; if
    not given, a fifth of the disk."""


class Postgres(Model):
    """One PostgreSQL instance per node. `settings` override the computed ones."""

    version: n.Integer = Field(default=15, ge=13, le=18)
    """The major version."""
    port: n.Integer = Field(default=5432, ge=1024, le=65535)
    """Where it listens, on loopback and the private address. Below 1024 only root may."""
    locale: n.Locale = "C.UTF-8"
    """Of new clusters and databases. C.UTF-8 sorts by code point, on every release alike."""
    encoding: n.Encoding = "UTF8"
    """Of new clusters and databases."""
    data_checksums: n.Boolean = True
    """Detects pages that the disk changed."""
    settings: Annotated[Mapping[n.SettingName, n.SettingValue], FrozenMapping] = Field(
        default_factory=dict
    )
    """Settings of postgresql.conf by name, over the computed ones."""
    allow_dangerous_settings: tuple[Literal["fsync", "full_page_writes"], ...] = ()
    """Which of these may be off; without them a crash loses data."""
    hba: tuple[HbaRuleSpec, ...] = ()
    """Who may connect over the network; the first rule that fits decides."""
    replication: Annotated[Replication, n.FilledIn()]
    """How replicas log in."""


class RoleSpec(Model):
    """A role. Connection limit -1: no limit. No password: no login over the network.

    `settings`: what its sessions start with. `present` false: it shall be gone, and it is dropped
    once it owns nothing and holds no privilege.
    """

    name: Annotated[n.RoleName, n.FilledIn()]
    """Its name; the key it stands under says it."""
    password: n.SecretText | None = None
    """Its password; PostgreSQL gets a SCRAM verifier of it."""
    login: n.Boolean = True
    """Whether it may log in."""
    inherit: n.Boolean = True
    """Whether it has the privileges of the roles it belongs to at once."""
    connection_limit: n.Integer = Field(default=-1, ge=-1)
    """How many connections it may have; -1: any number."""
    member_of: tuple[n.RoleName, ...] = ()
    """Roles of this inventory it belongs to."""
    valid_until: n.Timestamp | None = None
    """When its password ends."""
    comment: n.Text | None = None
    """A comment that PostgreSQL stores with it."""
    settings: Annotated[Mapping[n.SettingName, n.SettingValue], FrozenMapping] = Field(
        default_factory=dict
    )
    """Settings its sessions start with, by name."""
    present: n.Boolean = True
    """False: it shall be gone. It is dropped once it owns nothing."""


class GrantSpec(Model):
    """Privileges for one role. With `created_by`, on objects that role will create later."""

    to: n.RoleName
    """A role of this inventory."""
    privileges: tuple[n.Privilege, ...] = Field(min_length=1)
    """In capitals, as SQL has them, or ALL."""
    on: Literal["database", "schema", "tables", "sequences", "functions"] = "database"
    """On what."""
    in_schema: n.SchemaName = "public"
    """In which schema, where it is not the database itself."""
    created_by: n.RoleName | None = None
    """With it: default privileges, on what this role creates from now on."""


class AccessGroup(Model):
    """A role that holds privileges and that nobody logs in as; its logins inherit them.

    Two logins, used in turns, let a password be changed while everybody keeps working.
    """

    group: n.RoleName
    """The role that holds the privileges; nobody logs in as it."""
    logins: tuple[n.RoleName, ...] = ()
    """Roles of this inventory that belong to it."""


class Access(Model):
    """Who may do what in a database and in these schemas, now and with all that is made later.

    `migration`: logins that change the schema, each acting as the database's owner. `application`
    reads and writes, `read_only` reads; neither can run DDL.
    """

    migration: tuple[n.RoleName, ...] = ()
    """Logins that may change the schema."""
    application: AccessGroup | None = None
    """Logins that read and write."""
    read_only: AccessGroup | None = None
    """Logins that read."""
    schemas: tuple[n.SchemaName, ...] = Field(default=("public",), min_length=1)
    """In which schemas."""

    @property
    def groups(self) -> tuple[AccessGroup, ...]:
        return tuple(group for group in (self.application, self.read_only) if group)


class DatabaseSpec(Model):
    """A database. Encoding and locale are the instance's unless given."""

    name: Annotated[n.DatabaseName, n.FilledIn()]
    """Its name; the key it stands under says it."""
    owner: n.RoleName
    """A role of this inventory."""
    encoding: n.Encoding = ""
    """If not given, as postgres.encoding."""
    locale: n.Locale = ""
    """If not given, as postgres.locale."""
    extensions: tuple[n.ExtensionName, ...] = ()
    """Extensions to have in it. Known ones bring their package and settings (postgres.md)."""
    grants: tuple[GrantSpec, ...] = ()
    """Single privileges."""
    access: Access | None = None
    """Privileges by duty: who migrates, who reads and writes, who only reads."""


class TlsSpec(Model):
    """The cluster's certificate authority, PEM: its key signs every node's certificate."""

    ca_key: Annotated[n.PrivateKeyPem, n.FilledIn()]
    """Its private key, which never leaves this machine; if not given, from secrets/ca.key."""
    ca_certificate: Annotated[n.CertificatePem, n.FilledIn()]
    """Its certificate; if not given, from secrets/ca.crt."""


class Node(Model):
    """One machine with one instance. `address`: an existing host; without it, Hetzner makes one.

    `ssh`, `machine`, `server_type`, `location`, `image` are complete after `load`. `clone_from`:
    where a replica's first data come from, its primary or the backup repository.
    """

    name: Annotated[n.HostLabel, n.FilledIn()]
    """Its name, which is the file's: nodes/NAME.yml."""
    role: Literal["primary", "replica", "copy"]
    """What it begins as. The live role wins over it. A copy was restored from the backups: it
    follows nobody, archives nothing and is no part of replication."""
    private_ip: n.PrivateIp
    """Its address in the private network."""
    address: n.HostName | None = None
    """Where an existing host answers SSH, by name or IP; without it Hetzner makes the server."""
    server_type: n.HetznerName = ""
    """If not given, as hetzner.server_type."""
    location: n.HetznerName = ""
    """If not given, as hetzner.location."""
    image: n.HetznerName = ""
    """If not given, as hetzner.image."""
    clone_from: Literal["primary", "backup"] = "primary"
    """Where a replica takes its first data from: its primary, or the backup repository."""
    restore: RestoreSpec | None = None
    """What a copy's data are of; if not given, the end of the WAL."""
    ssh: Ssh = Ssh()
    """What is different from the cluster's ssh."""
    machine: MachineOverrides = MachineOverrides()
    """What is different from the cluster's machine."""

    @property
    def is_primary(self) -> bool:
        return self.role == "primary"

    @property
    def is_copy(self) -> bool:
        return self.role == "copy"


class Inventory(Model):
    """A cluster: its settings, its nodes, the folder they were read from."""

    version: Literal[1] = 1
    """The inventory's own format."""
    cluster: n.HostLabel
    """The cluster's name: the label that marks what is ours."""
    folder: Path
    hetzner: HetznerSpec | None = None
    """Servers to make. Left out where all hosts exist already."""
    ssh: Ssh = Ssh()
    """How to log in to the nodes."""
    machine: MachineOverrides = MachineOverrides()
    """The machines' size, where it should not be observed."""
    apt: Apt = Apt()
    """Packages."""
    host: HostSpec = HostSpec()
    """The operating system under PostgreSQL."""
    postgres: Annotated[Postgres, n.FilledIn()]
    """PostgreSQL itself."""
    roles: Annotated[Mapping[n.RoleName, RoleSpec], FrozenMapping] = Field(default_factory=dict)
    """Roles by name."""
    databases: Annotated[Mapping[n.DatabaseName, DatabaseSpec], FrozenMapping] = Field(
        default_factory=dict
    )
    """Databases by name."""
    backup: BackupSpec | None = None
    """Backups. Without it there are none."""
    tls: Annotated[TlsSpec, n.FilledIn()]
    """The cluster's certificate authority; `secrets init` makes it."""
    nodes: tuple[Node, ...] = Field(min_length=1)
    _resolver: Resolver = PrivateAttr()

    def model_post_init(self, context: Any, /) -> None:
        self._resolver = (context or {}).get("resolver") or Resolver(self.folder)

    @property
    def resolver(self) -> Resolver:
        """What the references were resolved by: a later load with it resolves none again."""
        return self._resolver

    @property
    def primary(self) -> Node:
        """The declared primary. The live role wins over it."""
        return next(node for node in self.nodes if node.is_primary)

    @property
    def replicas(self) -> tuple[Node, ...]:
        return tuple(node for node in self.nodes if node.role == "replica")

    @property
    def members(self) -> tuple[Node, ...]:
        """The primary and its replicas: all but restored copies."""
        return tuple(node for node in self.nodes if not node.is_copy)

    def other_members(self, node: Node) -> tuple[Node, ...]:
        """The members beside this one; a copy has none."""
        if node.is_copy:
            return ()
        return tuple(other for other in self.members if other.name != node.name)

    @property
    def secrets_folder(self) -> Path:
        return self.folder / "secrets"

    def node(self, name: str) -> Node:
        """The node of this name. Raises InventoryError, which names those that there are."""
        return self._named(name)

    def select(self, scope: str) -> tuple[Node, ...]:
        """The nodes that a scope means: primary, replicas, all, or one by its name.

        Raises InventoryError where it means none."""
        if scope == "all":
            return self.nodes
        if scope == "primary":
            return (self.primary,)
        if scope == "replicas" and self.replicas:
            return self.replicas
        return (self._named(scope, "primary", "replicas", "all"),)

    def _named(self, name: str, *also: str) -> Node:
        """`also`: what else could have been written in its place."""
        for node in self.nodes:
            if node.name == name:
                return node
        names = ", ".join([*also, *(node.name for node in self.nodes)])
        raise InventoryError(f"no node is called {name!r}", next=f"one of: {names}")
