"""What runs in a lab, as the host sees it."""

from dataclasses import dataclass

from pgprovision.lab import s3
from pgprovision.lab.config import Config
from pgprovision.lab.machines import supervisor
from pgprovision.lab.machines.machine_folder import Folder
from pgprovision.lab.packages import PackageCache
from pgprovision.lab.process import Daemon


@dataclass(frozen=True)
class Service:
    """One process of a lab; no pid, not running."""

    name: str
    pid: int | None
    address: str
    purpose: str


@dataclass(frozen=True)
class Machine:
    """One server of a lab as the host sees it."""

    id: int
    name: str
    image: str
    pid: int | None
    public_ipv4: str
    private_ipv4: tuple[str, ...]


def services(config: Config, api: Daemon, store: s3.Store) -> list[Service]:
    """Everything a lab starts, machines apart."""
    cache = PackageCache.of_user()
    address = config.network.host_address
    return [
        Service(
            "api",
            api.pid(),
            f"http://{address}:{config.api_port}/v1",
            "Hetzner Cloud API simulator",
        ),
        Service(
            "s3",
            store.daemon.pid(),
            f"https://{s3.NAME}:{config.s3_port} ({address})",
            f"object storage, bucket {s3.BUCKET}",
        ),
        Service(
            "s3-read",
            store.reader.pid(),
            f"https://{s3.NAME}:{config.s3_read_port} ({address})",
            "the same for reading alone",
        ),
        Service("packages", cache.daemon.pid(), cache.url, "package cache, for all labs"),
    ]


def describe(folder: Folder) -> Machine:
    """One machine, running or not."""
    spec = folder.spec()
    private = tuple(seat.ip for seat in folder.seats())
    pid = supervisor.leader(folder)
    return Machine(spec.id, spec.name, spec.image, pid, spec.public_ipv4, private)
