"""Extensions in databases."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import ClassVar

from pgprovision.engine.model import Action, Diff, State
from pgprovision.known_extensions import extension_package
from pgprovision.quote import ident, literal
from pgprovision.resources.postgres.server.catalog_resource import CatalogResource
from pgprovision.resources.postgres.server.snapshot import ServerSnapshot


@dataclass(frozen=True, kw_only=True)
class Extension(CatalogResource):
    """An extension in one database."""

    kind: ClassVar[str] = "extension"
    database: str
    extension: str
    schema: str = ""
    """Only compared where given."""
    version: str = ""
    """Only compared where given; without, it is created in the packaged version."""
    create_in: str = "public"
    """Without a schema it is created here, which is made where it is missing; empty: as its
    control file has it."""
    trusted_owner: str = ""
    """Becomes its owner where PostgreSQL trusts the extension, so it may update and drop it. Other
    extensions stay with the superuser."""

    @property
    def name(self) -> str:
        return f"{self.extension} in {self.database}"

    def read_server(self, server: ServerSnapshot) -> State | None:
        inside = server.database_snapshots.get(self.database)
        found = inside.extensions.get(self.extension) if inside else None
        return None if found is None else dict(found)

    def desired(self) -> State:
        declared = {"schema": self.schema, "version": self.version}
        return {key: value for key, value in declared.items() if value}

    def change(self, diff: Diff) -> Iterable[Action]:
        name, schema = ident(self.extension), self.schema or self.create_in
        if diff.before is None:
            create = f"create extension {name}"
            create += f" with schema {ident(schema)}" if schema else ""
            create += f" version {literal(self.version)}" if self.version else ""
            own = not self.schema and schema not in ("", "public")
            make_schema = [f"create schema if not exists {ident(schema)}"] if own else []
            become = [self._become_owner()] if self.trusted_owner else []
            why = f"create extension {self.name}"
            yield self.sql(
                why,
                [self._require_available(), *become, *make_schema, create],
                database=self.database,
            )
            return
        statements = {
            "schema": f"alter extension {name} set schema {ident(schema)}",
            "version": f"alter extension {name} update to {literal(self.version)}",
        }
        why = f"alter extension {self.name}: {', '.join(diff.keys)}"
        yield self.sql(why, [statements[key] for key in diff.keys], database=self.database)

    def _require_available(self) -> str:
        """PostgreSQL's own error names a control file; this one names the package to install."""
        package = extension_package(self.extension, self.snapshot.instance.version)
        text = (
            f"extension {self.extension} is not on this machine: it comes in {package}; add that to"
            " apt.extra_packages, or correct the name (apt-cache search postgresql-"
            f"{self.snapshot.instance.version} lists them)"
        )
        return (
            f"do $do$ begin if not exists (select from pg_available_extensions where name ="
            f" {literal(self.extension)}) then raise exception {literal('%')},"
            f" {literal(text)}; end if; end $do$"
        )

    def _become_owner(self) -> str:
        """For the rest of the transaction, where the extension is trusted."""
        return (
            "select set_config('role', case when exists (select from"
            f" pg_available_extension_versions where name = {literal(self.extension)} and trusted)"
            f" then {literal(self.trusted_owner)} else 'none' end, true)"
        )
