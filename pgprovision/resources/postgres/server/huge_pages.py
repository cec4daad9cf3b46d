"""Huge pages for shared memory: PostgreSQL itself says how many its configuration needs."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
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
from pgprovision.resources.postgres.server.instance import Instance, as_postgres
from pgprovision.resources.postgres.server.postmaster import postmaster_pid
from pgprovision.resources.system.file import File

PAGE_BYTES = 2 << 20  # the usual size on x86-64 and ARM
SYSCTL_FILE = "/etc/sysctl.d/99-zz-pgprovision-huge-pages.conf"
GRANTED_FILE = "/run/pgprovision/huge-pages"  # pages requested, and pages the kernel then had
_LIVE = "/proc/sys/vm/nr_hugepages"
MIN_VERSION = 15  # shared_memory_size_in_huge_pages


@dataclass(frozen=True, kw_only=True)
class HugePages(Resource, WithNeeds, WithNotes):
    """As many as the configuration needs, and 2% more. Where free memory is fragmented, the kernel
    reserves fewer; the rest follows with a reboot."""

    kind: ClassVar[str] = "huge pages"
    instance: Instance
    desired_pages: int | None = None
    immutable: bool = False

    @property
    def name(self) -> str:
        return "vm.nr_hugepages"

    def probe(self) -> Probe:
        return Probe(
            f"[ -w {_LIVE} ] && echo settable || echo fixed; cat {_LIVE}\n"
            f"cat {GRANTED_FILE} 2>/dev/null || echo\n"
            f"{postmaster_pid(self.instance)}\n"
            'if [ -z "$p" ]; then echo stopped; elif grep -q anon_hugepage "/proc/$p/maps";'
            " then echo used; else echo unused; fi\n"
            f"[ ! -f {SYSCTL_FILE} ] || cat {SYSCTL_FILE}"
        )

    @property
    def pages_needed_command(self) -> str:
        """Shell text that prints how many PostgreSQL needs. PostgreSQL does not compute this for a
        data directory in use, so it gets an empty one with the same control file."""
        data, config = self.instance.data_directory, self.instance.config_directory
        show_command = as_postgres(
            f"{self.instance.bin_directory}/postgres", "-C", "shared_memory_size_in_huge_pages"
        )
        return (
            "d=$(mktemp -d /run/pgprovision-ask.XXXXXX) && trap 'rm -rf \"$d\"' EXIT || exit\n"
            f'mkdir "$d/global"; cp {data}/PG_VERSION "$d/"\n'
            f'cp {data}/global/pg_control "$d/global/"\n'
            f'chown -R postgres: "$d"; {show_command} -D "$d" -c data_directory="$d"'
            f" -c config_file={config}/postgresql.conf"
        )

    @property
    def _pages_needed_probe(self) -> Probe:
        data, config = self.instance.data_directory, self.instance.config_directory
        return Probe(
            f"[ -w {_LIVE} ] && [ -s {config}/postgresql.conf ] && [ -s {data}/global/pg_control ]"
            f" || exit 0\n{self.pages_needed_command}"
        )

    def needs(self) -> tuple[Need, ...]:
        if self.instance.version < MIN_VERSION:
            return (Need(self.on, self.probe()),)
        return (Need(self.on, self.probe()), Need(self.on, self._pages_needed_probe))

    def resolved(self, facts: Facts) -> Self:
        live, need = facts.get(self.on, self.probe()), facts.get(self.on, self._pages_needed_probe)
        pages = int(need.text) if need and not need.code and need.text.strip().isdigit() else None
        return replace(
            self,
            desired_pages=-(-pages * 102 // 100) if pages and pages > 0 else None,
            immutable=live is not None and live.text.startswith("fixed"),
        )

    def read(self, answer: Answer) -> State:
        _, live, record, use, *file = answer.text.split("\n", 4)
        requested, _, granted = record.partition(" ")
        exhausted = (
            requested == str(self.desired_pages) and granted == live
        )  # this is all the kernel had
        return {
            "reserved": self.desired_pages
            if exhausted or int(live) >= (self.desired_pages or 0)
            else int(live),
            "live": int(live),
            "use": use,
            "at the next boot": "".join(file),
        }

    def desired(self) -> State:
        if self.desired_pages is None:
            return {}
        return {"reserved": self.desired_pages, "at the next boot": self._text()}

    def _text(self) -> str:
        comment = "# Written by pgprovision: as PostgreSQL asked for."
        return f"{comment}\n-vm.nr_hugepages = {self.desired_pages}\n"

    def notes(self, state: State) -> tuple[str, ...]:
        if self.immutable:
            return ("cannot be set in here (a container): huge pages",)
        if self.desired_pages is None or state["reserved"] != self.desired_pages:
            return ()
        if int(str(state["live"])) < self.desired_pages:
            return (
                f"{state['live']} of {self.desired_pages} huge pages: the rest comes with a reboot",
            )
        if state["use"] == "unused":
            return ("huge pages are reserved; PostgreSQL takes them with its next restart",)
        return ()

    def change(self, diff: Diff) -> Iterable[Action]:
        if diff.changed("reserved"):
            yield Action(
                f"reserve {self.desired_pages} huge pages",
                f"set -e; mkdir -p /run/pgprovision; echo {self.desired_pages} >{_LIVE}\n"
                f'echo "{self.desired_pages} $(cat {_LIVE})" >{GRANTED_FILE}',
            )
        if diff.changed("at the next boot"):
            file = File(on=self.on, path=SYSCTL_FILE, content=self._text())
            yield Action(
                "keep the huge pages for the next boot", file.write_command(), self._text().encode()
            )
