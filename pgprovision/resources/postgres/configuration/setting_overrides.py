"""Settings that win over postgresql.conf without being in it."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import ClassVar

from pgprovision.engine.model import Action, Diff, State
from pgprovision.quote import ident
from pgprovision.resources.postgres.server.catalog_resource import CatalogResource
from pgprovision.resources.postgres.server.reload import reload
from pgprovision.resources.postgres.server.snapshot import ServerSnapshot


@dataclass(frozen=True, kw_only=True)
class SettingOverrides(CatalogResource):
    """None of the `managed` settings is overridden. ALTER SYSTEM is reset. ALTER ROLE and ALTER
    DATABASE are reported and left, since somebody set them for one role or database."""

    kind: ClassVar[str] = "setting overrides"
    managed: frozenset[str]
    """The settings that pgprovision writes into postgresql.conf."""
    declared: frozenset[tuple[str, str]] = frozenset()
    """(role, setting) that the inventory sets for a role."""

    @property
    def name(self) -> str:
        return f"{self.snapshot.instance.version}/{self.snapshot.instance.name}"

    def state_when_down(self) -> State:
        return self.desired()  # without a server, no override can be observed or reset

    def read_server(self, server: ServerSnapshot) -> State:
        return {
            "system": tuple(name for name in server.auto_conf if self._is_managed(name)),
            "roles_and_databases": tuple(
                f"{_scope(role, database)}: {setting}"
                for role, database, setting in server.overrides
                if self._is_managed(name := setting.partition("=")[0])
                and (database or (role, name.lower()) not in self.declared)
            ),
        }

    def desired(self) -> State:
        return {"system": (), "roles_and_databases": ()}

    def change(self, diff: Diff) -> Iterable[Action]:
        names = (diff.before or {}).get("system")
        if not isinstance(names, tuple) or not names:
            return
        shown = ", ".join(map(str, names))
        resets = [f"alter system reset {_quoted(str(name))}" for name in names]
        yield self.sql(f"alter system reset {shown}", resets, atomic=False)
        yield reload(self.snapshot.instance, f"{shown} reset")

    def _is_managed(self, name: str) -> bool:
        return name.lower() in {managed.lower() for managed in self.managed}


def _scope(role: str | None, database: str | None) -> str:
    parts = [f"role {role}"] if role else []
    parts += [f"database {database}"] if database else []
    return " in ".join(parts)


def _quoted(name: str) -> str:
    return ".".join(ident(part) for part in name.split("."))
