"""The rules of pg_hba.conf as values: written as lines, and matched with logins."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from ipaddress import ip_address, ip_network
from typing import Final, Literal

from pgprovision.errors import InventoryError
from pgprovision.quote import ident


class HbaKeyword(str):
    """A keyword of pg_hba.conf; any other string is a name, and quoted."""


ALL: Final = HbaKeyword("all")
REPLICATION: Final = HbaKeyword("replication")
SCRAM: Final = "scram-sha-256"


@dataclass(frozen=True)
class HbaRule:
    """One line."""

    type: Literal["local", "host", "hostssl", "hostnossl"]
    databases: tuple[str, ...]
    users: tuple[str, ...]
    method: str
    address: str = ""
    """A range in CIDR notation, ALL, or empty for the socket."""

    def __post_init__(self) -> None:
        if (self.type == "local") == bool(self.address):
            raise InventoryError(f"a rule of type {self.type} and address {self.address!r}")
        if self.address and not isinstance(self.address, HbaKeyword):
            try:
                ip_network(self.address)
            except ValueError as error:  # PostgreSQL takes host bits without a word
                raise InventoryError(f"pg_hba.conf: {error}") from None

    def matches(self, login: "RequiredLogin") -> bool:
        """Whether this rule decides about a login, if no earlier one does."""
        kinds = ("host", "hostssl") if login.address else ("local",)
        return (
            self.type in kinds
            and any(_matches_database(name, login.database) for name in self.databases)
            and any(name == login.user or _is_all(name) for name in self.users)
            and (self.address == login.address or _address_in(login.address, self.address))
        )

    @property
    def line(self) -> str:
        """The fields in columns."""
        databases, users = (
            ",".join(map(_quoted_name, names)) for names in (self.databases, self.users)
        )
        text = f"{self.type:<9} {databases:<23} {users:<23} {self.address:<23} {self.method}"
        return text.rstrip()


@dataclass(frozen=True)
class HbaSection:
    title: str
    rules: tuple[HbaRule, ...]


def pg_hba_sections(
    *,
    replication_role: str,
    replicas: Sequence[str],
    access: Sequence[HbaRule],
    features: Sequence[HbaSection] = (),
    superuser: str = "postgres",
) -> Iterator[HbaSection]:
    """The sections in their order, strict rules before wide ones. `replicas` are the addresses of
    the other nodes; `access` is what the inventory grants to its roles, `features` are the
    sections of features."""
    host: Literal["host"] = "host"
    yield HbaSection(
        "The superuser: only here, only as the system's own user of that name",
        (
            HbaRule("local", (ALL, REPLICATION), (superuser,), "peer"),
            HbaRule(host, (ALL, REPLICATION), (superuser,), "reject", ALL),
        ),
    )
    yield from features
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


@dataclass(frozen=True)
class RequiredLogin:
    """A login that has to work."""

    purpose: str
    """What it is for, for people."""
    database: str
    user: str
    method: str
    address: str = ""
    """Where it comes from, over TLS; empty: the socket."""


def locked_out(rules: Iterable[HbaRule], logins: Iterable[RequiredLogin]) -> Iterator[str]:
    """The logins that these rules would reject, each with the rule that does."""
    all_rules = tuple(rules)
    for login in logins:
        matching = next((rule for rule in all_rules if rule.matches(login)), None)
        if matching is None or matching.method != login.method:
            line = " ".join(matching.line.split()) if matching else "no line for it"
            yield f"{login.purpose} (by: {line})"


def _is_all(name: str) -> bool:
    return isinstance(name, HbaKeyword) and name == ALL


def _matches_database(name: str, database: str) -> bool:
    if isinstance(name, HbaKeyword) or isinstance(database, HbaKeyword):
        expected = REPLICATION if isinstance(database, HbaKeyword) else ALL
        return isinstance(name, HbaKeyword) and name == expected
    return name == database


def _address_in(address: str, network: str) -> bool:
    if not address or not network:
        return False
    return isinstance(network, HbaKeyword) or ip_address(address) in ip_network(network)


def _quoted_name(name: str) -> str:
    if isinstance(name, HbaKeyword):
        return str(name)
    if not name.isprintable() or name.startswith("/"):
        raise InventoryError(f"a name that pg_hba.conf does not allow: {name!r}")
    return ident(name)
