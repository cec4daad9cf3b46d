"""Kernel parameters: as they are now, and as they will be after a reboot.

A container cannot set most of them. Those are not desired there, and noted: they are for the host
of the container.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import ClassVar, Self

from pgprovision.engine.model import (
    Action,
    Answer,
    Diff,
    Facts,
    Need,
    Probe,
    Resource,
    State,
    WithNeeds,
    WithNotes,
)
from pgprovision.quantity import GB
from pgprovision.quote import sh
from pgprovision.resources.postgres.configuration.settings_sizing import MachineSize
from pgprovision.resources.postgres.server.huge_pages import PAGE_BYTES, HugePages
from pgprovision.resources.system.file import File

SYSCTL_FILE = "/etc/sysctl.d/99-zz-pgprovision.conf"  # the last file wins
THP_FILE = "/sys/kernel/mm/transparent_hugepage/enabled"
MEMORY_PROBE = Probe("sed -n 's/^MemTotal: *\\([0-9]*\\) kB/\\1/p' /proc/meminfo")

# For a machine that PostgreSQL has to itself; autobase, TPA, Pigsty and Ubicloud largely agree.
PARAMETERS: Mapping[str, int] = {
    "vm.swappiness": 1,
    "vm.dirty_background_bytes": 64 << 20,
    "vm.dirty_bytes": 512 << 20,
    "vm.dirty_expire_centisecs": 1000,
    "vm.zone_reclaim_mode": 0,
    "kernel.numa_balancing": 0,
    "kernel.sched_autogroup_enabled": 0,
    "net.ipv4.tcp_keepalive_time": 30,
    "net.ipv4.tcp_keepalive_intvl": 10,
    "net.ipv4.tcp_keepalive_probes": 3,
    "fs.suid_dumpable": 0,
}


def overcommit(memory: int, huge_pages: int) -> Mapping[str, int]:
    """The kernel refuses memory before it has to kill for it: 80% of what is not in huge pages, and
    2 GB. The default of 50% would starve a host without swap. Memory in bytes."""
    ram = MachineSize(memory, 1, 0).nominal().memory - huge_pages * PAGE_BYTES
    # Bytes first: the mode alone would mean the stock 50% for a moment.
    return {"vm.overcommit_kbytes": (ram * 4 // 5 + 2 * GB) >> 10, "vm.overcommit_memory": 2}


@dataclass(frozen=True, kw_only=True)
class KernelParameters(Resource, WithNeeds, WithNotes):
    """sysctl(8) parameters, sized for the host."""

    kind: ClassVar[str] = "kernel parameters"
    overrides: Mapping[str, int] = field(default_factory=dict, hash=False)
    """Values that win over the computed ones."""
    memory: int | None = None
    """Bytes; looked up unless given."""
    huge_pages: HugePages | None = None
    """What these reserve does not count as memory."""
    immutable: frozenset[str] = frozenset()
    """A fact: parameters that cannot be set on this host."""

    @property
    def name(self) -> str:
        return "sysctl"

    @property
    def desired_parameters(self) -> Mapping[str, int]:
        """All parameters that pgprovision manages."""
        memory = (
            overcommit(self.memory, self.huge_pages.desired_pages or 0 if self.huge_pages else 0)
            if self.memory
            else {}
        )
        return {**PARAMETERS, **memory, **self.overrides}

    def probe(self) -> Probe:
        names = sorted({*PARAMETERS, *overcommit(GB, 0), *self.overrides})
        files = sh(*(_proc_path(name) for name in names))
        return Probe(
            f"for f in {files}; do [ -w $f ] || echo $f; done; echo ===\n"
            f"grep -H '' {files} 2>/dev/null; echo ===; [ ! -f {SYSCTL_FILE} ] || cat {SYSCTL_FILE}"
        )

    def needs(self) -> tuple[Need, ...]:
        own = (Need(self.on, self.probe()), *(self.huge_pages.needs() if self.huge_pages else ()))
        return own if self.memory else (*own, Need(self.on, MEMORY_PROBE))

    def resolved(self, facts: Facts) -> Self:
        answer, memory = facts.get(self.on, self.probe()), facts.get(self.on, MEMORY_PROBE)
        if answer is None:
            return self
        locked = answer.text.partition("===\n")[0]
        return replace(
            self,
            memory=self.memory or (int(memory.text) * 1024 if memory else None),
            huge_pages=self.huge_pages.resolved(facts) if self.huge_pages else None,
            immutable=frozenset(map(_parameter_name, locked.splitlines())),
        )

    def read(self, answer: Answer) -> State:
        _, live, saved = answer.text.split("===\n")
        rows = (line.partition(":") for line in live.splitlines())
        return {
            **{_parameter_name(file): _number(v) for file, _, v in rows},
            "at the next boot": saved,
        }

    def desired(self) -> State:
        live = {
            name: value
            for name, value in self.desired_parameters.items()
            if name not in self.immutable
        }
        return {**live, "at the next boot": self._text()}

    def _text(self) -> str:
        # "-": a machine that has not got it, or cannot set it, boots without an error.
        lines = (f"-{name} = {value}" for name, value in self.desired_parameters.items())
        return "\n".join(("# Written by pgprovision: an edit here is drift.", *lines, ""))

    def notes(self, state: State) -> tuple[str, ...]:
        other = ", ".join(
            f"{name} ({state[name]})"
            for name, value in self.desired_parameters.items()
            if name in self.immutable and state.get(name, value) != value
        )
        return (f"cannot be set in here (a container): {other}",) if other else ()

    def change(self, diff: Diff) -> Iterable[Action]:
        live = [name for name in self.desired_parameters if name in diff.keys]
        if live:
            writes = (f"echo {self.desired_parameters[n]} >{_proc_path(n)}" for n in live)
            yield Action(f"set {', '.join(live)}", "\n".join(("set -e", *writes)))
        if diff.changed("at the next boot"):
            file = File(on=self.on, path=SYSCTL_FILE, content=self._text())
            yield Action(
                "keep the kernel settings for the next boot",
                file.write_command(),
                self._text().encode(),
            )


def _proc_path(name: str) -> str:
    return f"/proc/sys/{name.replace('.', '/')}"


def _parameter_name(file: str) -> str:
    return file.removeprefix("/proc/sys/").replace("/", ".")


def _number(text: str) -> int | str:
    return int(text) if text.lstrip("-").isdigit() else text


@dataclass(frozen=True, kw_only=True)
class TransparentHugePages(Resource, WithNeeds, WithNotes):
    """Off: they stall allocation and bloat the memory of a database. Set now; a line for
    systemd-tmpfiles sets it at every boot."""

    kind: ClassVar[str] = "transparent huge pages"
    immutable: bool = False

    @property
    def name(self) -> str:
        return THP_FILE

    def probe(self) -> Probe:
        return Probe(
            f"[ -e {THP_FILE} ] || exit 4; [ -w {THP_FILE} ] && echo settable || echo fixed;"
            f" cat {THP_FILE}"
        )

    def needs(self) -> tuple[Need, ...]:
        return (Need(self.on, self.probe()),)

    def resolved(self, facts: Facts) -> Self:
        answer = facts.get(self.on, self.probe())
        return replace(
            self, immutable=answer is not None and not answer.text.startswith("settable")
        )

    def read(self, answer: Answer) -> State:
        inside = answer.text.partition("[")[2].partition("]")[0]
        return {"enabled": inside or "never"}  # a kernel without them

    def desired(self) -> State:
        return {} if self.immutable else {"enabled": "never"}

    def notes(self, state: State) -> tuple[str, ...]:
        if not self.immutable or state["enabled"] == "never":
            return ()
        return (
            f"cannot be set in here (a container): transparent huge pages are {state['enabled']},"
            " expected never",
        )

    def change(self, diff: Diff) -> Iterable[Action]:
        yield Action("transparent huge pages: never", f"echo never >{THP_FILE}")
