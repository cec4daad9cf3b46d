"""`python -m tests.support.process_tracer LAB FOLDER PID MACHINE...`: what every process on a
lab's machines is started with, and every byte on their wires; and the arguments of
whatever process PID starts here.

Processes are traced from the machine's boot on; at each exec, and also every 50 ms, arguments
and environment are written down. So a process of a millisecond is seen as well. Ends on SIGTERM.
"""

import ctypes
import os
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from types import FrameType

from pgprovision.lab.config import lab_home
from pgprovision.lab.machines.machine_folder import LabEnvironment
from pgprovision.lab.machines.supervisor import init_pid

# ptrace(2); linux/ptrace.h
CONT, SEIZE, LISTEN = 7, 0x4206, 0x4208
FORKS_AND_EXECS = 0x02 | 0x04 | 0x08 | 0x10
EVENT_EXEC, EVENT_STOP = 4, 128
WALL = 0x40000000
SAMPLE_SECONDS = 0.05
STOPS = (signal.SIGSTOP, signal.SIGTSTP, signal.SIGTTIN, signal.SIGTTOU)

_libc = ctypes.CDLL(None, use_errno=True)
_libc.ptrace.argtypes = [ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p]
_libc.ptrace.restype = ctypes.c_long


class ProcessTracer:
    def __init__(self, lab: str, folder: Path, parent: int, machines: set[str]) -> None:
        self._lab = lab
        self._parent = parent
        self._folder = folder
        self._machines = machines
        self._traced: set[int] = set()
        self._captures: list[subprocess.Popen[bytes]] = []
        self._files = {name: (folder / name).open("ab", 0) for name in ("cmdline", "environ")}
        self._written: set[bytes] = set()
        self._execs = 0
        self._own_namespace = _namespace("self")

    def run(self) -> None:
        signal.signal(signal.SIGALRM, self._sample)
        signal.signal(signal.SIGTERM, self._end)
        self._seize(Path(f"/proc/{self._parent}"))
        (self._folder / "ready").touch()
        signal.setitimer(signal.ITIMER_REAL, SAMPLE_SECONDS, SAMPLE_SECONDS)
        while True:
            try:
                pid, status = os.waitpid(-1, WALL)
            except ChildProcessError:
                signal.pause()
                continue
            if os.WIFSTOPPED(status):
                self._resume(pid, os.WSTOPSIG(status), status >> 16)
            else:
                self._traced.discard(pid)

    def _resume(self, pid: int, stopped_by: int, event: int) -> None:
        self._traced.add(pid)
        if event == EVENT_EXEC:
            self._execs += 1
            self._write_process(pid)
        if event == EVENT_STOP and stopped_by in STOPS:
            _libc.ptrace(LISTEN, pid, None, None)
        else:
            _libc.ptrace(CONT, pid, None, None if event else stopped_by)

    def _write_process(self, pid: int) -> None:
        for name, file in self._files.items():
            with suppress(OSError):
                if name == "environ" and _namespace(pid) == self._own_namespace:
                    continue  # an inventory may take secrets from the controller's
                found = Path(f"/proc/{pid}/{name}").read_bytes()
                if found not in self._written:
                    self._written.add(found)
                    file.write(found.replace(b"\0", b" ") + b"\n")

    def _sample(self, number: int, frame: FrameType | None) -> None:
        for pid in tuple(self._traced):
            self._write_process(pid)
        for machine in (
            LabEnvironment.load(lab_home(self._lab)).machines() if self._machines else ()
        ):
            with suppress(OSError, ValueError):
                name = machine.spec().name
                init = init_pid(machine) if name in self._machines else None
                if init is not None:
                    self._machines.discard(name)
                    self._seize_all(init)
                    self._capture_packets(init, self._folder / f"wire-{name}")

    def _seize_all(self, init: int) -> None:
        """Everything that runs by now; what these start is traced from its first moment."""
        namespace, seized = _namespace(init), -1
        while seized != (seized := len(self._traced)):
            for process in Path("/proc").glob("[0-9]*"):
                with suppress(OSError):
                    if _namespace(process.name) == namespace:
                        self._seize(process)

    def _seize(self, process: Path) -> None:
        for thread in (int(path.name) for path in (process / "task").iterdir()):
            if _libc.ptrace(SEIZE, thread, None, FORKS_AND_EXECS) == 0:
                self._traced.add(thread)

    def _capture_packets(self, init: int, folder: Path) -> None:
        folder.mkdir(exist_ok=True)
        nsenter = ["nsenter", f"--net=/proc/{init}/ns/net"]
        arguments = [sys.executable, "-m", "tests.support.packet_capture", str(folder)]
        self._captures.append(subprocess.Popen([*nsenter, *arguments]))

    def _end(self, number: int, frame: FrameType | None) -> None:
        signal.setitimer(signal.ITIMER_REAL, 0)
        for sniffer in self._captures:
            sniffer.terminate()
            sniffer.wait()
        (self._folder / "execs").write_text(str(self._execs))
        sys.exit(0)


def _namespace(pid: int | str) -> str:
    """Which machine a process is of."""
    return str(Path(f"/proc/{pid}/ns/pid").readlink())


if __name__ == "__main__":
    ProcessTracer(sys.argv[1], Path(sys.argv[2]), int(sys.argv[3]), set(sys.argv[4:])).run()
