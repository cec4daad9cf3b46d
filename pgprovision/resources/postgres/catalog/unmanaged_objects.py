"""Roles and databases that are not in the inventory: they are reported and left alone."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from pgprovision.engine.model import Check, State, WithNotes
from pgprovision.resources.postgres.server.catalog_resource import CatalogResource
from pgprovision.resources.postgres.server.snapshot import ServerSnapshot

MAX_NOTES = 20  # notes of a kind
BUILT_IN_NAMES = frozenset({"postgres", "template0", "template1"})


@dataclass(frozen=True, kw_only=True)
class UnmanagedObjects(Check, CatalogResource, WithNotes):
    """What was removed from the inventory is not removed from the server: dropping is declared
    (`present: false`), never inferred."""

    kind: ClassVar[str] = "unmanaged objects"
    roles: frozenset[str]
    databases: frozenset[str]

    @property
    def name(self) -> str:
        return "roles and databases"

    def state_when_down(self) -> State:
        return {}

    def read_server(self, server: ServerSnapshot) -> State:
        roles = sorted(server.roles.keys() - self.roles - BUILT_IN_NAMES)
        databases = sorted(server.databases.keys() - self.databases - BUILT_IN_NAMES)
        return {
            "roles": tuple(f"role {name}{_usage(server.roles[name])}" for name in roles),
            "databases": tuple(f"database {name}" for name in databases),
        }

    def desired(self) -> State:
        return {}

    def notes(self, state: State) -> tuple[str, ...]:
        messages: list[str] = []
        for kind in ("roles", "databases"):
            names = state.get(kind)
            if isinstance(names, tuple):
                messages += [
                    f"not in the inventory, left alone: {name}" for name in names[:MAX_NOTES]
                ]
                messages += (
                    [f"and {len(names) - MAX_NOTES} more {kind}"] if len(names) > MAX_NOTES else []
                )
        return tuple(messages)


def _usage(role: Mapping[str, object]) -> str:
    parts = [f"owns {role['owns']} objects"] if role["owns"] else []
    parts += [f"{role['sessions']} sessions"] if role["sessions"] else []
    return f" ({', '.join(parts)})" if parts else ""
