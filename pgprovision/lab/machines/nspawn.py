"""The lab's hypervisor: each server of the API is a systemd-nspawn machine.

All state is in files (see `folder`), so a new process finds the machines that run. What should
run is on disk as well: `resume_all` starts it after a reboot of the host.
"""

import shutil
import signal
import sys
from collections.abc import Callable
from contextlib import AbstractContextManager

from pgprovision.lab import firewall
from pgprovision.lab.command import LabError, file_lock
from pgprovision.lab.hypervisor import LabFirewallRule, MachineSpec, PrivateInterface
from pgprovision.lab.images import ensure_image
from pgprovision.lab.machines import disk
from pgprovision.lab.machines.machine_folder import LabEnvironment, MachineFolder
from pgprovision.lab.machines.supervisor import POWEROFF, clean_up, init_pid, signal_machine
from pgprovision.lab.process import tail, wait_until

_REBOOT = signal.SIGRTMIN + 5  # systemd(1), signals: starts reboot.target
_START_SECONDS = 20
_SHUTDOWN_SECONDS = 30


class NspawnHypervisor:
    """A `Hypervisor` with its machines in the site's folder."""

    def __init__(self, environment: LabEnvironment, log: Callable[[str], None]) -> None:
        self._environment = environment
        self._log = log

    def public_addresses(self) -> tuple[str, ...]:
        return self._environment.network.public_addresses()

    def create(self, spec: MachineSpec) -> None:
        folder = self._environment.machine(spec.id)
        image_folder = ensure_image(spec.image, self._log)
        with self._lock():
            if folder.exists and folder.spec() == spec and (folder.path / "root").exists():
                return
            disk.create_disk(folder, spec, image_folder)
            folder.set_power("off")
            self._apply_firewalls()

    def start(self, machine: int, interfaces: tuple[PrivateInterface, ...]) -> None:
        folder = self._existing_folder(machine)
        with self._lock():
            self._wait_for_supervisor(folder)
            folder.save_interfaces(interfaces)
            folder.set_power("on")
            self._power_on(folder)

    def power_off(self, machine: int) -> None:
        folder = self._existing_folder(machine)
        with self._lock():
            self._cut_power(folder)
            folder.set_power("off")

    def shutdown(self, machine: int) -> None:
        signal_machine(self._existing_folder(machine), POWEROFF)

    def reboot(self, machine: int) -> None:
        signal_machine(self._existing_folder(machine), _REBOOT)

    def reset(self, machine: int) -> None:
        folder = self._existing_folder(machine)
        with self._lock():
            self._cut_power(folder)
            folder.set_power("on")
            self._power_on(folder)

    def delete(self, machine: int) -> None:
        folder = self._environment.machine(machine)
        with self._lock():
            self._cut_power(folder)
            if folder.path.exists():
                shutil.rmtree(folder.path)
            self._apply_firewalls()

    def rebuild(self, spec: MachineSpec) -> None:
        folder = self._existing_folder(spec.id)
        image_folder = ensure_image(spec.image, self._log)
        with self._lock():
            self._cut_power(folder)
            folder.set_power("off")
            disk.create_disk(folder, spec, image_folder)

    def attach(self, machine: int, interface: PrivateInterface) -> None:
        folder = self._existing_folder(machine)
        with self._lock():
            old_interfaces = folder.interfaces()
            others = tuple(s for s in old_interfaces if s.network_id != interface.network_id)
            folder.save_interfaces((*others, interface))
            try:
                self._environment.network.attach_private(machine, interface)
            except LabError:
                folder.save_interfaces(old_interfaces)
                raise

    def detach(self, machine: int, network_id: int) -> None:
        folder = self._existing_folder(machine)
        with self._lock():
            folder.save_interfaces(
                tuple(s for s in folder.interfaces() if s.network_id != network_id)
            )
            self._environment.network.detach_private(machine, network_id)

    def set_firewall(self, machine: int, rules: tuple[LabFirewallRule, ...] | None) -> None:
        folder = self._existing_folder(machine)
        with self._lock():
            folder.save_rules(rules)
            self._apply_firewalls()

    def is_running(self, machine: int) -> bool:
        return init_pid(self._environment.machine(machine)) is not None

    # The lab's side of it.

    def resume_all(self) -> None:
        """Enforce the firewalls and start what should be running and is not."""
        with self._lock():
            self._apply_firewalls()
            for folder in self._environment.machines():
                if folder.shutdown_marker.exists():  # a `suspend_all` that was killed half-way
                    self._suspend(folder)
                if folder.should_be_on and init_pid(folder) is None:
                    self._log(f"starting machine {folder.spec().name}")
                    self._power_on(folder)

    def suspend_all(self) -> None:
        """Stop all machines together; `resume_all` starts them again."""
        machines = self._environment.machines()
        for folder in machines:
            folder.supervisor.signal(signal.SIGTERM)
        for folder in machines:
            self._suspend(folder)

    def _suspend(self, folder: MachineFolder) -> None:
        folder.supervisor.stop(grace=_SHUTDOWN_SECONDS)
        self._cut_power(folder)
        folder.shutdown_marker.unlink(missing_ok=True)

    def cut_all_power(self) -> None:
        """Cut the power of all machines; `resume_all` starts them again."""
        for folder in self._environment.machines():
            self._cut_power(folder)

    def delete_all(self) -> None:
        """Cut the power of all machines and remove their disks."""
        for folder in self._environment.machines():
            self.delete(folder.machine)

    def _power_on(self, folder: MachineFolder) -> None:
        if init_pid(folder) is not None:
            return
        command = [sys.executable, "-m", "pgprovision.lab.machines.supervisor"]
        daemon = folder.supervisor
        daemon.start([*command, str(folder.environment.home), str(folder.machine)])
        wait_until(lambda: init_pid(folder) is not None or daemon.pid() is None, _START_SECONDS)
        if init_pid(folder) is None:
            console = folder.path / "console.log"
            raise LabError(
                f"machine {folder.spec().name} did not start: {tail(console)} "
                f"{daemon.log_tail()}; see {console}"
            )

    def _wait_for_supervisor(self, folder: MachineFolder) -> None:
        """A machine that went off a moment ago is still being cleared away by its supervisor."""
        wait_until(
            lambda: init_pid(folder) is not None or folder.supervisor.pid() is None, _START_SECONDS
        )

    def _cut_power(self, folder: MachineFolder) -> None:
        folder.supervisor.kill()
        clean_up(folder)

    def _apply_firewalls(self) -> None:
        if not self._environment.network.exists():
            return  # nothing can be reached; `resume_all` comes by here once it stands again
        machines = self._environment.machines()
        rules_by_address = {
            f.public_addresses(): r for f in machines if (r := f.rules()) is not None
        }
        firewall.apply_rules(self._environment.network.router, rules_by_address)

    def _existing_folder(self, machine: int) -> MachineFolder:
        folder = self._environment.machine(machine)
        if not folder.exists:
            raise LabError(f"there is no machine {machine} in {self._environment.home}")
        return folder

    def _lock(self) -> AbstractContextManager[None]:
        return file_lock(self._environment.home / "machines.lock")
