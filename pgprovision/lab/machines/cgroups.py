"""One control group per machine, in every hierarchy systemd uses on this host.

Without it machines on a host that has no systemd of its own would share one tree, and stopping a
unit in one would wait for, or kill, the same unit of another. It is also the true list of a
machine's processes: what is in it belongs to the machine, whoever is its parent.
"""

import contextlib
import os
import signal
from pathlib import Path

from pgprovision.lab.process import wait_until


def create_groups(name: str) -> list[Path]:
    """The machine's groups, made if need be."""
    groups = _groups(name)
    for group in groups:
        group.mkdir(exist_ok=True)
    return groups


def kill_groups(name: str, seconds: float = 10) -> bool:
    """Kill whatever is in the machine's groups and remove them; whether they are gone."""
    return wait_until(lambda: all(_remove(group) for group in _groups(name)), seconds)


def _groups(name: str) -> list[Path]:
    groups = []
    for line in Path("/proc/self/mounts").read_text().splitlines():
        _, mount, kind, options, *_ = line.split()
        if kind == "cgroup2" or (kind == "cgroup" and "name=systemd" in options.split(",")):
            groups.append(Path(mount) / name)
    return groups


def _remove(group: Path) -> bool:
    for folder, _, _ in os.walk(group, topdown=False):
        for pid in _pids(Path(folder)):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        with contextlib.suppress(OSError):  # busy: not empty yet, or a parent of such
            Path(folder).rmdir()
    return not group.exists()


def _pids(folder: Path) -> list[int]:
    try:
        # 0 stands for a process of another pid namespace; never kill our own group by it.
        return [int(p) for p in (folder / "cgroup.procs").read_text().split() if p != "0"]
    except OSError:
        return []
