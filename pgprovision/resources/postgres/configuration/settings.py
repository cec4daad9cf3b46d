"""All settings of one node's postgresql.conf, section by section."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace

from pgprovision.resources.postgres.configuration.settings_sizing import (
    GB,
    Machine,
    Section,
    Setting,
    habits,
    sized,
)
from pgprovision.resources.postgres.configuration.shared_memory import DEFAULTS
from pgprovision.resources.postgres.server.snapshot import Snapshot


@dataclass(frozen=True)
class Tls:
    """Paths on the host: the server's certificate and key, and the CA that signs clients."""

    certificate: str
    key: str
    ca: str


@dataclass(frozen=True)
class Upstream:
    """Where a standby streams from. The connection string names a passfile, never a password.
    `restore_command` fetches WAL that the primary has no more; without it, there is no archive."""

    conninfo: str
    slot: str
    restore_command: str = ""


@dataclass(frozen=True, kw_only=True)
class NodeSettings:
    """Sized from what is known of the machine (bytes, cores). `overrides` win over everything else
    here."""

    snapshot: Snapshot
    node: str
    addresses: tuple[str, ...] = ()
    tls: Tls | None = None
    archive_mode: bool = True
    archive_command: str = ""
    upstream: Upstream | None = None
    overrides: Mapping[str, str | int | float | bool] = field(default_factory=dict, hash=False)
    memory: int | None = None
    cores: int | None = None
    disk: int | None = None

    @property
    def because(self) -> str:
        """Why a value is higher than it was wished."""
        if self.archive_mode:
            return "a standby's is at least its primary's"
        return "a copy's is at least what the backup was taken with"

    def managed(self) -> frozenset[str]:
        """The name of every setting we look after, whatever the machine's size."""
        whole = replace(self, memory=GB, cores=1, disk=GB)
        return frozenset(s.name for section in whole.sections({}) for s in section.settings)

    def shared_memory(self) -> Mapping[str, int]:
        """What is wished for those that a standby needs as high as its primary."""
        found = dict(DEFAULTS)
        for section in self.sections({}):
            for setting in section.settings:
                if setting.name in found and str(setting.value).isdigit():
                    found[setting.name] = int(setting.value)
        return found

    def sections(self, least: Mapping[str, int]) -> Iterator[Section]:
        """The whole file. `least`: values that may not be lower now, whatever is wished."""
        left = {
            name.lower(): Setting(name, value, "set in the inventory")
            for name, value in self.overrides.items()
        }
        wished = self.shared_memory() if least else {}
        for name, value in least.items():
            if value > wished[name]:
                left[name] = Setting(name, value, self.because)
        for section in self._sections():
            settings = tuple(left.pop(s.name.lower(), s) for s in section.settings)
            yield replace(section, settings=settings)
        if left:
            yield Section("From the inventory", tuple(left.values()))

    def _sections(self) -> Iterator[Section]:
        yield Section("This instance", tuple(self._instance()))
        yield Section("Who may connect, and how", tuple(self._connections()))
        if self.memory and self.cores and self.disk:
            machine = Machine(self.memory, self.cores, self.disk)
            number = {name.lower(): value for name, value in self.overrides.items()}
            connections = int(number.get("max_connections", 200))
            yield from sized(
                machine, max_connections=connections, version=self.snapshot.instance.version
            )
        else:
            yield Section("Sizes: once the machine's memory, cores and disk can be seen", ())
        yield Section("Archive and replication", tuple(self._replication()))
        yield from habits()

    def _instance(self) -> Iterator[Setting]:
        instance = self.snapshot.instance
        config, run = instance.config_directory, "/var/run/postgresql"
        yield Setting("cluster_name", self.node, "the node, in process titles and for guards")
        yield Setting("data_directory", instance.data_directory)
        yield Setting("hba_file", f"{config}/pg_hba.conf")
        yield Setting("ident_file", f"{config}/pg_ident.conf")
        yield Setting("external_pid_file", f"{run}/{instance.version}-{instance.name}.pid")
        yield Setting("unix_socket_directories", run)
        yield Setting("port", instance.port)

    def _connections(self) -> Iterator[Setting]:
        addresses = ",".join(("localhost", *self.addresses))
        yield Setting("listen_addresses", addresses, "loopback and the private address, no other")
        yield Setting("password_encryption", "scram-sha-256")
        yield Setting("ssl", self.tls is not None)
        if self.tls:
            yield Setting("ssl_cert_file", self.tls.certificate)
            yield Setting("ssl_key_file", self.tls.key)
            yield Setting("ssl_ca_file", self.tls.ca)
            yield Setting("ssl_min_protocol_version", "TLSv1.3")

    def _replication(self) -> Iterator[Setting]:
        off = "archiving is off; it can be switched on with a reload"
        if not self.archive_mode:
            yield Setting("archive_mode", False, "a restored copy never archives")
            yield Setting("max_logical_replication_workers", 0, "subscriptions are the original's")
            return
        yield Setting("archive_mode", True)
        yield Setting(
            "archive_command",
            self.archive_command or "/bin/true",
            "" if self.archive_command else off,
        )
        yield Setting("archive_timeout", "60s", "what can be lost with the primary and its disk")
        if self.upstream:
            yield Setting("primary_conninfo", self.upstream.conninfo)
            yield Setting("primary_slot_name", self.upstream.slot)
            if self.upstream.restore_command:
                why = "what the primary does not have any more comes from the archive"
                yield Setting("restore_command", self.upstream.restore_command, why)
