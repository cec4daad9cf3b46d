"""Databases and their schemas."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import ClassVar

from pgprovision.engine.model import Action, Diff, State
from pgprovision.errors import Refused
from pgprovision.quote import ident, literal
from pgprovision.resources.postgres.server.catalog_resource import CatalogResource
from pgprovision.resources.postgres.server.snapshot import Row, ServerSnapshot


@dataclass(frozen=True, kw_only=True)
class Database(CatalogResource):
    """A database. Encoding and locale are fixed when it is created; empty means the server's own.

    It cannot be declared absent: a converge never drops data.
    """

    kind: ClassVar[str] = "database"
    database: str
    owner: str
    encoding: str = ""
    locale: str = ""
    connection_limit: int = -1
    comment: str | None = None

    @property
    def name(self) -> str:
        return self.database

    def read_server(self, server: ServerSnapshot) -> State | None:
        found = server.databases.get(self.database)
        if found is None:
            return None
        self._refuse_mismatch("encoding", self.encoding, found["encoding"])
        for part in ("collate", "ctype"):
            self._refuse_mismatch(part, self.locale, found[part])
        return {
            "owner": found["owner"],
            "connection_limit": found["connection_limit"],
            "comment": found["comment"],
            **self._immutable(),
        }

    def desired(self) -> State:
        return {
            "owner": self.owner,
            "connection_limit": self.connection_limit,
            "comment": self.comment or None,
            **self._immutable(),
        }

    def change(self, diff: Diff) -> Iterable[Action]:
        name, owner = ident(self.database), ident(self.owner)
        comment = literal(self.comment) if self.comment else "null"
        if diff.before is None:
            make = f"create database {name} owner {owner} template template0"
            make += f" encoding {literal(self.encoding)}" if self.encoding else ""
            if self.locale:
                make += f" lc_collate {literal(self.locale)} lc_ctype {literal(self.locale)}"
            make += f" connection limit {self.connection_limit}"
            comment_sql = [f"comment on database {name} is {comment}"] if self.comment else []
            yield self.sql(f"create database {self.database}", [make, *comment_sql], atomic=False)
            return
        statements = {
            "owner": f"alter database {name} owner to {owner}",
            "connection_limit": f"alter database {name} connection limit {self.connection_limit}",
            "comment": f"comment on database {name} is {comment}",
        }
        why = f"alter database {self.database}: {', '.join(diff.keys)}"
        yield self.sql(why, [statements[key] for key in diff.keys])

    def _immutable(self) -> State:
        fixed = {"encoding": self.encoding, "locale": self.locale}
        return {key: value for key, value in fixed.items() if value}

    def _refuse_mismatch(self, attribute: str, declared: str, found: str) -> None:
        if declared and _plain(declared) != _plain(found):
            raise Refused(
                f"database {self.database} has {attribute} {found}, the inventory says {declared};"
                " an existing database keeps the one it was created with",
                next="declare the existing value, or load a dump into a new database",
            )


@dataclass(frozen=True, kw_only=True)
class Schema(CatalogResource):
    """A schema in a database, and its owner."""

    kind: ClassVar[str] = "schema"
    database: str
    schema: str
    owner: str

    @property
    def name(self) -> str:
        return f"{self.schema} in {self.database}"

    def read_server(self, server: ServerSnapshot) -> State | None:
        inside = server.database_snapshots.get(self.database)
        found: Row | None = inside.schemas.get(self.schema) if inside else None
        return {"owner": found["owner"]} if found else None

    def desired(self) -> State:
        return {"owner": self.owner}

    def change(self, diff: Diff) -> Iterable[Action]:
        name, owner = ident(self.schema), ident(self.owner)
        verb = "create" if diff.before is None else "alter"
        give = f"authorization {owner}" if diff.before is None else f"owner to {owner}"
        statement = f"{verb} schema {name} {give}"
        yield self.sql(f"{verb} schema {self.name}", [statement], database=self.database)


def _plain(name: str) -> str:
    """`en_US.UTF-8` and `en_US.utf8` are one locale, `UTF8` and `utf-8` one encoding."""
    return name.lower().replace("-", "")
