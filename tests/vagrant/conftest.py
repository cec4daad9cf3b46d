"""Two machines as `scripts/vagrant-machines` leaves them: a primary and a replica, provisioned."""

import os
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pytest

from pgprovision.engine.model import Probe, Waiting
from pgprovision.errors import Unreachable
from pgprovision.inventory.loader.loader import load
from pgprovision.run.targets import Targets
from tests.support.cli_user import CHECKOUT, CommandResult

INVENTORY = "PGPROVISION_VAGRANT_INVENTORY"
PRIMARY, REPLICA = "pg1", "pg2"
PATIENCE = 600  # seconds; an emulated machine takes minutes to boot
BOOT = "cat /proc/sys/kernel/random/boot_id; cut -d ' ' -f 22 /proc/1/stat"


@dataclass(frozen=True)
class Cluster:
    """The inventory of the two, and a way into them."""

    inventory: Path

    def run(self, *words: str) -> CommandResult:
        """A command of ours, to its end."""
        command = [sys.executable, "-m", "pgprovision.cli.app", "-i", str(self.inventory), *words]
        done = subprocess.run(command, cwd=CHECKOUT, capture_output=True, text=True)
        return CommandResult(done.returncode, done.stdout, done.stderr)

    def shell(self, node: str, text: str) -> str:
        """Shell text as root on a machine, over the same SSH as the product; what it printed."""
        probe = Probe(text)
        with Targets(load(self.inventory)) as targets:
            answers = targets[node].observe((probe,))
        assert answers is not None
        assert not isinstance(answers, Waiting)
        assert answers[probe].code == 0, answers[probe].err
        return answers[probe].text.strip()

    def sql(self, node: str, query: str, database: str = "postgres") -> str:
        """A query as the superuser. It holds no quotes of the shell's."""
        return self.shell(node, f"runuser -u postgres -- psql -XAtq -d {database} -c '{query}'")

    def reboot(self) -> None:
        """Both at once, until both have booted to the end."""
        nodes = (PRIMARY, REPLICA)
        before = {node: self.shell(node, BOOT) for node in nodes}
        for node in nodes:
            self.shell(node, "systemd-run --quiet --on-active=1 systemctl reboot")
        for node in nodes:
            assert eventually(partial(self._booted_since, node, before[node]))
            self.shell(node, "systemctl is-system-running --wait || systemctl --failed")

    def _booted_since(self, node: str, before: str) -> bool:
        return self.shell(node, BOOT) != before


def eventually(true: Callable[[], bool]) -> bool:
    """Whether it becomes true, with machines that may be away meanwhile."""
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        try:
            if true():
                return True
        except Unreachable:
            pass
        time.sleep(1)
    return False


@pytest.fixture(scope="session")
def provisioned() -> Cluster:
    """As `up` left them."""
    inventory = os.environ.get(INVENTORY)
    if not inventory:
        pytest.skip("`make vagrant` brings up the machines for this, and runs it")
    return Cluster(Path(inventory))


@pytest.fixture(scope="session", params=["after up", "after a reboot"])
def cluster(request: pytest.FixtureRequest, provisioned: Cluster) -> Cluster:
    """Everything is shown twice: as `up` left it, and after both machines were rebooted."""
    if request.param == "after a reboot":
        provisioned.reboot()
    return provisioned
