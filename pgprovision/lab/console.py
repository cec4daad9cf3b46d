"""The way into a machine that needs no network, as a provider's console does."""

import os
from collections.abc import Sequence

from pgprovision.lab.command import LabError
from pgprovision.lab.machines.machine_folder import MachineFolder
from pgprovision.lab.machines.supervisor import init_pid


def enter_command(folder: MachineFolder, command: Sequence[str]) -> list[str]:
    """The command line; raises LabError if the machine is off."""
    pid = init_pid(folder)
    if pid is None:
        raise LabError(f"server {folder.spec().name} is off; power it on through the API")
    # A shell as after a login as root, with a clean environment.
    path = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
    term = f"TERM={os.environ.get('TERM', 'dumb')}"
    enter = ["nsenter", f"--target={pid}", "--all", "--wdns=/root"]
    clean = ["env", "-i", path, term, "HOME=/root", "USER=root", "LANG=C.UTF-8"]
    if command:
        return [*enter, *clean, *command]
    # `script` gives the shell a terminal of the machine's own.
    return [*enter, *clean, "script", "--quiet", "--command", "bash --login", "/dev/null"]
