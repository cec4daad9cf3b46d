"""Access to PostgreSQL, checked from another host of the network."""

from dataclasses import dataclass, replace
from typing import ClassVar, Self

from pgprovision.engine.model import Answer, Check, Facts, Need, Probe, State, WithNeeds
from pgprovision.quote import sh
from pgprovision.resources.postgres.conninfo import extend
from pgprovision.resources.postgres.server.snapshot import SnapshotQuery

CONNECT_TIMEOUT = 10  # seconds; three were too few for TLS between two emulated hosts
UNKNOWN_ROLE = "pgprovision_unknown"  # the server's log shows who tries to connect
PASSWORD_REQUESTED, REJECTED = "asked for its password by a verified server", "rejected"
_OUTCOMES = {"no password supplied": PASSWORD_REQUESTED, "pg_hba.conf rejects connection": REJECTED}


@dataclass(frozen=True, kw_only=True)
class NetworkAccessCheck(Check, WithNeeds):
    """From `on`, the server of `conninfo` proves its identity and asks `role` for its password, and
    an unknown role is rejected. Two connections without a password in every look; whether the
    password is right is for `VerifiedLogin`. A difference is for people: a firewall, a wrong
    address, an edited file."""

    kind: ClassVar[str] = "network access"
    snapshot: SnapshotQuery
    server: str
    conninfo: str
    role: str = ""
    running: bool = True

    @property
    def name(self) -> str:
        return f"to {self.server}"

    def probe(self) -> Probe:
        psql = f"{self.snapshot.instance.bin_directory}/psql"
        lines = [f"[ -x {sh(psql)} ] || exit 4"]
        for user in (UNKNOWN_ROLE, *([self.role] if self.role else [])):
            where = extend(
                self.conninfo,
                user=user,
                passfile="/nonexistent",
                connect_timeout=CONNECT_TIMEOUT,
            )
            lines.append(f"{sh(psql, '-Xwc', '', '-d', where)} 2>&1 </dev/null | tail -n 1; echo")
        return Probe("\n".join(lines))

    def needs(self) -> tuple[Need, ...]:
        return (Need(self.server, self.snapshot.probe()),)

    def resolved(self, facts: Facts) -> Self:
        server = self.snapshot.running_server(facts.get(self.server, self.snapshot.probe()))
        return replace(self, running=server is not None)

    def read(self, answer: Answer) -> State | None:
        if answer.code == 4 or not self.running:
            return self.desired()  # another resource starts the server first
        outcomes = [_outcome(text) for text in answer.text.strip("\n").split("\n\n")]
        return dict(zip(self.desired(), outcomes, strict=False))

    def desired(self) -> State:
        state = {"an unknown role": REJECTED}
        return {**state, self.role: PASSWORD_REQUESTED} if self.role else state


def _outcome(text: str) -> str:
    return next((meaning for sign, meaning in _OUTCOMES.items() if sign in text), text.strip())
