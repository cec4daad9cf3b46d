"""Roles and databases that are there and not in the inventory. They are told, and left alone."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import ClassVar

from pgprovision.engine.model import Diff, Do, State
from pgprovision.resources.postgres.server.catalog_resource import CatalogObject
from pgprovision.resources.postgres.server.snapshot import Server

MOST = 20  # remarks of a kind
ALWAYS_THERE = frozenset({"postgres", "template0", "template1"})


@dataclass(frozen=True, kw_only=True)
class Unmanaged(CatalogObject):
    """What was taken out of the inventory is not taken out of the server: dropping is declared
    (`present: false`), never inferred."""

    kind: ClassVar[str] = "unmanaged"
    roles: frozenset[str]
    databases: frozenset[str]

    @property
    def name(self) -> str:
        return "roles and databases"

    def while_down(self) -> State:
        return {}

    def find(self, server: Server) -> State:
        roles = sorted(server.roles.keys() - self.roles - ALWAYS_THERE)
        databases = sorted(server.databases.keys() - self.databases - ALWAYS_THERE)
        return {
            "roles": tuple(f"role {name}{_weight(server.roles[name])}" for name in roles),
            "databases": tuple(f"database {name}" for name in databases),
        }

    def desired(self) -> State:
        return {}

    def remarks(self, state: State) -> tuple[str, ...]:
        said: list[str] = []
        for kind in ("roles", "databases"):
            names = state.get(kind)
            if isinstance(names, tuple):
                said += [f"not in the inventory, left alone: {name}" for name in names[:MOST]]
                said += [f"and {len(names) - MOST} more {kind}"] if len(names) > MOST else []
        return tuple(said)

    def change(self, diff: Diff) -> Iterable[Do]:
        return ()


def _weight(role: Mapping[str, object]) -> str:
    parts = [f"owns {role['owns']} objects"] if role["owns"] else []
    parts += [f"{role['sessions']} sessions"] if role["sessions"] else []
    return f" ({', '.join(parts)})" if parts else ""
