"""The lab's hypervisor: each server of the API is a systemd-nspawn machine.

All state is in files (see `folder`), so a new process finds the machines that run. What should
run is on disk as well: `resume` starts it after a reboot of the host.
"""

import shutil
import signal
import sys
from collections.abc import Callable
from contextlib import AbstractContextManager

from pgprovision.lab import firewall
from pgprovision.lab.command import LabError, locked
from pgprovision.lab.hypervisor import MachineSpec, Rule, Seat
from pgprovision.lab.images import ensure_image
from pgprovision.lab.machines import disk
from pgprovision.lab.machines.machine_folder import Folder, Site
from pgprovision.lab.machines.supervisor import POWEROFF, clear, leader, signal_machine
from pgprovision.lab.process import tail, wait_until

_REBOOT = signal.SIGRTMIN + 5  # systemd(1), signals: starts reboot.target
_START_SECONDS = 20
_SHUTDOWN_SECONDS = 30


class NspawnHypervisor:
    """A `Hypervisor` whose machines live in the site's folder."""

    def __init__(self, site: Site, say: Callable[[str], None]) -> None:
        self._site = site
        self._say = say

    def public_addresses(self) -> tuple[str, ...]:
        return self._site.network.public_addresses()

    def create(self, spec: MachineSpec) -> None:
        folder = self._site.machine(spec.id)
        lower = ensure_image(spec.image, self._say)
        with self._lock():
            if folder.exists and folder.spec() == spec and (folder.path / "root").exists():
                return
            disk.make(folder, spec, lower)
            folder.want("off")
            self._apply_firewalls()

    def start(self, machine: int, seats: tuple[Seat, ...]) -> None:
        folder = self._known(machine)
        with self._lock():
            self._let_it_end(folder)
            folder.save_seats(seats)
            folder.want("on")
            self._power_on(folder)

    def power_off(self, machine: int) -> None:
        folder = self._known(machine)
        with self._lock():
            self._cut_power(folder)
            folder.want("off")

    def shutdown(self, machine: int) -> None:
        signal_machine(self._known(machine), POWEROFF)

    def reboot(self, machine: int) -> None:
        signal_machine(self._known(machine), _REBOOT)

    def reset(self, machine: int) -> None:
        folder = self._known(machine)
        with self._lock():
            self._cut_power(folder)
            folder.want("on")
            self._power_on(folder)

    def delete(self, machine: int) -> None:
        folder = self._site.machine(machine)
        with self._lock():
            self._cut_power(folder)
            if folder.path.exists():
                shutil.rmtree(folder.path)
            self._apply_firewalls()

    def rebuild(self, spec: MachineSpec) -> None:
        folder = self._known(spec.id)
        lower = ensure_image(spec.image, self._say)
        with self._lock():
            self._cut_power(folder)
            folder.want("off")
            disk.make(folder, spec, lower)

    def attach(self, machine: int, seat: Seat) -> None:
        folder = self._known(machine)
        with self._lock():
            before = folder.seats()
            others = tuple(s for s in before if s.network_id != seat.network_id)
            folder.save_seats((*others, seat))
            try:
                self._site.network.plug_private(machine, seat)
            except LabError:
                folder.save_seats(before)
                raise

    def detach(self, machine: int, network_id: int) -> None:
        folder = self._known(machine)
        with self._lock():
            folder.save_seats(tuple(s for s in folder.seats() if s.network_id != network_id))
            self._site.network.unplug_private(machine, network_id)

    def firewall(self, machine: int, rules: tuple[Rule, ...] | None) -> None:
        folder = self._known(machine)
        with self._lock():
            folder.save_rules(rules)
            self._apply_firewalls()

    def running(self, machine: int) -> bool:
        return leader(self._site.machine(machine)) is not None

    # The lab's side of it.

    def resume(self) -> None:
        """Enforce the firewalls and start what should be running and is not."""
        with self._lock():
            self._apply_firewalls()
            for folder in self._site.machines():
                if folder.halting.exists():  # a `suspend` that was killed half-way
                    self._suspend(folder)
                if folder.wanted_on and leader(folder) is None:
                    self._say(f"starting machine {folder.spec().name}")
                    self._power_on(folder)

    def suspend(self) -> None:
        """Shut all machines down together; `resume` starts them again."""
        machines = self._site.machines()
        for folder in machines:
            folder.supervisor.signal(signal.SIGTERM)
        for folder in machines:
            self._suspend(folder)

    def _suspend(self, folder: Folder) -> None:
        folder.supervisor.stop(grace=_SHUTDOWN_SECONDS)
        self._cut_power(folder)
        folder.halting.unlink(missing_ok=True)

    def lose_power(self) -> None:
        """Cut the power of all machines; `resume` starts them again."""
        for folder in self._site.machines():
            self._cut_power(folder)

    def delete_all(self) -> None:
        """Cut the power of all machines and remove their disks."""
        for folder in self._site.machines():
            self.delete(folder.machine)

    def _power_on(self, folder: Folder) -> None:
        if leader(folder) is not None:
            return
        command = [sys.executable, "-m", "pgprovision.lab.machines.supervisor"]
        daemon = folder.supervisor
        daemon.start([*command, str(folder.site.home), str(folder.machine)])
        wait_until(lambda: leader(folder) is not None or daemon.pid() is None, _START_SECONDS)
        if leader(folder) is None:
            console = folder.path / "console.log"
            raise LabError(
                f"machine {folder.spec().name} did not start: {tail(console)} "
                f"{daemon.last_words()}; see {console}"
            )

    def _let_it_end(self, folder: Folder) -> None:
        """A machine that has just gone off is still being cleared away by its supervisor."""
        wait_until(
            lambda: leader(folder) is not None or folder.supervisor.pid() is None, _START_SECONDS
        )

    def _cut_power(self, folder: Folder) -> None:
        folder.supervisor.kill()
        clear(folder)

    def _apply_firewalls(self) -> None:
        if not self._site.network.stands():
            return  # nothing can be reached; `resume` comes by here once it stands again
        machines = self._site.machines()
        wanted = {f.public(): r for f in machines if (r := f.rules()) is not None}
        firewall.apply(self._site.network.router, wanted)

    def _known(self, machine: int) -> Folder:
        folder = self._site.machine(machine)
        if not folder.exists:
            raise LabError(f"there is no machine {machine} in {self._site.home}")
        return folder

    def _lock(self) -> AbstractContextManager[None]:
        return locked(self._site.home / "machines.lock")
