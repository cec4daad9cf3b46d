"""A throw-away PostgreSQL on this machine, and the loop around it."""

import os
import shutil
import socket
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from pgprovision.engine.loop import Approve, Watcher, converge, look_only
from pgprovision.engine.model import Change, Do, Impact, Report, Resource, Tier, Waiting
from pgprovision.resources.postgres.server.instance import Instance
from pgprovision.transport.host import Host
from pgprovision.transport.local import LocalWire

HERE = "here"


class Silent(Watcher):
    """Sees nothing, says nothing."""

    def tier(self, title: str) -> None: ...
    def acting(self, changes: Sequence[Change]) -> None: ...
    def done(self, change: Change, action: Do) -> None: ...
    def failed(self, target: str, error: Exception) -> None:
        raise error

    def waiting(self, resource: Resource, waiting: Waiting, seconds: float) -> None: ...


def missing() -> str:
    """Why no PostgreSQL can be started here; empty where it can."""
    if os.geteuid() != 0:
        return "needs root (the cluster runs as postgres)"
    if not shutil.which("pg_createcluster"):
        return "needs Debian's postgresql-common"
    return "" if _versions() else "needs a PostgreSQL server package"


def _versions() -> list[int]:
    servers = Path("/usr/lib/postgresql").glob("*/bin/postgres")
    return sorted(int(path.parts[-3]) for path in servers)


def _clear_abandoned(name: str) -> None:
    """Drop clusters of test processes that were killed."""
    for folder in Path("/etc/postgresql").glob(f"*/{name}[0-9]*"):
        pid = folder.name.removeprefix(name)
        if pid.isdigit() and not Path(f"/proc/{pid}").exists():
            cluster = (folder.parent.name, folder.name)
            subprocess.run(["pg_dropcluster", "--stop", *cluster], check=False, capture_output=True)


@contextmanager
def running(name: str = "law") -> Iterator[Instance]:
    """A cluster of its own name and port, gone afterwards."""
    _clear_abandoned(name)
    versions = _versions()
    version = 15 if 15 in versions else versions[-1]
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    instance = Instance(version, f"{name}{os.getpid()}", port)
    cluster = (str(instance.version), instance.name)
    words = ["pg_createcluster", "--port", str(port), "--locale", "C.UTF-8", "--start", *cluster]
    subprocess.run([*words, "--", "--no-sync"], check=True, capture_output=True)
    try:
        yield instance
    finally:
        subprocess.run(["pg_dropcluster", "--stop", *cluster], check=True, capture_output=True)


def shell(text: str, stdin: str = "") -> str:
    """Runs shell text as a person would; its stdout."""
    done = subprocess.run(["sh", "-c", text], input=stdin, text=True, capture_output=True, cwd="/")
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def sql(instance: Instance, text: str, database: str = "postgres") -> str:
    return shell(instance.psql(database), text)


def yes(changes: Sequence[Change]) -> Impact:
    return Impact.RESTART


def run(*resources: Resource, approve: Approve = yes) -> Report:
    """`up`: each resource in a tier of its own."""
    tiers = [Tier(str(resource), (resource,)) for resource in resources]
    return converge(tiers, {HERE: Host(HERE, LocalWire)}, approve, Silent())


def plan(*resources: Resource) -> list[Change]:
    """What differs, by the same loop that would repair it."""
    return run(*resources, approve=look_only).left
