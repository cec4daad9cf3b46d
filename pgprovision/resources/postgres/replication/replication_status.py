"""A standby that streams and has caught up: `add-replica` ends with it."""

from dataclasses import dataclass, replace
from typing import ClassVar, Self

from pgprovision.engine.model import (
    Answer,
    Check,
    Diff,
    Facts,
    Need,
    Probe,
    State,
    Waiting,
    WithDescription,
    WithNeeds,
)
from pgprovision.resources.postgres.replication.lsn import lsn_to_bytes
from pgprovision.resources.postgres.server.snapshot import ServerSnapshot, SnapshotQuery

CAUGHT_UP_BYTES = 16 * 1024 * 1024  # one WAL segment
CATCH_UP_SECONDS = 6 * 3600.0
CONNECT_SECONDS = 60.0


@dataclass(frozen=True, kw_only=True)
class StreamingReplication(Check, WithNeeds, WithDescription):
    """The walreceiver streams from the primary and replay is within one WAL segment of it."""

    kind: ClassVar[str] = "streaming replication"
    snapshot: SnapshotQuery
    primary: str
    slot: str
    has_archive: bool = False
    """There is a WAL archive: a replica with a lost slot catches up from it, then streams."""
    slot_lost: bool = False
    """A fact: the primary removed WAL that the slot still needed."""

    @property
    def name(self) -> str:
        return f"from {self.primary}"

    def needs(self) -> tuple[Need, ...]:
        return (Need(self.primary, self.snapshot.probe()),)

    def resolved(self, facts: Facts) -> Self:
        answer = facts.get(self.primary, self.snapshot.probe())
        server = self.snapshot.parse(answer) if answer else None
        slots = server.slots if isinstance(server, ServerSnapshot) else {}
        return replace(self, slot_lost=slots.get(self.slot, {}).get("wal_status") == "lost")

    def probe(self) -> Probe:
        return self.snapshot.probe()

    def read(self, answer: Answer) -> State | Waiting | None:
        server = self.snapshot.parse(answer)
        if not isinstance(server, ServerSnapshot):
            return server
        if server.receiver is None or server.receiver.get("status") != "streaming":
            if self.slot_lost and not self.has_archive:
                return {"streaming": False}
            return Waiting(  # as long as it replays, the reason is a new one and the limit, too
                f"replication from {self.primary} to begin, replayed to {server.lsn['replayed']}"
                f" ({self._hint})",
                CONNECT_SECONDS,
            )
        sent = server.receiver.get("latest_end_lsn") or server.lsn["received"]
        behind = lsn_to_bytes(sent) - lsn_to_bytes(server.lsn["replayed"]) if sent else 0
        if behind > CAUGHT_UP_BYTES:
            return Waiting(f"replay is {behind / 1e6:.0f} MB behind", CATCH_UP_SECONDS)
        return {"streaming": True}

    @property
    def _hint(self) -> str:
        if self.slot_lost:
            return f"its slot is lost; if the archive does not help: pgprovision re-clone {self.on}"
        unit = self.snapshot.instance.unit
        return f"on {self.on}: see journalctl -u {unit} and PostgreSQL's log"

    def desired(self) -> State:
        return {"streaming": True}

    def describe_changes(self, diff: Diff) -> tuple[str, ...]:
        lost = f"slot {self.slot} is lost: pgprovision re-clone {self.on}"
        return (lost,) if self.slot_lost and diff.changed("streaming") else diff.keys
