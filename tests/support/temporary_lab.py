"""A lab of their own for tests on real machines; see `pgprovision.lab.manager`."""

import importlib.util
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from pgprovision.lab import host
from pgprovision.lab.manager import Lab, destroy_abandoned_labs
from pgprovision.lab.process import wait_until


def missing_prerequisite() -> str | None:
    """What keeps this machine from running a lab, in one line; None if nothing does."""
    if sys.platform != "linux" or os.geteuid() != 0:
        return "the lab needs Linux and root"
    if packages := [package.name for package in host.missing_packages()]:
        return f"the lab needs packages: {' '.join(packages)} (`pgprovision lab up` installs them)"
    if importlib.util.find_spec("uvicorn") is None:
        return "the lab needs pip install 'pgprovision[lab]'"
    return None


@contextmanager
def temporary_lab(suffix: str = "") -> Iterator[Lab]:
    """A new lab, destroyed at the end; what a killed test run left is cleared first."""
    destroy_abandoned_labs(_log)
    lab = Lab(f"test-{os.getpid()}{suffix}", temporary=True)
    try:
        lab.up(_log)
        yield lab
    finally:
        lab.destroy(_log)


@dataclass(frozen=True)
class SshLogin:
    """A key pair in `folder`, and ssh with it. Host keys are not what these tests are about."""

    folder: Path

    def public_key(self) -> str:
        key = self.folder / "key"
        if not key.exists():
            subprocess.run(["ssh-keygen", "-qt", "ed25519", "-N", "", "-f", key], check=True)
        return key.with_suffix(".pub").read_text().strip()

    def run(self, address: str, command: str) -> subprocess.CompletedProcess[str]:
        """One command as root; exit status 255 if nobody answers."""
        words = ["ssh", "-i", str(self.folder / "key"), "-o", "StrictHostKeyChecking=no"]
        quiet = ["-o", "UserKnownHostsFile=/dev/null", "-o", "LogLevel=ERROR"]
        limit = ["-o", "BatchMode=yes", "-o", "ConnectTimeout=2"]
        return subprocess.run(
            [*words, *quiet, *limit, f"root@{address}", command], capture_output=True, text=True
        )

    def answers(self, address: str, seconds: float = 60) -> bool:
        """Whether a login works within that time."""
        return wait_until(lambda: self.run(address, "true").returncode == 0, seconds)


def _log(line: str) -> None:
    sys.stderr.write(f"{time.strftime('%X')} {line}\n")
