"""One real machine with systemd, and the loop around it."""

import subprocess
from collections.abc import Sequence
from dataclasses import dataclass

from pgprovision.engine.loop import Approve, converge, observe_only
from pgprovision.engine.model import Answer, Change, Impact, Probe, Report, Resource, Tier
from pgprovision.lab.console import enter_command
from pgprovision.lab.machines.machine_folder import MachineFolder
from pgprovision.transport.host import Host
from pgprovision.transport.local import LocalConnection
from tests.support.postgres_machine import SilentObserver

MACHINE_NAME = "machine"


def approve_restart(changes: Sequence[Change]) -> Impact:
    return Impact.RESTART


@dataclass(frozen=True)
class BackupMachine:
    """A lab machine, entered as through a console: what is under test is not the network."""

    folder: MachineFolder

    def shell(self, text: str, *, fails: bool = False) -> str:
        """Runs shell text as root; what it printed."""
        done = subprocess.run(enter_command(self.folder, ["sh", "-c", text]), capture_output=True)
        output = (done.stdout + done.stderr).decode(errors="replace").strip()
        assert fails or done.returncode == 0, output
        return output

    def run(
        self,
        *resources: Resource,
        approve: Approve = approve_restart,
        watcher: SilentObserver | None = None,
    ) -> Report:
        """`up`: each resource in a tier of its own."""
        tiers = [Tier(str(resource), (resource,)) for resource in resources]
        return converge(tiers, {MACHINE_NAME: self._host()}, approve, watcher or SilentObserver())

    def plan(self, *resources: Resource) -> list[Change]:
        """What differs, by the same loop that would repair it."""
        return self.run(*resources, approve=observe_only).remaining

    def notes(self, *resources: Resource) -> list[str]:
        """What is worth knowing."""
        return [text for _, text in self.run(*resources, approve=observe_only).notes]

    def probe(self, query: Probe) -> Answer:
        """One look."""
        answers = self._host().observe((query,))
        assert isinstance(answers, dict)
        found: Answer = answers[query]
        return found

    def _host(self) -> Host:
        return Host(MACHINE_NAME, lambda: LocalConnection(enter_command(self.folder, ["sh", "-s"])))
