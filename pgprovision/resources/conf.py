"""postgresql.conf: rendered whole, judged by PostgreSQL before the swap, loaded in the same batch.

Bytes decide whether it differs; the settings that moved explain it and say whether a reload is
enough.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import ClassVar, Self

from pgprovision.model import Answer, Ask, Diff, Do, Facts, Need, Resource, State
from pgprovision.quote import sh
from pgprovision.resources.file import File
from pgprovision.resources.instance import as_postgres
from pgprovision.resources.reload import reload, restart
from pgprovision.resources.settings import settings_in
from pgprovision.resources.sizing import GB, Machine, Section, Setting, habits, sized
from pgprovision.resources.snapshot import Server, Snapshot

Render = Callable[..., str]
"""A template that takes its values by keyword: `partial(render, "postgresql.conf.j2", folder)`."""


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
class Conf(Resource):
    """The main configuration file of a node. Sized from what is known of the machine (bytes,
    cores); what is not given is looked up. `overrides` win over everything else here."""

    kind: ClassVar[str] = "postgresql.conf"
    snapshot: Snapshot
    render: Render = field(compare=False, repr=False)
    node: str
    addresses: tuple[str, ...] = ()
    tls: Tls | None = None
    archive_command: str = ""
    upstream: Upstream | None = None
    overrides: Mapping[str, str | int | float | bool] = field(default_factory=dict, hash=False)
    memory: int | None = None
    cores: int | None = None
    disk: int | None = None
    server: Server | None = field(default=None, compare=False, repr=False)

    @property
    def name(self) -> str:
        return self._file.path

    @property
    def _file(self) -> File:
        path = f"{self.snapshot.instance.config_directory}/postgresql.conf"
        return File(
            on=self.on, path=path, content="", mode="0640", owner="postgres", group="postgres"
        )

    def probe(self) -> Ask:
        return self._file.probe()

    def read(self, answer: Answer) -> State | None:
        return self._file.read(answer)

    def needs(self) -> tuple[Need, ...]:
        """The running server's settings, and the machine's size where it is not given."""
        known = None not in (self.memory, self.cores, self.disk)
        catalog = Need(self.on, self.snapshot.ask())
        return (catalog,) if known else (catalog, Need(self.on, self._size))

    @property
    def _size(self) -> Ask:
        return Ask(
            f"d={sh(self.snapshot.instance.data_directory)}; "
            'until [ -d "${d:-/}" ]; do d=${d%/*}; done\n'
            "sed -n 's/^MemTotal: *\\([0-9]*\\) kB/\\1/p' /proc/meminfo\n"
            'nproc; df -B1 --output=size "${d:-/}" | tail -n 1'
        )

    def settled(self, facts: Facts) -> Self:
        catalog, size = facts.get(self.on, self.snapshot.ask()), facts.get(self.on, self._size)
        server = self.snapshot.parse(catalog) if catalog else None
        known = replace(self, server=server if isinstance(server, Server) else None)
        if size is None or size.code:
            return known
        memory, cores, disk = map(int, size.text.split())
        return replace(
            known,
            memory=self.memory or memory * 1024,
            cores=self.cores or cores,
            disk=self.disk or disk,
        )

    def desired(self) -> State:
        return {**(self._file.desired() or {}), "content": self.text()}

    def text(self) -> str:
        """The whole file."""
        return self.render(sections=tuple(self._overridden()))

    def managed(self) -> frozenset[str]:
        """The name of every setting we look after, whatever the machine's size."""
        whole = replace(self, memory=GB, cores=1, disk=GB)
        return frozenset(s.name for section in whole._overridden() for s in section.settings)

    def explain(self, diff: Diff) -> tuple[str, ...]:
        if diff.before is None or not diff.moved("content"):
            return diff.keys
        others = tuple(key for key in diff.keys if key != "content")
        return (self._moved(diff) or ("comments",)) + others

    def change(self, diff: Diff) -> Iterable[Do]:
        if diff.before is not None and not diff.moved("content"):
            yield from self._file.change(diff)
            return
        instance, path = self.snapshot.instance, sh(self.name)
        postgres = as_postgres(f"{instance.bin}/postgres", "-C", "data_directory")
        judge = (
            f'{postgres} -c config_file="$new" >/dev/null || {{ rm -f "$new"; exit 1; }}\n'
            f"[ ! -e {path} ] || cp -p {path} {path}.previous"
        )
        wish = replace(self._file, content=self.text())
        yield Do(
            f"write {self.name}, once postgres -C accepts it",
            wish.write_text(judge),
            self.text().encode(),
        )
        if self.server is None:
            return
        moved = self._moved(diff)
        contexts = {name.lower(): context for name, context in self.server.contexts.items()}
        postmaster = [name for name in moved if contexts.get(name.lower()) == "postmaster"]
        if postmaster:
            back = f"cp -p {path} {path}.failed; mv -fT {path}.previous {path}"
            yield restart(instance, f"{', '.join(postmaster)} moved", fall_back=back)
        else:
            yield reload(instance, f"{', '.join(moved) or 'comments'} moved")

    def _moved(self, diff: Diff) -> tuple[str, ...]:
        before, after = settings_in(str((diff.before or {}).get("content") or ""), self.text())
        names = sorted({**before, **after})
        return tuple(name for name in names if before.get(name) != after.get(name))

    def _overridden(self) -> Iterator[Section]:
        left = {
            name.lower(): Setting(name, value, "set in the inventory")
            for name, value in self.overrides.items()
        }
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
