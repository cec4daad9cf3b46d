"""What the host must bring: Linux, root, and a few packages."""

import contextlib
import importlib.util
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from pgprovision.lab.command import LabError, LabUnsupported

_INOTIFY = Path("/proc/sys/fs/inotify/max_user_instances")
_INOTIFY_INSTANCES = 1024


@dataclass(frozen=True)
class HostPackage:
    """A Debian package, a program by which to tell that it is there, and why it is needed."""

    name: str
    program: str
    why: str


PACKAGES = (
    HostPackage("systemd-container", "systemd-nspawn", "runs the lab's machines"),
    HostPackage("mmdebstrap", "mmdebstrap", "builds their image"),
    HostPackage("iproute2", "ip", "makes their networks"),
    HostPackage("nftables", "nft", "enforces the cloud firewall"),
    HostPackage("openssh-client", "ssh-keygen", "makes host keys, and is how people log in"),
    HostPackage("gnupg", "gpg", "signs the package mirror"),
    HostPackage("apt-cacher-ng", "apt-cacher-ng", "keeps their packages for the next time"),
)


def check_host() -> None:
    """Raises LabUnsupported where no lab can run."""
    if sys.platform != "linux":
        raise LabUnsupported("the lab needs Linux: its machines are systemd-nspawn containers")
    if os.geteuid() != 0:
        raise LabUnsupported("the lab needs root: it makes network namespaces and mounts; use sudo")
    if importlib.util.find_spec("uvicorn") is None:
        raise LabUnsupported("the lab needs more Python packages: pip install 'pgprovision[lab]'")
    # `su` without a login leaves these out, and `ip` and `nft` live there.
    os.environ["PATH"] = f"{os.environ.get('PATH', '/usr/bin:/bin')}:/usr/sbin:/sbin"


def raise_inotify_limit(log: Callable[[str], None]) -> None:
    """All machines are the host's root to the kernel and share its limit on inotify instances.

    Each machine's services take about nine; with the usual limit of 128 the thirteenth machine
    boots and never answers.
    """
    before = int(_INOTIFY.read_text())
    if before < _INOTIFY_INSTANCES:
        with contextlib.suppress(OSError):  # read-only where the host is a container itself
            _INOTIFY.write_text(str(_INOTIFY_INSTANCES))
            log(
                f"raised fs.inotify.max_user_instances from {before} to "
                f"{_INOTIFY_INSTANCES} until a reboot"
            )


def missing_packages() -> tuple[HostPackage, ...]:
    """What is not installed yet."""
    return tuple(package for package in PACKAGES if shutil.which(package.program) is None)


def install_packages(packages: Sequence[HostPackage]) -> None:
    """Install with apt-get; raises LabError where there is none, or with apt's own words."""
    names = [package.name for package in packages]
    if shutil.which("apt-get") is None:
        raise LabError(f"no apt-get here; install these by other means: {' '.join(names)}")
    env = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    # A foreign source that fails to update is no reason to stop: the install will tell.
    subprocess.run(["apt-get", "update", "-q"], env=env, capture_output=True)
    command = ["apt-get", "install", "-qy", "--no-install-recommends", *names]
    completed = subprocess.run(command, env=env, capture_output=True, text=True)
    if completed.returncode:
        raise LabError(f"`{' '.join(command)}` failed: {completed.stderr.strip()[-600:]}")
