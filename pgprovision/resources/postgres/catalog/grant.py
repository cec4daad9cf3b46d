"""Privileges, compared one by one with the access lists in the catalogs."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import ClassVar, Literal

from pgprovision.engine.model import Action, Diff, State, Value
from pgprovision.errors import InventoryError
from pgprovision.quote import ident
from pgprovision.resources.postgres.server.catalog_resource import CatalogResource
from pgprovision.resources.postgres.server.snapshot import DatabaseSnapshot, ServerSnapshot

PUBLIC = "public"  # PostgreSQL lets no role have this name
PrivilegeTarget = Literal["database", "schema", "tables", "sequences", "functions"]
PRIVILEGES: Mapping[PrivilegeTarget, tuple[str, ...]] = {
    "database": ("CONNECT", "CREATE", "TEMPORARY"),
    "schema": ("CREATE", "USAGE"),
    "tables": ("DELETE", "INSERT", "REFERENCES", "SELECT", "TRIGGER", "TRUNCATE", "UPDATE"),
    "sequences": ("SELECT", "UPDATE", "USAGE"),
    "functions": ("EXECUTE",),
}
NEWER_PRIVILEGES = {"MAINTAIN"}  # on tables, since PostgreSQL 17: looked after only where declared
OBJECT_TYPE = {"tables": "r", "sequences": "S", "functions": "f"}  # pg_default_acl.defaclobjtype
DEFAULT_TO_PUBLIC = {("functions", "EXECUTE")}  # acldefault(), where pg_default_acl has no entry


@dataclass(frozen=True, kw_only=True)
class Grant(CatalogResource):
    """All privileges of a role (or `public`, for everybody) on a database, a schema, or all tables,
    sequences or functions of a schema. Privileges that are not named are revoked; naming none
    revokes all."""

    kind: ClassVar[str] = "grant"
    database: str
    grantee: str
    privileges: tuple[str, ...]
    privileges_on: PrivilegeTarget = "database"
    schema: str = ""
    """Empty with `created_by`: every schema."""
    created_by: str = ""
    """A role: the default privileges on what it creates later; empty: on what exists."""

    def __post_init__(self) -> None:
        unknown = self._desired_privileges - {*PRIVILEGES[self.privileges_on], *NEWER_PRIVILEGES}
        if unknown or (
            NEWER_PRIVILEGES & self._desired_privileges and self.privileges_on != "tables"
        ):
            known = ", ".join(PRIVILEGES[self.privileges_on])
            raise InventoryError(
                f"no privilege on {self.privileges_on}:"
                f" {', '.join(sorted(unknown or NEWER_PRIVILEGES))}"
                f" (there are: {known})"
            )
        if not self.schema and not (self.privileges_on == "database" or self.created_by):
            raise InventoryError(f"privileges on {self.privileges_on} need a schema")
        if self.created_by and self.privileges_on not in OBJECT_TYPE:
            raise InventoryError(f"no default privileges on a {self.privileges_on}")

    @property
    def name(self) -> str:
        where = f"schema {self.schema} of {self.database}"
        where = where if self.schema else f"database {self.database}"
        if self.created_by:
            return f"to {self.grantee} on {self.privileges_on} {self.created_by} creates in {where}"
        if self.privileges_on in ("database", "schema"):
            return f"to {self.grantee} on {where}"
        return f"to {self.grantee} on {self.privileges_on} in {where}"

    @property
    def _desired_privileges(self) -> set[str]:
        names = {word.upper() for word in self.privileges}
        if names & {"ALL", "ALL PRIVILEGES"}:
            return set(PRIVILEGES[self.privileges_on])
        return {"TEMPORARY" if word == "TEMP" else word for word in names}

    def read_server(self, server: ServerSnapshot) -> State | None:
        """Per privilege: True, False, or on how many of the objects it is held."""
        if self.privileges_on == "database":
            database = server.databases.get(self.database)
            return database and {
                key: (self.grantee, key) in database["acl"] for key in self.desired()
            }
        inside = server.database_snapshots.get(self.database)
        if inside is None or (self.schema and self.schema not in inside.schemas):
            return None
        return {privilege: self._current(inside, privilege) for privilege in self.desired()}

    def desired(self) -> dict[str, Value]:
        known = sorted({*PRIVILEGES[self.privileges_on], *self._desired_privileges})
        return {privilege: privilege in self._desired_privileges for privilege in known}

    def change(self, diff: Diff) -> Iterable[Action]:
        yield self.sql(
            f"privileges {self.name}: {', '.join(diff.keys)}",
            self._statements(diff),
            database=self.database,
        )

    def _statements(self, diff: Diff) -> Iterator[str]:
        give = [key for key in diff.keys if key in self._desired_privileges]
        take = [key for key in diff.keys if key not in self._desired_privileges]
        who = "public" if self.grantee == PUBLIC else ident(self.grantee)
        if give:
            yield f"{self._statement_prefix}grant {', '.join(give)} {self._on_clause} to {who}"
        if take:
            yield f"{self._statement_prefix}revoke {', '.join(take)} {self._on_clause} from {who}"

    @property
    def _statement_prefix(self) -> str:
        if not self.created_by:
            return ""
        where = f"in schema {ident(self.schema)} " if self.schema else ""
        return f"alter default privileges for role {ident(self.created_by)} {where}"

    @property
    def _on_clause(self) -> str:
        if self.created_by:
            return f"on {self.privileges_on}"
        if self.privileges_on == "database":
            return f"on database {ident(self.database)}"
        if self.privileges_on == "schema":
            return f"on schema {ident(self.schema)}"
        return f"on all {self.privileges_on} in schema {ident(self.schema)}"

    def _current(self, inside: DatabaseSnapshot, privilege: str) -> Value:
        if self.created_by:
            return self._current_default(inside, privilege)
        if self.privileges_on == "schema":
            return (self.grantee, privilege) in inside.schemas[self.schema]["acl"]
        total = inside.object_counts.get((self.schema, self.privileges_on), 0)
        number = inside.privilege_counts.get(
            (self.schema, self.privileges_on, self.grantee, privilege), 0
        )
        if total == 0:
            return privilege in self._desired_privileges  # of no objects, all and none are the same
        return {0: False, total: True}.get(number, f"on {number} of {total}")

    def _current_default(self, inside: DatabaseSnapshot, privilege: str) -> bool:
        kind = OBJECT_TYPE[self.privileges_on]
        if (
            self.created_by,
            self.schema or None,
            kind,
            self.grantee,
            privilege,
        ) in inside.default_privileges:
            return True
        if self.schema or (self.created_by, kind) in inside.global_default_privileges:
            return False
        hardwired = self.grantee == PUBLIC and (self.privileges_on, privilege) in DEFAULT_TO_PUBLIC
        return hardwired or self.grantee == self.created_by
