"""Physical replication slots: the primary retains WAL for a replica until it has received it.

The name of a slot says which node it is for: `pgprovision_` and the node's name, with `_` for
characters that slots do not allow. Node names have no `_`, so the slot's name gives the node.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import ClassVar

from pgprovision.engine.model import Action, Check, Diff, State, WithDescription
from pgprovision.errors import InventoryError, Refused
from pgprovision.quote import literal
from pgprovision.resources.postgres.replication.lsn import lsn_to_bytes
from pgprovision.resources.postgres.server.catalog_resource import CatalogResource
from pgprovision.resources.postgres.server.snapshot import Row, ServerSnapshot

SLOT_PREFIX = "pgprovision_"


def slot_name(node: str) -> str:
    """The slot of a node."""
    return SLOT_PREFIX + node.replace("-", "_")


def slot_node(slot: str) -> str | None:
    """The node a slot is for; None where it is not one of ours."""
    return (
        slot.removeprefix(SLOT_PREFIX).replace("_", "-") if slot.startswith(SLOT_PREFIX) else None
    )


def retained_bytes(slot: Row, server: ServerSnapshot) -> int | None:
    """Bytes of WAL that a slot retains; None where it retains none any more."""
    current, oldest = server.lsn["current"], slot["restart_lsn"]
    return lsn_to_bytes(current) - lsn_to_bytes(oldest) if current and oldest else None


@dataclass(frozen=True, kw_only=True)
class Slot(CatalogResource, WithDescription):
    """A physical slot that reserves WAL from its creation on.

    A slot that is `lost` (it exceeded max_slot_wal_keep_size) is reported and left: its replica
    catches up from the archive or is cloned again.
    """

    kind: ClassVar[str] = "slot"
    slot: str
    present: bool = True
    """False declares it absent: a standby that still uses it is disconnected, so its access must be
    closed before."""
    recreate: bool = False
    """A lost slot is created again, because its replica is cloned again."""

    def __post_init__(self) -> None:
        if not re.fullmatch(r"[a-z0-9_]{1,63}", self.slot):
            raise InventoryError(f"a slot's name is 1 to 63 of a-z, 0-9 and _: {self.slot!r}")

    @property
    def name(self) -> str:
        return self.slot

    def read_server(self, server: ServerSnapshot) -> State | None:
        found = server.slots.get(self.slot)
        if found is None:
            return None
        if found["slot_type"] != "physical":
            raise Refused(
                f"slot {self.slot} is a {found['slot_type']} slot that pgprovision did not create",
                next="give the replica another name, or drop that slot by hand",
            )
        lost = found["wal_status"] == "lost"
        reserved = lost or found["restart_lsn"] is not None
        return {"reserved": reserved, "lost": lost, "active": bool(found.get("active"))}

    def desired(self) -> State | None:
        return {"reserved": True, "lost": False} if self.present else None

    def describe_changes(self, diff: Diff) -> tuple[str, ...]:
        if self.present and not self.recreate and diff.before is not None and diff.changed("lost"):
            node = slot_node(self.slot) or "NODE"
            return (f"lost: unless the archive helps, pgprovision re-clone {node}",)
        return diff.keys

    def change(self, diff: Diff) -> Iterable[Action]:
        name = literal(self.slot)
        make = f"select pg_create_physical_replication_slot({name}, true)"
        drop = f"select pg_drop_replication_slot({name})"
        if diff.after is None:
            active = diff.before is not None and diff.before["active"]
            yield self.sql(
                f"drop slot {self.slot}", [*([_terminate_walsender(name)] if active else []), drop]
            )
        elif diff.before is None:
            yield self.sql(f"create slot {self.slot}", [make])
        elif diff.changed("reserved"):  # never used: it holds no position yet
            yield self.sql(f"make slot {self.slot} again, reserved", [drop, make])
        elif self.recreate:
            yield self.sql(f"make the lost slot {self.slot} again", [drop, make])


def _terminate_walsender(name: str) -> str:
    """SQL that ends the walsender of a slot, and waits for it up to 5 s."""
    end = "perform pg_terminate_backend(active_pid) from pg_replication_slots"
    return (
        f"do $$ begin for i in 1..50 loop {end} where slot_name = {name} and active;"
        " exit when not found; perform pg_sleep(0.1); end loop; end $$"
    )


@dataclass(frozen=True, kw_only=True)
class AbandonedSlots(Check, CatalogResource, WithDescription):
    """Slots of ours for nodes that are no longer in the inventory. They retain WAL until the disk
    is full or their limit is reached. Dropping one needs `remove-replica` and the node's name."""

    kind: ClassVar[str] = "abandoned slots"
    declared: tuple[str, ...]

    @property
    def name(self) -> str:
        return "of nodes no longer declared"

    def read_server(self, server: ServerSnapshot) -> State:
        ours = [name for name in sorted(server.slots) if slot_node(name)]
        return {"slots": tuple(name for name in ours if name not in self.declared)}

    def desired(self) -> State:
        return {"slots": ()}

    def describe_changes(self, diff: Diff) -> tuple[str, ...]:
        slots = (diff.before or {}).get("slots")
        names = slots if isinstance(slots, tuple) else ()
        return tuple(f"{s}: pgprovision remove-replica {slot_node(str(s))}" for s in names)
