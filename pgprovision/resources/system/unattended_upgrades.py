"""Upgrades: what apt must not touch unasked, and what waits for somebody to ask."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import ClassVar

from pgprovision.engine.model import Answer, Ask, Diff, Do, Resource, State, Waiting
from pgprovision.quote import sh
from pgprovision.resources.system.packages import LOCK_SECONDS, PATIENT, PROBE, unless_locked

_POLICY = re.compile(r"^(\S+):\n +Installed: (\S+)\n +Candidate: (\S+)", re.MULTILINE)


@dataclass(frozen=True, kw_only=True)
class Held(Resource):
    """Packages that stay as they are until somebody names them: an upgrade of PostgreSQL restarts
    it, and belongs in a chosen moment, replicas first."""

    kind: ClassVar[str] = "held packages"
    names: tuple[str, ...]

    @property
    def name(self) -> str:
        return ", ".join(self.names)

    def probe(self) -> Ask:
        return PROBE

    def read(self, answer: Answer) -> State | Waiting:
        rows = (line.split() for line in answer.text.splitlines())
        seen = {row[1]: row[0] for row in rows if len(row) == 3}
        state = {name: seen.get(name, "").startswith("h") for name in self.names}
        return unless_locked(answer, state, self.desired())

    def desired(self) -> State:
        return dict.fromkeys(self.names, True)

    def change(self, diff: Diff) -> Iterable[Do]:
        hold = sh("patient", "apt-mark", "-q", "hold", *diff.keys)
        yield Do(f"hold {', '.join(diff.keys)}", f"{PATIENT}{hold}", timeout=LOCK_SECONDS + 60)


@dataclass(frozen=True, kw_only=True)
class Upgrades(Resource):
    """Nothing to converge, something to know: newer packages that wait to be asked for."""

    kind: ClassVar[str] = "upgrades"
    names: tuple[str, ...]

    @property
    def name(self) -> str:
        return ", ".join(self.names)

    def probe(self) -> Ask:
        return Ask(f"LC_ALL=C {sh('apt-cache', 'policy', *self.names)}")

    def read(self, answer: Answer) -> State:
        found = _POLICY.findall(answer.text)
        return {name: new for name, old, new in found if old not in (new, "(none)")}

    def desired(self) -> State:
        return {}

    def remarks(self, state: State) -> tuple[str, ...]:
        return tuple(f"an upgrade is pending: {name} {new}" for name, new in state.items())

    def change(self, diff: Diff) -> Iterable[Do]:
        return ()
