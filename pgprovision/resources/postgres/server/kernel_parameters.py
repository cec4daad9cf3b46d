"""Kernel settings: as they are now, and as they will be after a reboot.

A container cannot set most of them. Those are left out of the wish and told as a remark: they are
the business of the machine around it.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import ClassVar, Self

from pgprovision.engine.model import Answer, Ask, Diff, Do, Facts, Need, Resource, State
from pgprovision.quote import sh
from pgprovision.resources.postgres.configuration.settings_sizing import GB, Machine
from pgprovision.resources.postgres.server.huge_pages import PAGE, HugePages
from pgprovision.resources.system.file import File

SYSCTL = "/etc/sysctl.d/99-zz-pgprovision.conf"  # the last file wins
THP = "/sys/kernel/mm/transparent_hugepage/enabled"
MEMORY = Ask("sed -n 's/^MemTotal: *\\([0-9]*\\) kB/\\1/p' /proc/meminfo")

# For a machine that PostgreSQL has to itself; autobase, TPA, Pigsty and Ubicloud largely agree.
SETTINGS: Mapping[str, int] = {
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
    """The kernel refuses memory before it has to kill for it: 80% of what is not in huge pages,
    and 2 GB. The stock 50% would starve a machine without swap. Memory in bytes."""
    ram = Machine(memory, 1, 0).as_sold().memory - huge_pages * PAGE
    # Bytes first: the mode alone would mean the stock 50% for a moment.
    return {"vm.overcommit_kbytes": (ram * 4 // 5 + 2 * GB) >> 10, "vm.overcommit_memory": 2}


@dataclass(frozen=True, kw_only=True)
class KernelSettings(Resource):
    """sysctl(8) settings. `given` win over the computed ones; memory in bytes, looked up unless
    given. What `huge` reserves is not counted as memory."""

    kind: ClassVar[str] = "kernel settings"
    given: Mapping[str, int] = field(default_factory=dict, hash=False)
    memory: int | None = None
    huge: HugePages | None = None
    fixed: frozenset[str] = frozenset()

    @property
    def name(self) -> str:
        return "sysctl"

    @property
    def wished(self) -> Mapping[str, int]:
        """Everything we would set."""
        memory = (
            overcommit(self.memory, self.huge.wish or 0 if self.huge else 0) if self.memory else {}
        )
        return {**SETTINGS, **memory, **self.given}

    def probe(self) -> Ask:
        names = sorted({*SETTINGS, *overcommit(GB, 0), *self.given})
        files = sh(*(_file(name) for name in names))
        return Ask(
            f"for f in {files}; do [ -w $f ] || echo $f; done; echo ===\n"
            f"grep -H '' {files} 2>/dev/null; echo ===; [ ! -f {SYSCTL} ] || cat {SYSCTL}"
        )

    def needs(self) -> tuple[Need, ...]:
        own = (Need(self.on, self.probe()), *(self.huge.needs() if self.huge else ()))
        return own if self.memory else (*own, Need(self.on, MEMORY))

    def settled(self, facts: Facts) -> Self:
        answer, memory = facts.get(self.on, self.probe()), facts.get(self.on, MEMORY)
        if answer is None:
            return self
        locked = answer.text.partition("===\n")[0]
        return replace(
            self,
            memory=self.memory or (int(memory.text) * 1024 if memory else None),
            huge=self.huge.settled(facts) if self.huge else None,
            fixed=frozenset(map(_name, locked.splitlines())),
        )

    def read(self, answer: Answer) -> State:
        _, live, kept = answer.text.split("===\n")
        rows = (line.partition(":") for line in live.splitlines())
        return {**{_name(file): _number(v) for file, _, v in rows}, "after a reboot": kept}

    def desired(self) -> State:
        live = {name: value for name, value in self.wished.items() if name not in self.fixed}
        return {**live, "after a reboot": self._text()}

    def _text(self) -> str:
        # "-": a machine that has not got it, or cannot set it, boots without an error.
        lines = (f"-{name} = {value}" for name, value in self.wished.items())
        return "\n".join(("# Written by pgprovision: an edit here is drift.", *lines, ""))

    def remarks(self, state: State) -> tuple[str, ...]:
        other = ", ".join(
            f"{name} ({state[name]})"
            for name, value in self.wished.items()
            if name in self.fixed and state.get(name, value) != value
        )
        return (f"cannot be set in here (a container): {other}",) if other else ()

    def change(self, diff: Diff) -> Iterable[Do]:
        live = [name for name in self.wished if name in diff.keys]
        if live:
            writes = (f"echo {self.wished[n]} >{_file(n)}" for n in live)
            yield Do(f"set {', '.join(live)}", "\n".join(("set -e", *writes)))
        if diff.moved("after a reboot"):
            file = File(on=self.on, path=SYSCTL, content=self._text())
            yield Do(
                "keep the kernel settings for the next boot",
                file.write_text(),
                self._text().encode(),
            )


def _file(name: str) -> str:
    return f"/proc/sys/{name.replace('.', '/')}"


def _name(file: str) -> str:
    return file.removeprefix("/proc/sys/").replace("/", ".")


def _number(text: str) -> int | str:
    return int(text) if text.lstrip("-").isdigit() else text


@dataclass(frozen=True, kw_only=True)
class TransparentHugePages(Resource):
    """Never: they stall allocation and bloat memory under a database. Set now; a line for
    systemd-tmpfiles sets it again at every boot."""

    kind: ClassVar[str] = "transparent huge pages"
    fixed: bool = False

    @property
    def name(self) -> str:
        return THP

    def probe(self) -> Ask:
        return Ask(
            f"[ -e {THP} ] || exit 4; [ -w {THP} ] && echo settable || echo fixed; cat {THP}"
        )

    def needs(self) -> tuple[Need, ...]:
        return (Need(self.on, self.probe()),)

    def settled(self, facts: Facts) -> Self:
        answer = facts.get(self.on, self.probe())
        return replace(self, fixed=answer is not None and not answer.text.startswith("settable"))

    def read(self, answer: Answer) -> State:
        inside = answer.text.partition("[")[2].partition("]")[0]
        return {"enabled": inside or "never"}  # a kernel without them

    def desired(self) -> State:
        return {} if self.fixed else {"enabled": "never"}

    def remarks(self, state: State) -> tuple[str, ...]:
        if not self.fixed or state["enabled"] == "never":
            return ()
        return (
            f"cannot be set in here (a container): transparent huge pages are {state['enabled']},"
            " wished never",
        )

    def change(self, diff: Diff) -> Iterable[Do]:
        yield Do("transparent huge pages: never", f"echo never >{THP}")
