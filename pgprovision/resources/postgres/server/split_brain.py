"""Who accepts writes, on every node of the cluster at once.

Two writable nodes hold two histories, and each further write makes it worse; a system identifier
does not tell them apart, as a promoted replica keeps it. Timelines do.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import ClassVar, Self

from pgprovision.engine.model import Answer, Ask, Diff, Do, Facts, Need, Resource, State
from pgprovision.errors import Refused
from pgprovision.resources.postgres.server.snapshot import Server, Snapshot


@dataclass(frozen=True, kw_only=True)
class LiveRoles(Resource):
    """No node but the declared primary accepts writes. Nodes that do not answer are not judged.

    `needed`: this run makes replicas and no primary, so there must be one.
    """

    kind: ClassVar[str] = "live roles"
    snapshot: Snapshot
    primary: str
    replicas: tuple[str, ...]
    needed: bool = False

    @property
    def name(self) -> str:
        return f"{self.primary} and {len(self.replicas)} replicas"

    def probe(self) -> Ask:
        return self.snapshot.ask()

    def needs(self) -> tuple[Need, ...]:
        return tuple(Need(on, self.snapshot.ask()) for on in (self.primary, *self.replicas))

    def settled(self, facts: Facts) -> Self:
        """Raises Refused. It is here that every node's answer is at hand, also where the declared
        primary has none."""
        servers: dict[str, Server] = {}
        for on in (self.primary, *self.replicas):
            answer = facts.get(on, self.snapshot.ask())
            server = self.snapshot.running(answer)
            if server is not None and not server.in_recovery:
                servers[on] = server
        judge(self.primary, servers, self.snapshot.instance.unit)
        if self.needed and self.primary not in servers:
            raise Refused(
                f"replicas follow {self.primary}, and no primary runs there",
                done="nothing was written",
                next="pgprovision up primary",
            )
        return self

    def read(self, answer: Answer) -> State:
        return {"writable": "the declared primary at most"}

    def desired(self) -> State:
        return {"writable": "the declared primary at most"}

    def change(self, diff: Diff) -> Iterable[Do]:
        return ()


def judge(primary: str, writable: Mapping[str, Server], unit: str) -> None:
    """Raises Refused where another node than the declared primary accepts writes. A stranger
    (another system identifier) is left to whoever asks whose machine it is."""
    known = writable.get(primary)
    others = [
        name
        for name, server in writable.items()
        if name != primary and server.system_identifier == (known or server).system_identifier
    ]
    if not others:
        return
    if known is None:
        raise Refused(
            f"{described(others[0], writable[others[0]])} accepts writes, and the inventory says"
            f" replica: the live role wins",
            done="nothing was written",
            next=f"where {others[0]} is the primary now, say so in nodes/{others[0]}.yml (role:"
            f" primary) and nodes/{primary}.yml (role: replica)",
        )
    names = " and ".join(described(name, writable[name]) for name in (primary, *others))
    raise Refused(
        f"{1 + len(others)} nodes accept writes: {names}",
        done="nothing was written",
        next="decide whose writes count and stop PostgreSQL on the other"
        f" (systemctl stop {unit}); correct the roles in nodes/*.yml;"
        " then pgprovision re-clone NAME makes the stopped one a replica again",
    )


def described(name: str, server: Server) -> str:
    """A writable node with its timeline and last write."""
    at = server.lsn.get("written_at")
    written = f", last write {at}" if at else ""
    return f"{name} (timeline {server.timeline}{written})"
