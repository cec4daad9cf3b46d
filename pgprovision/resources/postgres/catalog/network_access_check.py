"""Who gets as far as what, seen from another machine of the network."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import ClassVar, Self

from pgprovision.engine.model import Answer, Ask, Diff, Do, Facts, Need, Resource, State
from pgprovision.quote import conninfo, sh
from pgprovision.resources.postgres.server.snapshot import Snapshot

ANSWER_SECONDS = 10  # three were too few for two emulated machines to agree on TLS
STRANGER = "pgprovision_stranger"  # so named that whoever reads the server's log knows who knocks
ASKED, REJECTED = "asked for its password by a verified server", "rejected"
_SAID = {"no password supplied": ASKED, "pg_hba.conf rejects connection": REJECTED}


@dataclass(frozen=True, kw_only=True)
class NetworkAccess(Resource):
    """From `on`: the server of `conninfo` proves who it is and asks `role` for its password, and a
    stranger is rejected. Two connections without a password, at every look; whether the password is
    right is for `ProvenLogin`. Differences are for people: a firewall, a wrong address, an edit.
    """

    kind: ClassVar[str] = "network access"
    snapshot: Snapshot
    server: str
    conninfo: str
    role: str = ""
    running: bool = True

    @property
    def name(self) -> str:
        return f"to {self.server}"

    def probe(self) -> Ask:
        psql = f"{self.snapshot.instance.bin}/psql"
        lines = [f"[ -x {sh(psql)} ] || exit 4"]
        for user in (STRANGER, *([self.role] if self.role else [])):
            where = f"{self.conninfo} user={conninfo(user)} passfile=/nonexistent"
            where += f" connect_timeout={ANSWER_SECONDS}"
            lines.append(f"{sh(psql, '-Xwc', '', '-d', where)} 2>&1 </dev/null | tail -n 1; echo")
        return Ask("\n".join(lines))

    def needs(self) -> tuple[Need, ...]:
        return (Need(self.server, self.snapshot.ask()),)

    def settled(self, facts: Facts) -> Self:
        server = self.snapshot.running(facts.get(self.server, self.snapshot.ask()))
        return replace(self, running=server is not None)

    def read(self, answer: Answer) -> State | None:
        if answer.code == 4 or not self.running:
            return self.desired()  # whoever makes it run comes first
        said = [_meaning(text) for text in answer.text.strip("\n").split("\n\n")]
        return dict(zip(self.desired(), said, strict=False))

    def desired(self) -> State:
        wish = {"a stranger": REJECTED}
        return {**wish, self.role: ASKED} if self.role else wish

    def change(self, diff: Diff) -> Iterable[Do]:
        return ()


def _meaning(text: str) -> str:
    return next((meaning for words, meaning in _SAID.items() if words in text), text.strip())
