"""A server that accepts writes: a restore ends with it."""

from dataclasses import dataclass
from typing import ClassVar

from pgprovision.engine.model import Answer, Check, Probe, State, Waiting
from pgprovision.resources.postgres.server.snapshot import ServerSnapshot, SnapshotQuery

RECOVERY_SECONDS = 120.0


@dataclass(frozen=True, kw_only=True)
class AcceptsWrites(Check):
    """The server on this host is not in recovery."""

    kind: ClassVar[str] = "accepts connections"
    snapshot: SnapshotQuery
    archiving: bool = True
    """False: it must archive nothing, as the running server shows, whatever its files say."""

    @property
    def name(self) -> str:
        return "read-write" if self.archiving else "read-write, archiving nothing"

    def probe(self) -> Probe:
        return self.snapshot.probe()

    def read(self, answer: Answer) -> State | Waiting | None:
        server = self.snapshot.parse(answer)
        if not isinstance(server, ServerSnapshot):
            return server
        if server.in_recovery:
            return Waiting("the end of recovery", RECOVERY_SECONDS)
        mode = server.settings.get("archive_mode", {}).get("value", "off")
        return {"writable": True, "archive_mode": mode != "off"}

    def desired(self) -> State:
        return {"writable": True} if self.archiving else {"writable": True, "archive_mode": False}
