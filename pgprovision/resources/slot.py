"""Physical replication slots: the primary keeps WAL for a replica until it has it."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import ClassVar

from pgprovision.errors import InventoryError, Refused
from pgprovision.model import Diff, Do, State
from pgprovision.quote import literal
from pgprovision.resources.catalog import CatalogObject
from pgprovision.resources.snapshot import Server


@dataclass(frozen=True, kw_only=True)
class Slot(CatalogObject):
    """A physical slot that reserves WAL from the moment it is made.

    A slot that is `lost` (max_slot_wal_keep_size was passed) is reported and left: its replica has
    to be cloned again. An active slot is never dropped: PostgreSQL refuses.
    """

    kind: ClassVar[str] = "slot"
    slot: str
    present: bool = True

    def __post_init__(self) -> None:
        if not re.fullmatch(r"[a-z0-9_]{1,63}", self.slot):
            raise InventoryError(f"a slot's name is 1 to 63 of a-z, 0-9 and _: {self.slot!r}")

    @property
    def name(self) -> str:
        return self.slot

    def find(self, server: Server) -> State | None:
        found = server.slots.get(self.slot)
        if found is None:
            return None
        if found["slot_type"] != "physical":
            raise Refused(
                f"slot {self.slot} is a {found['slot_type']} slot of somebody else's",
                done="nothing was written",
                next="give the replica another name, or drop that slot by hand",
            )
        lost = found["wal_status"] == "lost"
        return {"reserved": lost or found["restart_lsn"] is not None, "lost": lost}

    def desired(self) -> State | None:
        return {"reserved": True, "lost": False} if self.present else None

    def explain(self, diff: Diff) -> tuple[str, ...]:
        if self.present and diff.before is not None and diff.moved("lost"):
            return ("lost: the replica must be cloned again",)
        return diff.keys

    def change(self, diff: Diff) -> Iterable[Do]:
        name = literal(self.slot)
        make = f"select pg_create_physical_replication_slot({name}, true)"
        drop = f"select pg_drop_replication_slot({name})"
        if diff.after is None:
            yield self.sql(f"drop slot {self.slot}", [drop])
        elif diff.before is None:
            yield self.sql(f"create slot {self.slot}", [make])
        elif diff.moved("reserved"):  # never used: it holds no position yet
            yield self.sql(f"make slot {self.slot} again, reserved", [drop, make])
