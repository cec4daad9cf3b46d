"""Settings of one role, everywhere or in one database: ALTER ROLE ... SET."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import ClassVar

from pgprovision.engine.model import Action, Diff, State
from pgprovision.quote import ident, literal
from pgprovision.resources.postgres.server.catalog_resource import CatalogResource
from pgprovision.resources.postgres.server.snapshot import ServerSnapshot

# Their value is a list of names, each quoted by itself (GUC_LIST_QUOTE in guc.c).
LIST_SETTINGS = frozenset({
    "local_preload_libraries", "search_path", "session_preload_libraries", "temp_tablespaces",
})  # fmt: skip


def setting_text(value: object) -> str:
    """A value as PostgreSQL stores it."""
    return {True: "on", False: "off"}[value] if isinstance(value, bool) else str(value)


@dataclass(frozen=True, kw_only=True)
class RoleSettings(CatalogResource):
    """What new sessions of `role` start with. Other settings of it are left alone."""

    kind: ClassVar[str] = "role settings"
    role: str
    settings: Mapping[str, str | int | float | bool] = field(hash=False)
    database: str = ""

    @property
    def name(self) -> str:
        return f"{self.role} in {self.database}" if self.database else self.role

    def read_server(self, server: ServerSnapshot) -> State | None:
        if self.role not in server.roles:
            return None
        current: dict[str, str] = {}
        for role, database, setting in server.overrides:
            if (role, database or "") == (self.role, self.database):
                name, _, value = setting.partition("=")
                current[name.lower()] = _plain(name, value)
        return {name: current.get(name.lower()) for name in self.settings}

    def desired(self) -> State:
        return {name: _plain(name, setting_text(value)) for name, value in self.settings.items()}

    def change(self, diff: Diff) -> Iterable[Action]:
        where = f" in database {ident(self.database)}" if self.database else ""
        lead = f"alter role {ident(self.role)}{where} set"
        statements = [f"{lead} {_name(key)} = {self._value(key)}" for key in diff.keys]
        yield self.sql(f"settings of {self.name}: {', '.join(diff.keys)}", statements)

    def _value(self, name: str) -> str:
        text = setting_text(self.settings[name])
        return (
            ", ".join(map(literal, _items(text)))
            if name.lower() in LIST_SETTINGS
            else literal(text)
        )


def _items(text: str) -> list[str]:
    return [part.strip().strip('"') for part in text.split(",")]


def _plain(name: str, text: str) -> str:
    """Lists without their quotes, which PostgreSQL sets as it sees fit."""
    return ", ".join(_items(text)) if name.lower() in LIST_SETTINGS else text


def _name(name: str) -> str:
    return ".".join(ident(part) for part in name.split("."))
