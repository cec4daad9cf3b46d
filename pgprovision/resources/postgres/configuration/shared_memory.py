"""Settings that a standby needs at least as high as its primary has them, and who moves first.

They size shared memory for what the primary may have in progress; a standby with less stops, and
does not start again (PostgreSQL manual, 27.4.3). So raising goes to the standbys first, lowering to
the primary first.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Self

from pgprovision.engine.model import Ask, Facts, Need, Waiting
from pgprovision.quote import sh
from pgprovision.resources.postgres.server.instance import Instance
from pgprovision.resources.postgres.server.snapshot import Server, Snapshot

DEFAULTS: Mapping[str, int] = {
    "max_connections": 100,
    "max_worker_processes": 8,
    "max_wal_senders": 10,
    "max_prepared_transactions": 0,
    "max_locks_per_transaction": 64,
}
SECONDS = 600.0  # how long the others may take, restarts and catching up included
_IN_CONTROL_FILE = {  # pg_controldata's words for them
    "max_prepared_transactions": "max_prepared_xacts",
    "max_locks_per_transaction": "max_locks_per_xact",
}


def control_file(instance: Instance) -> Ask:
    """The primary's values as far as a standby has replayed them: it starts with no less."""
    control = sh(f"{instance.bin}/pg_controldata", "-D", instance.data_directory)
    return Ask(f"LC_ALL=C {control} 2>/dev/null | sed -n 's/^\\(max_.*\\) setting: */\\1 /p'")


def demanded(text: str) -> Mapping[str, int]:
    """What control_file answered; empty where there is no cluster."""
    found = dict(line.split() for line in text.splitlines())
    names = {name: _IN_CONTROL_FILE.get(name, name) for name in DEFAULTS}
    return {name: int(found[word]) for name, word in names.items() if word in found}


def running(server: Server) -> Mapping[str, int]:
    """What a server runs with."""
    return {
        name: int(server.settings[name]["value"]) if name in server.settings else default
        for name, default in DEFAULTS.items()
    }


@dataclass(frozen=True)
class Order:
    """Which nodes these settings bind together; `moving` are those that this run looks after.

    Filled in from facts: `others`, what the replicas run with (for the primary); `least`, what the
    control file demands and `kept`, what people gave the primary in local.conf (for a standby).
    """

    primary: str
    replicas: tuple[str, ...]
    moving: frozenset[str]
    others: Mapping[str, Mapping[str, int]] = field(default_factory=dict, compare=False)
    least: Mapping[str, int] = field(default_factory=dict, compare=False)
    kept: Mapping[str, int] = field(default_factory=dict, compare=False)

    def needs(self, on: str, snapshot: Snapshot) -> tuple[Need, ...]:
        if on == self.primary:
            return tuple(Need(replica, snapshot.ask()) for replica in self.replicas)
        own = Need(on, control_file(snapshot.instance))
        return (own, Need(self.primary, snapshot.ask()))

    def settled(self, on: str, snapshot: Snapshot, facts: Facts) -> Self:
        def server(node: str) -> Server | None:
            return snapshot.running(facts.get(node, snapshot.ask()))

        if on == self.primary:
            found = {node: server(node) for node in self.replicas}
            return replace(self, others={n: running(s) for n, s in found.items() if s})
        answer, primary = facts.get(on, control_file(snapshot.instance)), server(self.primary)
        ours = f"{snapshot.instance.config_directory}/postgresql.conf"
        theirs = primary.settings if primary else {}
        return replace(
            self,
            least=demanded(answer.text) if answer else {},
            kept={
                name: int(theirs[name]["value"])
                for name in DEFAULTS
                if name in theirs and theirs[name]["file"] not in (ours, None)
            },
        )

    def first(self, on: str, wish: Mapping[str, int]) -> Waiting | None:
        """Who has to move before `on` may run with these values; None: nobody."""
        if on == self.primary:
            for node, values in self.others.items():
                if low := [name for name, value in wish.items() if values[name] < value]:
                    return self._after(node, f"it runs with {_listed(low, values)}")
            return None
        if high := [name for name, value in wish.items() if self.least.get(name, 0) > value]:
            return self._after(self.primary, f"from it come {_listed(high, self.least)}")
        return None

    def _after(self, node: str, why: str) -> Waiting:
        if node in self.moving:
            return Waiting(f"{node} first: {why}", SECONDS)
        return Waiting(f"{node} first, which is no part of this run: {why}", 0.0)


class AsRestored(Order):
    """A restored copy follows nobody: its values are at least those in its own control file."""

    def needs(self, on: str, snapshot: Snapshot) -> tuple[Need, ...]:
        return (Need(on, control_file(snapshot.instance)),)

    def settled(self, on: str, snapshot: Snapshot, facts: Facts) -> Self:
        answer = facts.get(on, control_file(snapshot.instance))
        return replace(self, kept=demanded(answer.text) if answer else {})

    def first(self, on: str, wish: Mapping[str, int]) -> Waiting | None:
        return None


def _listed(names: list[str], values: Mapping[str, int]) -> str:
    return ", ".join(f"{name} = {values[name]}" for name in names)
