"""What runs in a lab, as the host sees it."""

from dataclasses import dataclass

from pgprovision.lab import s3
from pgprovision.lab.config import LabConfig
from pgprovision.lab.machines import supervisor
from pgprovision.lab.machines.machine_folder import MachineFolder
from pgprovision.lab.packages import PackageCache
from pgprovision.lab.process import Daemon


@dataclass(frozen=True)
class LabService:
    """One process of a lab; no pid, not running."""

    name: str
    pid: int | None
    address: str
    purpose: str


@dataclass(frozen=True)
class LabMachine:
    """One server of a lab as the host sees it."""

    id: int
    name: str
    image: str
    pid: int | None
    public_ipv4: str
    private_ipv4: tuple[str, ...]


def services(config: LabConfig, api: Daemon, store: s3.LabObjectStore) -> list[LabService]:
    """Everything a lab starts, machines apart."""
    cache = PackageCache.for_user()
    address = config.network.host_address
    return [
        LabService(
            "api",
            api.pid(),
            f"http://{address}:{config.api_port}/v1",
            "Hetzner Cloud API simulator",
        ),
        LabService(
            "s3",
            store.daemon.pid(),
            f"https://{s3.HOSTNAME}:{config.s3_port} ({address})",
            f"object storage, bucket {s3.BUCKET}",
        ),
        LabService(
            "s3-read",
            store.read_only_daemon.pid(),
            f"https://{s3.HOSTNAME}:{config.s3_read_port} ({address})",
            "object storage, read-only access",
        ),
        LabService("packages", cache.daemon.pid(), cache.url, "package cache, for all labs"),
    ]


def describe_machine(folder: MachineFolder) -> LabMachine:
    """One machine, running or not."""
    spec = folder.spec()
    private = tuple(seat.ip for seat in folder.interfaces())
    pid = supervisor.init_pid(folder)
    return LabMachine(spec.id, spec.name, spec.image, pid, spec.public_ipv4, private)
