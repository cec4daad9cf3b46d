"""Which nodes of the cluster accept writes.

Two writable nodes have two histories, and each further write makes it worse. Their system
identifier is the same, as a promoted replica keeps it. Their timelines differ.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Self

from pgprovision.engine.model import Answer, Check, Facts, Need, Probe, State, WithNeeds
from pgprovision.errors import Refused
from pgprovision.resources.postgres.server.snapshot import ServerSnapshot, SnapshotQuery


@dataclass(frozen=True, kw_only=True)
class SplitBrainCheck(Check, WithNeeds):
    """No node but the declared primary accepts writes. Nodes that do not answer do not count."""

    kind: ClassVar[str] = "split-brain check"
    snapshot: SnapshotQuery
    primary: str
    replicas: tuple[str, ...]
    primary_required: bool = False
    """This run creates replicas and no primary, so there must be one."""

    @property
    def name(self) -> str:
        return f"{self.primary} and {len(self.replicas)} replicas"

    def probe(self) -> Probe:
        return self.snapshot.probe()

    def needs(self) -> tuple[Need, ...]:
        return tuple(Need(on, self.snapshot.probe()) for on in (self.primary, *self.replicas))

    def resolved(self, facts: Facts) -> Self:
        """Raises Refused. Here the answers of all nodes are known, also where the declared primary
        has none."""
        servers: dict[str, ServerSnapshot] = {}
        for on in (self.primary, *self.replicas):
            answer = facts.get(on, self.snapshot.probe())
            server = self.snapshot.running_server(answer)
            if server is not None and not server.in_recovery:
                servers[on] = server
        check_single_writer(self.primary, servers, self.snapshot.instance.unit)
        if self.primary_required and self.primary not in servers:
            raise Refused(
                f"replicas follow {self.primary}, and no primary runs there",
                next="pgprovision up primary",
            )
        return self

    def read(self, answer: Answer) -> State:
        return {"writable": "at most the declared primary"}

    def desired(self) -> State:
        return {"writable": "at most the declared primary"}


def check_single_writer(primary: str, writable: Mapping[str, ServerSnapshot], unit: str) -> None:
    """Raises Refused where another node than the declared primary accepts writes. A foreign server
    (another system identifier) is left to the check of the host's identity."""
    declared = writable.get(primary)
    others = [
        name
        for name, server in writable.items()
        if name != primary and server.system_identifier == (declared or server).system_identifier
    ]
    if not others:
        return
    if declared is None:
        raise Refused(
            f"{describe_writer(others[0], writable[others[0]])} accepts writes, and the inventory"
            " says replica: the live role wins",
            next=f"where {others[0]} is the primary now, say so in nodes/{others[0]}.yml (role:"
            f" primary) and nodes/{primary}.yml (role: replica)",
        )
    names = " and ".join(describe_writer(name, writable[name]) for name in (primary, *others))
    raise Refused(
        f"{1 + len(others)} nodes accept writes: {names}",
        next="decide which node's writes count and stop PostgreSQL on the other"
        f" (systemctl stop {unit}); correct the roles in nodes/*.yml;"
        " then pgprovision re-clone NAME makes the stopped one a replica again",
    )


def describe_writer(name: str, server: ServerSnapshot) -> str:
    """A writable node with its timeline and last write, for people."""
    at = server.lsn.get("written_at")
    written = f", last write {at}" if at else ""
    return f"{name} (timeline {server.timeline}{written})"
