"""The settings of a running server, compared with its file."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import PurePosixPath
from typing import ClassVar, Self

from pgprovision import quantity
from pgprovision.engine.model import (
    Check,
    Facts,
    Need,
    Probe,
    State,
    WithNeeds,
    WithNotes,
)
from pgprovision.resources.postgres.configuration.settings_parser import parse_values
from pgprovision.resources.postgres.server.catalog_resource import CatalogResource
from pgprovision.resources.postgres.server.snapshot import Row, ServerSnapshot
from pgprovision.resources.system.file import File

OVERRIDE_SOURCES = ("database", "user", "database user")  # sources that Overrides names
_TRUE, _FALSE = {"on", "true", "yes", "1", "t", "y"}, {"off", "false", "no", "0", "f", "n"}


def values_equal(text: str, row: Row) -> bool:
    """Whether a value in the file is the one that the server shows."""
    shown, unit = str(row["value"]), row["unit"] or ""
    if row["type"] == "bool":
        return text.lower() in (_TRUE if shown == "on" else _FALSE)
    if row["type"] in ("integer", "real"):
        return quantity.is_equal(text, shown, unit, is_integer=row["type"] == "integer")
    return _plain(text) == _plain(shown)


def _plain(text: str) -> str:
    return re.sub(r",\s+", ",", text).casefold()


@dataclass(frozen=True, kw_only=True)
class LiveSettings(Check, CatalogResource, WithNeeds, WithNotes):
    """Every setting of postgresql.conf is what the server runs with. Causes with a resource of
    their own are not reported here: a file not loaded, a pending restart, ALTER SYSTEM, ALTER ROLE.
    What people put into local.conf wins, and is noted. The rest, such as a command line or another
    include, has to be corrected by hand."""

    kind: ClassVar[str] = "live settings"
    file_settings: Mapping[str, str] = field(default_factory=dict, compare=False)

    @property
    def name(self) -> str:
        return f"{self.snapshot.instance.version}/{self.snapshot.instance.name}"

    @property
    def _path(self) -> str:
        return f"{self.snapshot.instance.config_directory}/postgresql.conf"

    @property
    def _file_probe(self) -> Probe:
        return File(on=self.on, path=self._path, content="").probe()

    def needs(self) -> tuple[Need, ...]:
        return (Need(self.on, self._file_probe),)

    def resolved(self, facts: Facts) -> Self:
        answer = facts.get(self.on, self._file_probe)
        text = answer.text.partition("\n")[2] if answer and not answer.code else ""
        return replace(self, file_settings=parse_values(text))

    def state_when_down(self) -> State:
        return self.desired()

    def read_server(self, server: ServerSnapshot) -> State:
        live = {name.lower(): row for name, row in server.settings.items()}
        found: dict[str, str | tuple[str, ...] | None] = {"local_conf": ()}
        for name, text in self.file_settings.items():
            row = live.get(name)
            if self._reported_elsewhere(name, row, server) or (row and values_equal(text, row)):
                found[name] = text
            elif row and PurePosixPath(row["file"] or "").name == "local.conf":
                found[name] = text
                found["local_conf"] = (
                    *_local_conf_overrides(found),
                    f"{name} = {_display_value(row)} instead of {text}",
                )
            else:
                found[name] = _display_value(row) if row else None
        return found

    def desired(self) -> State:
        return dict(self.file_settings)

    def notes(self, state: State) -> tuple[str, ...]:
        return tuple(f"local.conf: {text}" for text in _local_conf_overrides(state))

    def _reported_elsewhere(self, name: str, row: Row | None, server: ServerSnapshot) -> bool:
        """Whether another resource names the reason."""
        pending = {setting.lower() for setting in (*server.pending_restart, *server.auto_conf)}
        if name in pending or (row and row["source"] in OVERRIDE_SOURCES):
            return True
        return any(time > server.loaded for time in server.file_times.values())


def _local_conf_overrides(state: State) -> tuple[str, ...]:
    overrides = state.get("local_conf")
    return tuple(map(str, overrides)) if isinstance(overrides, tuple) else ()


def _display_value(row: Row) -> str:
    unit, source = row["unit"] or "", row["source"]
    unit = f" x {unit}" if unit[:1].isdigit() else unit
    return f"{row['value']}{unit}" + ("" if source == "configuration file" else f" ({source})")
