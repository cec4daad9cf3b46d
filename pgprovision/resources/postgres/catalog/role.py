"""Roles: their attributes and memberships, and a password that PostgreSQL never sees."""

import secrets
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import ClassVar, Self

from pgprovision.engine.model import Action, Diff, Facts, Need, State, WithNeeds
from pgprovision.errors import InventoryError, Refused
from pgprovision.quote import ident, literal
from pgprovision.resources.postgres.catalog import scram
from pgprovision.resources.postgres.catalog.role_dependencies import (
    dependency_names,
    role_dependencies_probe,
)
from pgprovision.resources.postgres.server.catalog_resource import CatalogResource
from pgprovision.resources.postgres.server.snapshot import ServerSnapshot
from pgprovision.secret import Secret

ATTRIBUTES = {  # SQL words for true; false is the same with NO in front
    "superuser": "SUPERUSER",
    "createrole": "CREATEROLE",
    "createdb": "CREATEDB",
    "inherit": "INHERIT",
    "login": "LOGIN",
    "replication": "REPLICATION",
    "bypassrls": "BYPASSRLS",
}
AS_DECLARED, DIFFERENT, NONE = "as declared", "different", "none"


@dataclass(frozen=True, kw_only=True)
class Role(CatalogResource, WithNeeds):
    """A role; never a superuser."""

    kind: ClassVar[str] = "role"
    role: str
    password: Secret | None = None
    """None: it has no password."""
    login: bool = True
    inherit: bool = True
    createdb: bool = False
    createrole: bool = False
    replication: bool = False
    connection_limit: int = -1
    """-1: no limit."""
    valid_until: str | None = None
    """ISO 8601, in UTC where it names no zone."""
    member_of: tuple[str, ...] = ()
    comment: str | None = None
    present: bool = True
    """False declares it absent: refused while it owns something or is logged in, and nothing is
    dropped with it."""
    dependencies: tuple[str, ...] = ()
    """A fact: what it owns and has privileges on."""
    salt: bytes = field(default_factory=lambda: secrets.token_bytes(16), compare=False, repr=False)
    """The salt of a new verifier."""

    @property
    def name(self) -> str:
        return self.role

    def needs(self) -> tuple[Need, ...]:
        instance = self.snapshot.instance
        return (
            () if self.present else (Need(self.on, role_dependencies_probe(instance, self.role)),)
        )

    def resolved(self, facts: Facts) -> Self:
        answers = (facts.get(need.on, need.probe) for need in self.needs())
        return replace(
            self,
            dependencies=tuple(name for answer in answers for name in dependency_names(answer)),
        )

    def read_server(self, server: ServerSnapshot) -> State | None:
        found = server.roles.get(self.role)
        if found is None:
            return None
        if not self.present:
            self._refuse_if_in_use(found["sessions"])
        stored = found["verifier"]
        password = NONE
        if stored is not None:
            right = self.password is not None and scram.verifier_matches(self.password, stored)
            password = AS_DECLARED if right else DIFFERENT
        return {
            **{key: found[key] for key in ATTRIBUTES},
            "connection_limit": found["connection_limit"],
            "valid_until": found["valid_until"],
            "password": password,
            "member_of": tuple(sorted(found["member_of"])),
            "comment": found["comment"],
        }

    def _refuse_if_in_use(self, sessions: int) -> None:
        uses = [*self.dependencies, *([f"{sessions} sessions"] if sessions else [])]
        if uses:
            role = ident(self.role)
            raise Refused(
                f"role {self.role} is declared absent and is in use: {', '.join(uses)}",
                next=f"in each database named: reassign owned by {role} to ...; drop owned by"
                f" {role}; end its sessions; run the same command again",
            )

    def desired(self) -> State | None:
        if not self.present:
            return None
        return {
            "superuser": False,
            "createrole": self.createrole,
            "createdb": self.createdb,
            "inherit": self.inherit,
            "login": self.login,
            "replication": self.replication,
            "bypassrls": False,
            "connection_limit": self.connection_limit,
            "valid_until": _utc(self.valid_until),
            "password": NONE if self.password is None else AS_DECLARED,
            "member_of": tuple(sorted(set(self.member_of))),
            "comment": self.comment or None,
        }

    def change(self, diff: Diff) -> Iterable[Action]:
        role = ident(self.role)
        if diff.after is None:
            yield self.sql(f"drop role {self.role}", [f"drop role {role}"])
            return
        verb = "create" if diff.before is None else "alter"
        why = f"{verb} role {self.role}" + (f": {', '.join(diff.keys)}" if diff.before else "")
        source = self.password.source if self.password else ""
        prompt_sql = f"-- asks for it: {source}\n\\password {role}\n"
        yield self.sql(why, self._statements(diff), manual_sql=prompt_sql)

    def _statements(self, diff: Diff) -> Iterator[str | Secret]:
        role = ident(self.role)
        verb = "create" if diff.before is None else "alter"
        options = tuple(self._options(diff))
        statement = " ".join((verb, "role", role, *options))
        if self.password and diff.changed("password"):
            stored = literal(scram.verifier(self.password, self.salt))
            shown = statement if options or diff.before is None else "-- the password follows"
            yield Secret(f"{statement} PASSWORD {stored}", self.password.source, shown)
        elif options or diff.before is None:
            yield statement
        if diff.changed("member_of"):
            before = (diff.before or {}).get("member_of") or ()
            current = {str(name) for name in before} if isinstance(before, tuple) else set()
            desired = set(self.member_of)
            yield from (f"grant {ident(name)} to {role}" for name in sorted(desired - current))
            yield from (f"revoke {ident(name)} from {role}" for name in sorted(current - desired))
        if diff.changed("comment") and (diff.before or self.comment):
            yield f"comment on role {role} is {literal(self.comment) if self.comment else 'null'}"

    def _options(self, diff: Diff) -> Iterator[str]:
        desired = self.desired() or {}
        for key, word in ATTRIBUTES.items():
            if diff.changed(key):
                yield word if desired[key] else f"NO{word}"
        if diff.changed("connection_limit"):
            yield f"CONNECTION LIMIT {self.connection_limit}"
        if diff.changed("valid_until"):
            yield f"VALID UNTIL {literal(_utc(self.valid_until) or 'infinity')}"
        if diff.changed("password") and not self.password:
            yield "PASSWORD null"


def _utc(text: str | None) -> str | None:
    if not text or text == "infinity":
        return None
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise InventoryError(f"valid_until is a moment like 2027-01-31T12:00:00Z: {text}") from None
    moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
