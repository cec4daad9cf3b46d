"""All settings of one node's postgresql.conf, section by section."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace

from pgprovision.quantity import GB
from pgprovision.resources.postgres.configuration.settings_sizing import (
    ConfSection,
    ConfSetting,
    MachineSize,
    general_sections,
    sized_sections,
)
from pgprovision.resources.postgres.configuration.shared_memory import STANDBY_PARAMETERS
from pgprovision.resources.postgres.server.snapshot import SnapshotQuery

ARCHIVE_SECTION = "Archive and replication"
SET_IN_INVENTORY = "set in the inventory"


@dataclass(frozen=True)
class TlsPaths:
    """Paths on the host: the server's certificate and key, and the CA that signs clients."""

    certificate: str
    key: str
    ca: str


@dataclass(frozen=True)
class Upstream:
    """Where a standby streams from."""

    conninfo: str
    """The connection string; it names a passfile, never a password."""
    slot: str
    """Its replication slot on the primary."""


@dataclass(frozen=True, kw_only=True)
class NodeSettings:
    """The settings of one node: computed for its machine, overridden by what is declared."""

    snapshot: SnapshotQuery
    """Its instance."""
    node: str
    """Its name, for process titles and guards."""
    addresses: tuple[str, ...] = ()
    """Where it listens in addition to loopback."""
    tls: TlsPaths | None = None
    """Its certificate; None: connections are not encrypted."""
    archive_mode: bool = True
    """Off for a restored copy, which never archives and follows nobody."""
    upstream: Upstream | None = None
    """Of a standby, where it streams from."""
    feature_sections: tuple[ConfSection, ...] = ()
    """Settings of features: they win over the computed ones, `overrides` win over them."""
    preload_libraries: tuple[str, ...] = ()
    """Libraries to append to shared_preload_libraries."""
    overrides: Mapping[str, str | int | float | bool] = field(default_factory=dict, hash=False)
    """What the inventory sets; it wins over what is computed."""
    fixed: tuple[ConfSetting, ...] = ()
    """Settings of the task that builds the node, with the reason; they win over the inventory."""
    memory: int | None = None
    """Bytes; None: not known yet."""
    cores: int | None = None
    """None: not known yet."""
    disk: int | None = None
    """Bytes of the data directory's file system; None: not known yet."""

    @property
    def raised_reason(self) -> str:
        """Why a value is higher than declared."""
        if self.archive_mode:
            return "a standby's is at least its primary's"
        return "a copy's is at least what the backup was taken with"

    def managed_names(self) -> frozenset[str]:
        """The name of every setting that pgprovision manages, whatever the machine's size."""
        complete = replace(self, memory=GB, cores=1, disk=GB)
        return frozenset(s.name for section in complete.sections({}) for s in section.settings)

    def standby_parameters(self) -> Mapping[str, int]:
        """The declared values of the settings that a standby needs as high as its primary."""
        found = dict(STANDBY_PARAMETERS)
        for section in self.sections({}):
            for setting in section.settings:
                if setting.name in found and str(setting.value).isdigit():
                    found[setting.name] = int(setting.value)
        return found

    def sections(self, minimum: Mapping[str, int]) -> Iterator[ConfSection]:
        """All sections of the file. `minimum`: values that may not be lower now, whatever is
        declared."""
        overriding = {
            name.lower(): ConfSetting(name, value, SET_IN_INVENTORY)
            for name, value in self.overrides.items()
        } | {setting.name.lower(): setting for setting in self.fixed}
        desired = self.standby_parameters() if minimum else {}
        for name, value in minimum.items():
            if value > desired[name]:
                overriding[name] = ConfSetting(name, value, self.raised_reason)
        for section in self._with_features():
            settings = (overriding.pop(s.name.lower(), s) for s in section.settings)
            yield replace(section, settings=tuple(map(self._with_preload, settings)))
        if overriding:
            yield ConfSection("From the inventory", tuple(overriding.values()))

    def _with_features(self) -> Iterator[ConfSection]:
        """The computed sections with the features' settings: in place where there is one of that
        name, else at the end of the section of that title, else in one of their own."""
        left = {s.name.lower(): s for part in self.feature_sections for s in part.settings}
        by_title = {part.title: part.settings for part in self.feature_sections}

        def not_placed(title: str) -> tuple[ConfSetting, ...]:
            return tuple(s for s in by_title.pop(title, ()) if left.pop(s.name.lower(), None))

        for section in self._sections():
            in_place = tuple(left.pop(s.name.lower(), s) for s in section.settings)
            yield replace(section, settings=(*in_place, *not_placed(section.title)))
        for title in tuple(by_title):
            if settings := not_placed(title):
                yield ConfSection(title, settings)

    def _with_preload(self, setting: ConfSetting) -> ConfSetting:
        """shared_preload_libraries with what has to be in it, behind what is."""
        if setting.name.lower() != "shared_preload_libraries":
            return setting
        declared = [name.strip() for name in str(setting.value).split(",") if name.strip()]
        known = {library_name(name) for name in declared}
        missing = [n for n in dict.fromkeys(self.preload_libraries) if n not in known]
        if not missing:
            return setting
        why = "; ".join(filter(None, (setting.why, f"{', '.join(missing)} for extensions")))
        return ConfSetting(setting.name, ",".join((*declared, *missing)), why)

    def _sections(self) -> Iterator[ConfSection]:
        yield ConfSection("This instance", tuple(self._instance()))
        yield ConfSection("Who may connect, and how", tuple(self._connections()))
        if self.memory and self.cores and self.disk:
            machine = MachineSize(self.memory, self.cores, self.disk)
            number = {name.lower(): value for name, value in self.overrides.items()}
            connections = int(number.get("max_connections", 200))
            yield from sized_sections(
                machine, max_connections=connections, version=self.snapshot.instance.version
            )
        else:
            yield ConfSection("Sizes: once the machine's memory, cores and disk can be seen", ())
        yield ConfSection(ARCHIVE_SECTION, tuple(self._replication()))
        yield from general_sections()

    def _instance(self) -> Iterator[ConfSetting]:
        instance = self.snapshot.instance
        config, run = instance.config_directory, "/var/run/postgresql"
        yield ConfSetting("cluster_name", self.node, "the node, in process titles and for guards")
        yield ConfSetting("data_directory", instance.data_directory)
        yield ConfSetting("hba_file", f"{config}/pg_hba.conf")
        yield ConfSetting("ident_file", f"{config}/pg_ident.conf")
        yield ConfSetting("external_pid_file", f"{run}/{instance.version}-{instance.name}.pid")
        yield ConfSetting("unix_socket_directories", run)
        yield ConfSetting("port", instance.port)

    def _connections(self) -> Iterator[ConfSetting]:
        addresses = ",".join(("localhost", *self.addresses))
        yield ConfSetting(
            "listen_addresses", addresses, "loopback and the private address, no other"
        )
        yield ConfSetting("password_encryption", "scram-sha-256")
        yield ConfSetting("ssl", self.tls is not None)
        if self.tls:
            yield ConfSetting("ssl_cert_file", self.tls.certificate)
            yield ConfSetting("ssl_key_file", self.tls.key)
            yield ConfSetting("ssl_ca_file", self.tls.ca)
            yield ConfSetting("ssl_min_protocol_version", "TLSv1.3")

    def _replication(self) -> Iterator[ConfSetting]:
        off = "archiving is off; it can be switched on with a reload"
        if not self.archive_mode:
            yield ConfSetting("archive_mode", False, "a restored copy never archives")
            yield ConfSetting(
                "max_logical_replication_workers", 0, "subscriptions are the original's"
            )
            return
        yield ConfSetting("archive_mode", True)
        yield ConfSetting("archive_command", "/bin/true", off)
        yield ConfSetting(
            "archive_timeout", "60s", "what can be lost with the primary and its disk"
        )
        if self.upstream:
            yield ConfSetting("primary_conninfo", self.upstream.conninfo)
            yield ConfSetting("primary_slot_name", self.upstream.slot)


def library_name(entry: str) -> str:
    """An entry of shared_preload_libraries without quotes, folder and ending.

    >>> library_name('"$libdir/pg_cron.so"')
    'pg_cron'
    """
    return entry.strip('"').rpartition("/")[2].removesuffix(".so")
