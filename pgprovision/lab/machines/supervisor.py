"""`python -m pgprovision.lab.machines.supervisor HOME MACHINE`: runs one machine.

Boots it, boots it again when it asks for a reboot, and ends when it powers off. Killing this
process cuts the machine's power: the kernel takes systemd-nspawn down with it, and its mounts
are in a namespace that goes with them.
"""

import contextlib
import os
import signal
import subprocess
import sys
from pathlib import Path
from types import FrameType

from pgprovision.lab.command import LabError
from pgprovision.lab.machines import cgroups, disk
from pgprovision.lab.machines.machine_folder import LabEnvironment, MachineFolder
from pgprovision.lab.process import children

REBOOT = 133  # systemd-nspawn's exit status when the machine asked for one
POWEROFF = signal.SIGRTMIN + 4  # systemd(1), signals: starts poweroff.target

# In a mount namespace of its own: control groups, nspawn's own state, overlay, machine. `exec` all
# the way, so that the process the supervisor started is the one that runs the machine.
_BOOT = """\
set -e
layers=$1; root=$2; shift 2
while [ "$1" != -- ]; do echo $$ >"$1/cgroup.procs"; shift; done; shift
mkdir -p /run/systemd/nspawn && mount -t tmpfs nspawn /run/systemd/nspawn
mount -t overlay -o "$layers" machine "$root"
exec setpriv --pdeathsig KILL systemd-nspawn --directory="$root" "$@"
"""


class Supervisor:
    """Runs a machine until it powers off, or the host goes down."""

    def __init__(self, folder: MachineFolder) -> None:
        self.folder = folder
        self.spec = folder.spec()
        self.nspawn: subprocess.Popen[bytes] | None = None
        self.host_shutting_down = False

    def run(self) -> int:
        signal.signal(signal.SIGTERM, self._on_sigterm)
        try:
            while (status := self._boot()) == REBOOT and not self.host_shutting_down:
                pass
        finally:
            clean_up(self.folder)
            self.folder.shutdown_marker.unlink(missing_ok=True)
        if not self.host_shutting_down:
            self.folder.set_power("off")
        return status

    def _boot(self) -> int:
        folder = self.folder
        clean_up(folder)
        disk.write_boot_files(folder)
        namespace = folder.environment.network.connect_machine(self.spec, folder.interfaces)
        layers = ",".join(
            f"{kind}={path}"
            for kind, path in (
                ("lowerdir", folder.image_folder()),
                ("upperdir", folder.path / "disk"),
                ("workdir", folder.path / "work"),
            )
        )
        groups = map(str, cgroups.create_groups(folder.name))
        command = [
            *("unshare", "--mount", "sh", "-c", _BOOT, "boot"),
            *(layers, str(folder.path / "root"), *groups, "--"),
            *("--quiet", "--boot", f"--machine={folder.name}", f"--hostname={self.spec.name}"),
            *("--register=no", "--keep-unit", "--link-journal=no", "--resolv-conf=off"),
            *("--console=read-only", "--timezone=off"),
            # Private as well as named: the former is what makes /proc/sys/net writable inside.
            *("--private-network", f"--network-namespace-path=/run/netns/{namespace}"),
            "--capability=CAP_NET_ADMIN",
        ]
        with (folder.path / "console.log").open("ab") as console:
            self.nspawn = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=console, stderr=console
            )
        return self.nspawn.wait()

    def _on_sigterm(self, _signal: int, _frame: FrameType | None) -> None:
        self.host_shutting_down = True
        self.folder.shutdown_marker.touch()
        signal_machine(self.folder, POWEROFF)


def signal_machine(folder: MachineFolder, number: int) -> bool:
    """Signal the machine's own init; whether there was one."""
    pid = init_pid(folder)
    if pid is None:
        return False
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, number)
    return True


def init_pid(folder: MachineFolder) -> int | None:
    """The machine's init as the host sees it: supervisor -> systemd-nspawn -> init."""
    supervisor = folder.supervisor.pid()
    if supervisor is None:
        return None
    for nspawn in children(supervisor):
        for pid in children(nspawn):
            if _is_init(pid):
                return pid
    return None


def clean_up(folder: MachineFolder) -> None:
    """Whatever an earlier boot left: processes and cards."""
    if not cgroups.kill_groups(folder.name):
        raise LabError(f"processes of machine {folder.spec().name} ({folder.name}) do not end")
    folder.environment.network.disconnect_machine(folder.machine)


def _is_init(pid: int) -> bool:
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False
    numbers = [line.split()[1:] for line in status.splitlines() if line.startswith("NSpid:")]
    return bool(numbers) and len(numbers[0]) > 1 and numbers[0][-1] == "1"


if __name__ == "__main__":
    sys.exit(
        Supervisor(MachineFolder(LabEnvironment.load(Path(sys.argv[1])), int(sys.argv[2]))).run()
    )
