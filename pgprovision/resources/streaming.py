"""A standby that streams and has caught up: what `add-replica` ends with."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import ClassVar

from pgprovision.model import Answer, Ask, Diff, Do, Resource, State, Waiting
from pgprovision.resources.snapshot import Server, Snapshot

CAUGHT_UP_BYTES = 16 * 1024 * 1024  # one WAL segment
CATCH_UP_SECONDS = 6 * 3600.0
CONNECT_SECONDS = 60.0


def position(lsn: str) -> int:
    """A log sequence number in bytes: 0/3000060 is 50331744."""
    high, low = lsn.split("/")
    return (int(high, 16) << 32) + int(low, 16)


@dataclass(frozen=True, kw_only=True)
class Streaming(Resource):
    """The walreceiver streams from the primary and replay is within one WAL segment of it."""

    kind: ClassVar[str] = "streaming"
    snapshot: Snapshot
    primary: str

    @property
    def name(self) -> str:
        return f"from {self.primary}"

    def probe(self) -> Ask:
        return self.snapshot.ask()

    def read(self, answer: Answer) -> State | Waiting | None:
        server = self.snapshot.parse(answer)
        if not isinstance(server, Server):
            return server
        if server.receiver is None or server.receiver.get("status") != "streaming":
            return Waiting(
                f"replication from {self.primary} to begin (on {self.on}: "
                f"journalctl -u {self.snapshot.instance.unit} and the log say why not)",
                CONNECT_SECONDS,
            )
        sent = server.receiver.get("latest_end_lsn") or server.lsn["received"]
        behind = position(sent) - position(server.lsn["replayed"]) if sent else 0
        if behind > CAUGHT_UP_BYTES:
            return Waiting(f"replay is {behind / 1e6:.0f} MB behind", CATCH_UP_SECONDS)
        return {"streaming": True}

    def desired(self) -> State:
        return {"streaming": True}

    def change(self, diff: Diff) -> Iterable[Do]:
        return ()
