"""pg_hba.conf: who may connect, from where, and how they prove who they are."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from ipaddress import ip_network
from typing import ClassVar, Final, Literal, Self

from pgprovision.errors import InventoryError
from pgprovision.model import Answer, Ask, Diff, Do, Facts, Need, Resource, State
from pgprovision.quote import ident, sh
from pgprovision.resources.conf import Render
from pgprovision.resources.file import File
from pgprovision.resources.reload import reload
from pgprovision.resources.snapshot import Server, Snapshot


class Keyword(str):
    """A word that pg_hba.conf understands; any other string is a name, and quoted."""


ALL: Final = Keyword("all")
REPLICATION: Final = Keyword("replication")
SCRAM: Final = "scram-sha-256"


@dataclass(frozen=True)
class HbaRule:
    """One line. `address` is a range in CIDR notation, ALL, or empty for the socket."""

    type: Literal["local", "host", "hostssl", "hostnossl"]
    databases: tuple[str, ...]
    users: tuple[str, ...]
    method: str
    address: str = ""

    def __post_init__(self) -> None:
        if (self.type == "local") == bool(self.address):
            raise InventoryError(f"a rule of type {self.type} and address {self.address!r}")
        if self.address and not isinstance(self.address, Keyword):
            try:
                ip_network(self.address)
            except ValueError as error:  # PostgreSQL takes host bits without a word
                raise InventoryError(f"pg_hba.conf: {error}") from None

    @property
    def line(self) -> str:
        """The words in columns."""
        databases, users = (",".join(map(_word, names)) for names in (self.databases, self.users))
        text = f"{self.type:<9} {databases:<23} {users:<23} {self.address:<23} {self.method}"
        return text.rstrip()


@dataclass(frozen=True)
class HbaSection:
    title: str
    rules: tuple[HbaRule, ...]


def rules(
    *,
    replication_role: str,
    replicas: Sequence[str],
    access: Sequence[HbaRule],
    superuser: str = "postgres",
) -> Iterator[HbaSection]:
    """The sections in their order: the strict before the wide. `replicas` are the addresses of the
    other nodes; `access` is what the inventory grants to its roles."""
    host: Literal["host"] = "host"
    yield HbaSection(
        "The superuser: only here, only as the system's own user of that name",
        (
            HbaRule("local", (ALL, REPLICATION), (superuser,), "peer"),
            HbaRule(host, (ALL, REPLICATION), (superuser,), "reject", ALL),
        ),
    )
    yield HbaSection("Other local users", (HbaRule("local", (ALL,), (ALL,), SCRAM),))
    yield HbaSection(
        "Never replicate without TLS",
        (HbaRule("hostnossl", (REPLICATION,), (ALL,), "reject", ALL),),
    )
    yield HbaSection(
        "Loopback",
        tuple(HbaRule(host, (ALL,), (ALL,), SCRAM, a) for a in ("127.0.0.1/32", "::1/128")),
    )
    if replicas:
        nodes = (str(ip_network(address)) for address in replicas)
        yield HbaSection(
            "Replication, from the other nodes",
            tuple(HbaRule("hostssl", (REPLICATION,), (replication_role,), SCRAM, a) for a in nodes),
        )
    if access:
        yield HbaSection("Roles, over TLS", tuple(access))
    yield HbaSection("Nobody else", (HbaRule(host, (ALL, REPLICATION), (ALL,), "reject", ALL),))


@dataclass(frozen=True, kw_only=True)
class Hba(Resource):
    """The file. PostgreSQL itself judges it before anything is loaded; where no server runs,
    pgtoolkit alone does."""

    kind: ClassVar[str] = "pg_hba.conf"
    snapshot: Snapshot
    render: Render = field(compare=False, repr=False)
    sections: tuple[HbaSection, ...]
    running: bool = False

    @property
    def name(self) -> str:
        return self._file.path

    @property
    def _file(self) -> File:
        path = f"{self.snapshot.instance.config_directory}/pg_hba.conf"
        attributes = {"mode": "0640", "owner": "postgres", "group": "postgres"}
        return File(on=self.on, path=path, content=self.text(), **attributes)

    def text(self) -> str:
        """The whole file. Raises InventoryError where other rules would be read in it."""
        text = self.render(sections=self.sections)
        _judge(text, [rule for section in self.sections for rule in section.rules])
        return text

    def needs(self) -> tuple[Need, ...]:
        return (Need(self.on, self.snapshot.ask()),)

    def settled(self, facts: Facts) -> Self:
        answer = facts.get(self.on, self.snapshot.ask())
        server = self.snapshot.parse(answer) if answer else None
        return replace(self, running=isinstance(server, Server))

    def probe(self) -> Ask:
        return self._file.probe()

    def read(self, answer: Answer) -> State | None:
        return self._file.read(answer)

    def desired(self) -> State | None:
        return self._file.desired()

    def explain(self, diff: Diff) -> tuple[str, ...]:
        """The lines that go (-) and come (+)."""
        if diff.before is None or not diff.moved("content"):
            return diff.keys
        before, after = _lines(str(diff.before["content"])), _lines(self.text())
        gone = [f"- {line}" for line in before if line not in after]
        come = [f"+ {line}" for line in after if line not in before]
        others = [key for key in diff.keys if key != "content"]
        return (*(gone + come or ["order and comments"]), *others)

    def change(self, diff: Diff) -> Iterable[Do]:
        if diff.before is not None and not diff.moved("content"):
            yield from self._file.change(diff)
            return
        path = sh(self.name)
        keep = f"[ ! -e {path} ] || cp -p {path} {path}.previous"
        text = self._file.write_text(keep)
        if not self.running:
            yield Do(f"write {self.name}", text, self.text().encode())
            return
        errors = "select line_number, error from pg_hba_file_rules where error is not null"
        text += (
            f"\nerrors=$({self.snapshot.instance.psql()} -c {sh(errors)})"
            " || errors='it cannot be asked'\n"
            f'[ -n "$errors" ] || exit 0\nmv -fT {path}.previous {path}\n'
            'echo "PostgreSQL cannot read it; the previous file is back: $errors" >&2; exit 1'
        )
        yield Do(f"write {self.name}, unless PostgreSQL rejects it", text, self.text().encode())
        yield reload(self.snapshot.instance, "new rules")


def _word(name: str) -> str:
    if isinstance(name, Keyword):
        return str(name)
    if not name.isprintable() or name.startswith("/"):
        raise InventoryError(f"pg_hba.conf cannot hold this name: {name!r}")
    return ident(name)


def _lines(text: str) -> list[str]:
    lines = (" ".join(line.split()) for line in text.splitlines())
    return [line for line in lines if line and not line.startswith("#")]


def _judge(text: str, wished: Sequence[HbaRule]) -> None:
    if any('"' in name for rule in wished for name in (*rule.databases, *rule.users)):
        return  # pgtoolkit does not know doubled quotes; PostgreSQL judges on the host
    from pgtoolkit import hba  # late: only a rendered file needs it
    from pgtoolkit.errors import ParseError

    try:
        found = [
            (r.conntype, r.method) for r in hba.parse(text.splitlines()) if hasattr(r, "method")
        ]
    except (ParseError, ValueError) as error:
        raise InventoryError(f"pg_hba.conf would not be readable: {error}") from error
    if found != [(rule.type, rule.method) for rule in wished]:
        raise InventoryError("pg_hba.conf would hold other rules than the inventory's")
