"""Upgrades: packages that apt must not upgrade by itself, and upgrades that are pending."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import ClassVar

from pgprovision.engine.model import (
    Action,
    Answer,
    Check,
    Diff,
    Probe,
    Resource,
    State,
    Waiting,
    WithNotes,
)
from pgprovision.quote import sh
from pgprovision.resources.system.packages import (
    DPKG_PROBE,
    LOCK_SECONDS,
    RETRY_WHILE_LOCKED,
    wait_while_locked,
)

_POLICY = re.compile(r"^(\S+):\n +Installed: (\S+)\n +Candidate: (\S+)", re.MULTILINE)


@dataclass(frozen=True, kw_only=True)
class HeldPackages(Resource):
    """Packages that are only upgraded by name: an upgrade of PostgreSQL restarts it, and belongs in
    a chosen moment, replicas first."""

    kind: ClassVar[str] = "held packages"
    names: tuple[str, ...]

    @property
    def name(self) -> str:
        return ", ".join(self.names)

    def probe(self) -> Probe:
        return DPKG_PROBE

    def read(self, answer: Answer) -> State | Waiting:
        rows = (line.split() for line in answer.text.splitlines())
        statuses = {row[1]: row[0] for row in rows if len(row) == 3}
        state = {name: statuses.get(name, "").startswith("h") for name in self.names}
        return wait_while_locked(answer, state, self.desired())

    def desired(self) -> State:
        return dict.fromkeys(self.names, True)

    def change(self, diff: Diff) -> Iterable[Action]:
        command = sh("patient", "apt-mark", "-q", "hold", *diff.keys)
        yield Action(
            f"hold {', '.join(diff.keys)}",
            f"{RETRY_WHILE_LOCKED}{command}",
            timeout=LOCK_SECONDS + 60,
        )


@dataclass(frozen=True, kw_only=True)
class PendingUpgrades(Check, WithNotes):
    """Newer packages that wait to be installed. Reports only."""

    kind: ClassVar[str] = "pending upgrades"
    names: tuple[str, ...]

    @property
    def name(self) -> str:
        return ", ".join(self.names)

    def probe(self) -> Probe:
        return Probe(f"LC_ALL=C {sh('apt-cache', 'policy', *self.names)}")

    def read(self, answer: Answer) -> State:
        found = _POLICY.findall(answer.text)
        return {name: new for name, old, new in found if old not in (new, "(none)")}

    def desired(self) -> State:
        return {}

    def notes(self, state: State) -> tuple[str, ...]:
        return tuple(f"an upgrade is pending: {name} {new}" for name, new in state.items())
