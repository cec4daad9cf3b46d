"""What a running server's settings are, against what its file says."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import PurePosixPath
from typing import ClassVar, Self

from pgprovision.engine.model import Ask, Diff, Do, Facts, Need, State
from pgprovision.resources.postgres.configuration.settings_parser import values_in
from pgprovision.resources.postgres.server.catalog_resource import CatalogObject
from pgprovision.resources.postgres.server.snapshot import Row, Server
from pgprovision.resources.system.file import File

UNITS: Mapping[str, float] = {  # in bytes, in seconds
    "B": 1, "kB": 1 << 10, "8kB": 8 << 10, "MB": 1 << 20, "16MB": 16 << 20,
    "GB": 1 << 30, "TB": 1 << 40,
    "us": 1e-6, "ms": 1e-3, "s": 1, "min": 60, "h": 3600, "d": 86400,
}  # fmt: skip
BY_PEOPLE = ("database", "user", "database user")  # sources that Overrides names
_QUANTITY = re.compile(r"(-?[0-9.]+(?:e-?[0-9]+)?) *([A-Za-z]*)", re.IGNORECASE)
_TRUE, _FALSE = {"on", "true", "yes", "1", "t", "y"}, {"off", "false", "no", "0", "f", "n"}


def same(text: str, row: Row) -> bool:
    """Whether a value as the file has it is the one that the server shows."""
    shown, unit = str(row["value"]), row["unit"] or ""
    if row["type"] == "bool":
        return text.lower() in (_TRUE if shown == "on" else _FALSE)
    if row["type"] in ("integer", "real"):
        found = _QUANTITY.fullmatch(text)
        if not found:
            return False
        base = UNITS.get(unit, 1.0)
        wanted = float(found[1]) * UNITS.get(found[2], base) / base
        return (round(wanted) if row["type"] == "integer" else wanted) == float(shown)
    return _plain(text) == _plain(shown)


def _plain(text: str) -> str:
    return re.sub(r",\s+", ",", text).casefold()


@dataclass(frozen=True, kw_only=True)
class LiveSettings(CatalogObject):
    """Every setting of postgresql.conf is what the server runs with. What explains itself is named
    by others: a file not loaded, a pending restart, ALTER SYSTEM, ALTER ROLE. What people put into
    local.conf wins, and is told. The rest (a command line, a file of somebody's) is for people.
    """

    kind: ClassVar[str] = "live settings"
    file: Mapping[str, str] = field(default_factory=dict, compare=False)

    @property
    def name(self) -> str:
        return f"{self.snapshot.instance.version}/{self.snapshot.instance.name}"

    @property
    def _path(self) -> str:
        return f"{self.snapshot.instance.config_directory}/postgresql.conf"

    @property
    def _ask(self) -> Ask:
        return File(on=self.on, path=self._path, content="").probe()

    def needs(self) -> tuple[Need, ...]:
        return (Need(self.on, self._ask),)

    def settled(self, facts: Facts) -> Self:
        answer = facts.get(self.on, self._ask)
        text = answer.text.partition("\n")[2] if answer and not answer.code else ""
        return replace(self, file=values_in(text))

    def while_down(self) -> State:
        return self.desired()

    def find(self, server: Server) -> State:
        live = {name.lower(): row for name, row in server.settings.items()}
        found: dict[str, str | tuple[str, ...] | None] = {"by_people": ()}
        for name, text in self.file.items():
            row = live.get(name)
            if self._explained(name, row, server) or (row and same(text, row)):
                found[name] = text
            elif row and PurePosixPath(row["file"] or "").name == "local.conf":
                found[name] = text
                found["by_people"] = (*_told(found), f"{name} = {_shown(row)} instead of {text}")
            else:
                found[name] = _shown(row) if row else None
        return found

    def desired(self) -> State:
        return dict(self.file)

    def remarks(self, state: State) -> tuple[str, ...]:
        return tuple(f"local.conf: {text}" for text in _told(state))

    def change(self, diff: Diff) -> Iterable[Do]:
        return ()

    def _explained(self, name: str, row: Row | None, server: Server) -> bool:
        """Whether another resource names the reason."""
        pending = {setting.lower() for setting in (*server.pending_restart, *server.auto_conf)}
        if name in pending or (row and row["source"] in BY_PEOPLE):
            return True
        return any(time > server.loaded for time in server.file_times.values())


def _told(state: State) -> tuple[str, ...]:
    told = state.get("by_people")
    return tuple(map(str, told)) if isinstance(told, tuple) else ()


def _shown(row: Row) -> str:
    unit, source = row["unit"] or "", row["source"]
    unit = f" x {unit}" if unit[:1].isdigit() else unit
    return f"{row['value']}{unit}" + ("" if source == "configuration file" else f" ({source})")
