"""One real machine with systemd, and the loop around it."""

import subprocess
from collections.abc import Sequence
from dataclasses import dataclass

from pgprovision.engine.loop import Approve, converge, look_only
from pgprovision.engine.model import Answer, Ask, Change, Impact, Report, Resource, Tier
from pgprovision.lab.console import enter
from pgprovision.lab.machines.machine_folder import Folder
from pgprovision.transport.host import Host
from pgprovision.transport.local import LocalWire
from tests.support.postgres_machine import Silent

NAME = "machine"


def yes(changes: Sequence[Change]) -> Impact:
    return Impact.RESTART


@dataclass(frozen=True)
class Machine:
    """A lab machine, entered as through a console: what is under test is not the network."""

    folder: Folder

    def shell(self, text: str, *, fails: bool = False) -> str:
        """Runs shell text as root; what it printed."""
        done = subprocess.run(enter(self.folder, ["sh", "-c", text]), capture_output=True)
        said = (done.stdout + done.stderr).decode(errors="replace").strip()
        assert fails or done.returncode == 0, said
        return said

    def run(
        self, *resources: Resource, approve: Approve = yes, watcher: Silent | None = None
    ) -> Report:
        """`up`: each resource in a tier of its own."""
        tiers = [Tier(str(resource), (resource,)) for resource in resources]
        return converge(tiers, {NAME: self._host()}, approve, watcher or Silent())

    def plan(self, *resources: Resource) -> list[Change]:
        """What differs, by the same loop that would repair it."""
        return self.run(*resources, approve=look_only).left

    def remarks(self, *resources: Resource) -> list[str]:
        """What is worth knowing."""
        return [text for _, text in self.run(*resources, approve=look_only).remarks]

    def ask(self, ask: Ask) -> Answer:
        """One look."""
        seen = self._host().look((ask,))
        assert isinstance(seen, dict)
        found: Answer = seen[ask]
        return found

    def _host(self) -> Host:
        return Host(NAME, lambda: LocalWire(enter(self.folder, ["sh", "-s"])))
