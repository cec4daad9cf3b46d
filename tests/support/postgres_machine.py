"""A throw-away PostgreSQL on this machine, and the loop around it."""

import os
import shutil
import socket
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from pgprovision.engine.loop import Approve, RunObserver, converge, observe_only
from pgprovision.engine.model import Action, Change, Impact, Report, Resource, Tier, Waiting
from pgprovision.resources.postgres.server.instance import Instance
from pgprovision.transport.host import Host
from pgprovision.transport.local import LocalConnection

LOCAL = "controller"


class SilentObserver(RunObserver):
    """Sees nothing, says nothing."""

    def tier_started(self, tier: Tier) -> None: ...
    def acting(self, changes: Sequence[Change]) -> None: ...
    def action_done(self, change: Change, action: Action) -> None: ...
    def target_failed(self, target: str, error: Exception) -> None:
        raise error

    def waiting(self, resource: Resource, waiting: Waiting, seconds: float) -> None: ...


def missing_prerequisite() -> str:
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
def temporary_cluster(name: str = "law") -> Iterator[Instance]:
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
    completed = subprocess.run(
        ["sh", "-c", text], input=stdin, text=True, capture_output=True, cwd="/"
    )
    assert completed.returncode == 0, completed.stderr
    return completed.stdout.strip()


def sql(instance: Instance, text: str, database: str = "postgres") -> str:
    return shell(instance.psql(database), text)


def approve_restart(changes: Sequence[Change]) -> Impact:
    return Impact.RESTART


def converge_local(*resources: Resource, approve: Approve = approve_restart) -> Report:
    """`up`: each resource in a tier of its own."""
    tiers = [Tier(str(resource), (resource,)) for resource in resources]
    return converge(tiers, {LOCAL: Host(LOCAL, LocalConnection)}, approve, SilentObserver())


def plan_local(*resources: Resource) -> list[Change]:
    """What differs, by the same loop that would repair it."""
    return converge_local(*resources, approve=observe_only).remaining
