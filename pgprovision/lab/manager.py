"""A lab: the API simulator, its machines, object storage and package cache, under one name.

`up` makes what is missing and starts what does not run, whatever state the lab is in: new,
stopped, half up, or killed with the host. `down` keeps the state, `destroy` leaves nothing.
"""

import shutil
import sys
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path

from pgprovision.lab import clients, console, host, listing, s3
from pgprovision.lab.command import LabError, LabNotFound, file_lock
from pgprovision.lab.config import LabConfig, known_labs, lab_home, labs_home
from pgprovision.lab.images import ensure_image
from pgprovision.lab.listing import LabMachine, LabService
from pgprovision.lab.machines.machine_folder import LabEnvironment, MachineFolder
from pgprovision.lab.machines.nspawn import NspawnHypervisor
from pgprovision.lab.network import HOST_LOCK, free_number
from pgprovision.lab.packages import PackageCache
from pgprovision.lab.ports import free_port, wait_for_port
from pgprovision.lab.process import Daemon, read_pid_file, start_time, write_own_pid_file

LogLine = Callable[[str], None]

_API_PORT = 8080
_S3_PORT = 9000
_IMAGE = "debian-12"
DEFAULT_NAME = "demo"


class Lab:
    """The lab called `name`. A temporary one may be destroyed once this process has ended."""

    def __init__(self, name: str = DEFAULT_NAME, *, temporary: bool = False) -> None:
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
        store = self._store()
        daemons = (self._api(), store.daemon, store.read_only_daemon)
        return self.config.network.exists() and all(d.pid() is not None for d in daemons)

    @property
    def config(self) -> LabConfig:
        """Raises LabNotFound where there is no such lab."""
        self._must_exist()
        return LabConfig.load(self.home)

    def services(self) -> list[LabService]:
        """Everything it starts, machines apart."""
        return listing.services(self.config, self._api(), self._store())

    def machines(self) -> list[LabMachine]:
        """Its servers, running or not."""
        return [listing.describe_machine(folder) for folder in self._folders()]

    def env(self) -> dict[str, str]:
        """What clients of the API and the storage need in their environment."""
        return clients.client_environment(self.config, self._store())

    def shell(self, server: str, command: Sequence[str] = ()) -> list[str]:
        """The command that enters a running server by its name, past network and sshd."""
        for folder in self._folders():
            if folder.spec().name == server:
                return console.enter_command(folder, command)
        known = ", ".join(machine.name for machine in self.machines()) or "none yet"
        raise LabNotFound(f"lab {self.name!r} has no server {server!r}; it has: {known}")

    # What it does.

    def up(self, log: LogLine) -> None:
        """Make and start whatever is missing; raises LabError if something stays so."""
        host.check_host()
        if missing := host.missing_packages():
            names = " ".join(package.name for package in missing)
            raise LabError(f"the lab needs these packages: apt-get install {names}")
        host.raise_inotify_limit(log)
        with self._lock():
            self._configure()
            network = self.config.network
            if not network.exists() and self._folders():
                self._hypervisor(log).cut_all_power()  # what runs on has lost its wires
            network.up(owner=str(self.home))
            config = self._choose_ports()
            cache = PackageCache.for_user()
            cache.acquire(network.router)
            self._store().start()
            hosts = ((network.host_address, s3.HOSTNAME),)
            LabEnvironment(self.home, network, hosts, cache.url).save()
            ensure_image(_IMAGE, log)
            self._hypervisor(log).resume_all()
            module = [sys.executable, "-m", "pgprovision.lab.daemon", str(self.home)]
            self._api().start(module)
            address, store = network.host_address, self._store()
            wait_for_port(address, config.api_port, self._api(), "the API simulator")
            wait_for_port(address, config.s3_port, store.daemon, "the object storage")
            wait_for_port(
                address, config.s3_read_port, store.read_only_daemon, "the read-only object storage"
            )

    def down(self, log: LogLine) -> None:
        """Stop the machines and every process; `up` resumes."""
        self._must_exist()
        with self._lock():
            self._stop(log, keep_state=True)

    def destroy(self, log: LogLine) -> None:
        """Stop everything and remove the lab's folder. Also clears what a killed lab left."""
        with self._lock():
            if self.exists:
                self._stop(log, keep_state=False)
            if self.home.exists():
                shutil.rmtree(self.home)
            self._lock_file.unlink()

    def _stop(self, log: LogLine, *, keep_state: bool) -> None:
        network = self.config.network
        self._api().stop(grace=15)
        if self._folders():
            hypervisor = self._hypervisor(log)
            hypervisor.suspend_all() if keep_state else hypervisor.delete_all()
        self._store().stop()
        network.down(owner=str(self.home))
        PackageCache.for_user().release(network.router)

    def _configure(self) -> None:
        self.home.mkdir(parents=True, exist_ok=True, mode=0o700)
        if self._temporary:
            write_own_pid_file(self.home / "owner.pid")
        if not self.exists:
            with file_lock(HOST_LOCK):
                others = (lab_home(name) for name in known_labs())
                taken = [LabConfig.load(h).number for h in others if (h / "lab.json").exists()]
                LabConfig.new(free_number(self.name, taken)).save(self.home)

    def _choose_ports(self) -> LabConfig:
        config = self.config
        address = config.network.host_address
        if not config.api_port:
            api_port, s3_port = free_port(address, _API_PORT), free_port(address, _S3_PORT)
            config = replace(config, api_port=api_port, s3_port=s3_port)
        if not config.s3_read_port:  # also of a lab that was made before there was one
            config = replace(config, s3_read_port=free_port(address, config.s3_port + 1))
        config.save(self.home)
        return config

    @property
    def _lock_file(self) -> Path:
        # Beside the folder, which `destroy` removes.
        return labs_home() / f".{self.name}.lock"

    def _lock(self) -> AbstractContextManager[None]:
        return file_lock(self._lock_file)

    def _must_exist(self) -> None:
        if not self.exists:
            option = "" if self.name == DEFAULT_NAME else f" --name {self.name}"
            raise LabNotFound(
                f"there is no lab {self.name!r}; `pgprovision lab up{option}` makes it"
            )

    def _folders(self) -> list[MachineFolder]:
        """Its machines' folders; none before it was up for the first time."""
        self._must_exist()
        return (
            LabEnvironment.load(self.home).machines() if (self.home / "site.json").exists() else []
        )

    def _hypervisor(self, log: LogLine) -> NspawnHypervisor:
        return NspawnHypervisor(LabEnvironment.load(self.home), log)

    def _api(self) -> Daemon:
        return Daemon(self.home / "api.pid", self.home / "api.log")

    def _store(self) -> s3.LabObjectStore:
        config = self.config
        address = config.network.host_address
        return s3.LabObjectStore(self.home / "s3", address, config.s3_port, config.s3_read_port)


def destroy_abandoned_labs(log: LogLine) -> None:
    """Destroy temporary labs that an ended process left behind."""
    for name in known_labs():
        lab = Lab(name)
        pid_file = lab.home / "owner.pid"
        if pid_file.exists() and not _is_alive(read_pid_file(pid_file)):
            log(f"clearing lab {name}, left by a process that has ended")
            lab.destroy(log)


def _is_alive(process: tuple[int, int] | None) -> bool:
    return process is not None and start_time(process[0]) == process[1]
