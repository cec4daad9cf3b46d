"""A lab: the API simulator, its machines, object storage and package cache, under one name.

`up` makes what is missing and starts what does not run, whatever state the lab is in: new,
stopped, half up, or killed with the host. `down` keeps the state, `destroy` leaves nothing.
"""

import os
import shutil
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace

from pgprovision.lab import host, s3
from pgprovision.lab.command import LabError, locked
from pgprovision.lab.config import Config, known_labs, lab_home, labs_home
from pgprovision.lab.images import ensure_image
from pgprovision.lab.machines import supervisor
from pgprovision.lab.machines.folder import Folder, Site
from pgprovision.lab.machines.nspawn import NspawnHypervisor
from pgprovision.lab.network import free_number
from pgprovision.lab.packages import PackageCache
from pgprovision.lab.ports import free_port, wait_for_port
from pgprovision.lab.process import Daemon, record_self, recorded, start_time

Say = Callable[[str], None]

_API_PORT = 8080
_S3_PORT = 9000
_IMAGE = "debian-12"


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


class Lab:
    """The lab called `name`. A temporary one may be destroyed once this process has ended."""

    def __init__(self, name: str = "demo", *, temporary: bool = False) -> None:
        self.name = name
        self.home = lab_home(name)
        self._temporary = temporary

    # What it is.

    @property
    def exists(self) -> bool:
        return (self.home / "lab.json").exists()

    @property
    def running(self) -> bool:
        """Whether its network stands and its API and storage have a process."""
        if not self.exists:
            return False
        daemons = (self._api(), self._store().daemon)
        return self.config.network.stands() and all(d.pid() is not None for d in daemons)

    @property
    def config(self) -> Config:
        """Raises LabError where there is no such lab."""
        if not self.exists:
            raise LabError(f"there is no lab {self.name!r}; `pgprovision lab up` makes one")
        return Config.load(self.home)

    def services(self) -> list[Service]:
        """Everything it starts, machines apart."""
        config = self.config
        cache = PackageCache.of_user()
        address = config.network.host_address
        return [
            Service(
                "api",
                self._api().pid(),
                f"http://{address}:{config.api_port}/v1",
                "Hetzner Cloud API simulator",
            ),
            Service(
                "s3",
                self._store().daemon.pid(),
                f"https://{s3.NAME}:{config.s3_port} ({address})",
                f"object storage, bucket {s3.BUCKET}",
            ),
            Service("packages", cache.daemon.pid(), cache.url, "package cache, for all labs"),
        ]

    def machines(self) -> list[Machine]:
        """Its servers, running or not."""
        if not (self.home / "site.json").exists():
            return []
        return [_describe(folder) for folder in Site.load(self.home).machines()]

    def env(self) -> dict[str, str]:
        """What clients of the API and the storage need in their environment."""
        config, store = self.config, self._store()
        pair = store.keys()
        address = config.network.host_address
        return {
            "HCLOUD_ENDPOINT": f"http://{address}:{config.api_port}/v1",
            "HCLOUD_TOKEN": config.token,
            "PGPROVISION_LAB_S3_ENDPOINT": f"{s3.NAME}:{config.s3_port}",
            "PGPROVISION_LAB_S3_REGION": s3.REGION,
            "PGPROVISION_LAB_S3_BUCKET": s3.BUCKET,
            "PGPROVISION_LAB_S3_KEY": pair.key,
            "PGPROVISION_LAB_S3_SECRET": pair.secret,
            "PGPROVISION_LAB_S3_CA": str(store.ca),
            # The host does not know the storage's name; its certificate has the address, too.
            "AWS_ENDPOINT_URL": f"https://{address}:{config.s3_port}",
            "AWS_CA_BUNDLE": str(store.ca),
            "AWS_ACCESS_KEY_ID": pair.key,
            "AWS_SECRET_ACCESS_KEY": pair.secret,
            "AWS_DEFAULT_REGION": s3.REGION,
            **_no_proxy(address),
        }

    def shell(self, machine: str, command: Sequence[str] = ()) -> list[str]:
        """The command that enters a running machine by its name, past network and sshd."""
        for folder in Site.load(self.home).machines() if self.exists else ():
            if folder.spec().name == machine:
                return _enter(folder, command)
        known = ", ".join(m.name for m in self.machines()) or "none yet"
        raise LabError(f"lab {self.name!r} has no server {machine!r}; it has: {known}")

    # What it does.

    def up(self, say: Say) -> None:
        """Make and start whatever is missing; raises LabError if something stays so."""
        host.check()
        if lacking := host.missing():
            names = " ".join(package.name for package in lacking)
            raise LabError(f"the lab needs these packages: apt-get install {names}")
        with self._lock():
            self._configure()
            network = self.config.network
            network.up(owner=str(self.home))
            config = self._choose_ports()
            cache = PackageCache.of_user()
            cache.acquire(network.router)
            self._store().start()
            hosts = ((network.host_address, s3.NAME),)
            Site(self.home, network, hosts, cache.url).save()
            ensure_image(_IMAGE, say)
            self._hypervisor(say).resume()
            module = [sys.executable, "-m", "pgprovision.lab.daemon", str(self.home)]
            self._api().start(module)
            address, store = network.host_address, self._store()
            wait_for_port(address, config.api_port, self._api(), "the API simulator")
            wait_for_port(address, config.s3_port, store.daemon, "the object storage")

    def down(self, say: Say) -> None:
        """Shut machines down and stop every process; `up` resumes where this left."""
        with self._lock():
            if self.exists:
                self._stop(say, keep=True)

    def destroy(self, say: Say) -> None:
        """Stop everything and remove the lab's folder. Also clears what a killed lab left."""
        with self._lock():
            if self.exists:
                self._stop(say, keep=False)
            if self.home.exists():
                shutil.rmtree(self.home)

    def _stop(self, say: Say, *, keep: bool) -> None:
        network = self.config.network
        self._api().stop(grace=15)
        if (self.home / "site.json").exists():
            if keep:
                self._hypervisor(say).suspend()
            else:
                self._hypervisor(say).delete_all()
        self._store().daemon.stop()
        network.down(owner=str(self.home))
        PackageCache.of_user().release(network.router)

    def _configure(self) -> None:
        if not self.exists:
            with locked(labs_home() / ".numbers.lock"):
                others = (lab_home(name) for name in known_labs())
                taken = [Config.load(h).number for h in others if (h / "lab.json").exists()]
                self.home.mkdir(parents=True, exist_ok=True, mode=0o700)
                Config.new(free_number(self.name, taken)).save(self.home)
        if self._temporary:
            record_self(self.home / "owner.pid")

    def _choose_ports(self) -> Config:
        config = self.config
        if not config.api_port:
            address = config.network.host_address
            api_port, s3_port = free_port(address, _API_PORT), free_port(address, _S3_PORT)
            config = replace(config, api_port=api_port, s3_port=s3_port)
            config.save(self.home)
        return config

    def _lock(self) -> AbstractContextManager[None]:
        # Beside the folder, which `destroy` removes.
        return locked(labs_home() / f".{self.name}.lock")

    def _hypervisor(self, say: Say) -> NspawnHypervisor:
        return NspawnHypervisor(Site.load(self.home), say)

    def _api(self) -> Daemon:
        return Daemon(self.home / "api.pid", self.home / "api.log")

    def _store(self) -> s3.Store:
        config = self.config
        return s3.Store(self.home / "s3", config.network.host_address, config.s3_port)


def clear_abandoned(say: Say) -> None:
    """Destroy temporary labs whose process has ended without doing so."""
    for name in known_labs():
        lab = Lab(name)
        record = lab.home / "owner.pid"
        if record.exists() and not _alive(recorded(record)):
            say(f"clearing lab {name}, left by a process that is gone")
            lab.destroy(say)


def _alive(known: tuple[int, int] | None) -> bool:
    return known is not None and start_time(known[0]) == known[1]


def _describe(folder: Folder) -> Machine:
    spec = folder.spec()
    private = tuple(seat.ip for seat in folder.seats())
    pid = supervisor.leader(folder)
    return Machine(spec.id, spec.name, spec.image, pid, spec.public_ipv4, private)


def _enter(folder: Folder, command: Sequence[str]) -> list[str]:
    pid = supervisor.leader(folder)
    if pid is None:
        raise LabError(f"server {folder.spec().name} is off; power it on through the API")
    # A shell as after a login as root, with a clean environment.
    path = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
    term = f"TERM={os.environ.get('TERM', 'dumb')}"
    enter = ["nsenter", f"--target={pid}", "--all", "--wd=/root"]
    clean = ["env", "-i", path, term, "HOME=/root", "USER=root", "LANG=C.UTF-8"]
    if command:
        return [*enter, *clean, *command]
    # `script` gives the shell a terminal of the machine's own.
    return [*enter, *clean, "script", "--quiet", "--command", "bash --login", "/dev/null"]


def _no_proxy(address: str, env: Mapping[str, str] = os.environ) -> dict[str, str]:
    """Where this host talks through a proxy: not to the lab."""
    if not any(name.lower() in ("http_proxy", "https_proxy", "all_proxy") for name in env):
        return {}
    kept = env.get("NO_PROXY") or env.get("no_proxy") or ""
    merged = ",".join([*filter(None, kept.split(",")), address])
    return {"NO_PROXY": merged, "no_proxy": merged}
