"""Settings that a standby needs at least as high as its primary, and the order of changing them.

They size shared memory for what the primary may have in progress. A standby with less stops, and
does not start again (PostgreSQL manual, 27.4.3). So raising goes to the standbys first, lowering to
the primary first.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Self

from pgprovision.engine.model import Facts, Need, Probe, Waiting
from pgprovision.quote import sh
from pgprovision.resources.postgres.server.instance import Instance
from pgprovision.resources.postgres.server.snapshot import ServerSnapshot, SnapshotQuery

STANDBY_PARAMETERS: Mapping[str, int] = {
    "max_connections": 100,
    "max_worker_processes": 8,
    "max_wal_senders": 10,
    "max_prepared_transactions": 0,
    "max_locks_per_transaction": 64,
}
ROLLOUT_SECONDS = 600.0  # how long the others may take, restarts and catching up included
_IN_CONTROL_FILE = {  # pg_controldata's words for them
    "max_prepared_transactions": "max_prepared_xacts",
    "max_locks_per_transaction": "max_locks_per_xact",
}


def control_file_probe(instance: Instance) -> Probe:
    """Prints the primary's values as far as a standby has replayed them: it does not start with
    less."""
    control = sh(f"{instance.bin_directory}/pg_controldata", "-D", instance.data_directory)
    return Probe(f"LC_ALL=C {control} 2>/dev/null | sed -n 's/^\\(max_.*\\) setting: */\\1 /p'")


def parse_control_file(text: str) -> Mapping[str, int]:
    """The answer to `control_file_probe`; empty where there is no cluster."""
    found = dict(line.split() for line in text.splitlines())
    names = {name: _IN_CONTROL_FILE.get(name, name) for name in STANDBY_PARAMETERS}
    return {name: int(found[word]) for name, word in names.items() if word in found}


def running_values(server: ServerSnapshot) -> Mapping[str, int]:
    """The values that a server runs with."""
    return {
        name: int(server.settings[name]["value"]) if name in server.settings else default
        for name, default in STANDBY_PARAMETERS.items()
    }


@dataclass(frozen=True)
class RolloutOrder:
    """The nodes that depend on each other's values of these settings."""

    primary: str
    replicas: tuple[str, ...]
    in_scope: frozenset[str]
    """The nodes of this run."""
    replica_values: Mapping[str, Mapping[str, int]] = field(default_factory=dict, compare=False)
    """A fact of the primary: what the replicas run with."""
    minimum: Mapping[str, int] = field(default_factory=dict, compare=False)
    """A fact of a standby: what its control file demands."""
    overridden: Mapping[str, int] = field(default_factory=dict, compare=False)
    """A fact of a standby: what the primary has from local.conf."""

    def needs(self, on: str, snapshot: SnapshotQuery) -> tuple[Need, ...]:
        if on == self.primary:
            return tuple(Need(replica, snapshot.probe()) for replica in self.replicas)
        own = Need(on, control_file_probe(snapshot.instance))
        return (own, Need(self.primary, snapshot.probe()))

    def resolved(self, on: str, snapshot: SnapshotQuery, facts: Facts) -> Self:
        def server(node: str) -> ServerSnapshot | None:
            return snapshot.running_server(facts.get(node, snapshot.probe()))

        if on == self.primary:
            found = {node: server(node) for node in self.replicas}
            return replace(
                self, replica_values={n: running_values(s) for n, s in found.items() if s}
            )
        answer, primary = facts.get(on, control_file_probe(snapshot.instance)), server(self.primary)
        own_file = f"{snapshot.instance.config_directory}/postgresql.conf"
        primary_settings = primary.settings if primary else {}
        return replace(
            self,
            minimum=parse_control_file(answer.text) if answer else {},
            overridden={
                name: int(primary_settings[name]["value"])
                for name in STANDBY_PARAMETERS
                if name in primary_settings
                and primary_settings[name]["file"] not in (own_file, None)
            },
        )

    def blocked_by(self, on: str, desired: Mapping[str, int]) -> Waiting | None:
        """The node that has to change before `on` may run with these values; None: no node."""
        if on == self.primary:
            for node, values in self.replica_values.items():
                if low := [name for name, value in desired.items() if values[name] < value]:
                    return self._after(node, f"it runs with {_listed(low, values)}")
            return None
        if high := [name for name, value in desired.items() if self.minimum.get(name, 0) > value]:
            return self._after(self.primary, f"from it come {_listed(high, self.minimum)}")
        return None

    def _after(self, node: str, why: str) -> Waiting:
        if node in self.in_scope:
            return Waiting(f"{node} first: {why}", ROLLOUT_SECONDS)
        return Waiting(f"{node} first, which is not part of this run: {why}", 0.0)


class RestoredCopyOrder(RolloutOrder):
    """A restored copy follows no primary: it needs what its own control file demands."""

    def needs(self, on: str, snapshot: SnapshotQuery) -> tuple[Need, ...]:
        return (Need(on, control_file_probe(snapshot.instance)),)

    def resolved(self, on: str, snapshot: SnapshotQuery, facts: Facts) -> Self:
        answer = facts.get(on, control_file_probe(snapshot.instance))
        return replace(self, overridden=parse_control_file(answer.text) if answer else {})

    def blocked_by(self, on: str, desired: Mapping[str, int]) -> Waiting | None:
        return None


def _listed(names: list[str], values: Mapping[str, int]) -> str:
    return ", ".join(f"{name} = {values[name]}" for name in names)
