"""Huge pages for shared memory: PostgreSQL itself says how many its configuration needs."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import ClassVar, Self

from pgprovision.engine.model import Answer, Ask, Diff, Do, Facts, Need, Resource, State
from pgprovision.resources.postgres.server.instance import Instance, as_postgres
from pgprovision.resources.postgres.server.postmaster import pid
from pgprovision.resources.system.file import File

PAGE = 2 << 20  # the usual size on x86-64 and ARM
SYSCTL = "/etc/sysctl.d/99-zz-pgprovision-huge-pages.conf"
ASKED = "/run/pgprovision/huge-pages"  # how many the kernel gave when it was asked for how many
_LIVE = "/proc/sys/vm/nr_hugepages"
SINCE = 15  # shared_memory_size_in_huge_pages


@dataclass(frozen=True, kw_only=True)
class HugePages(Resource):
    """As many as the rendered configuration needs, and 2% more. The kernel may have fewer in one
    piece; then it is asked once, and the rest comes with a reboot."""

    kind: ClassVar[str] = "huge pages"
    instance: Instance
    wish: int | None = None
    fixed: bool = False

    @property
    def name(self) -> str:
        return "vm.nr_hugepages"

    def probe(self) -> Ask:
        return Ask(
            f"[ -w {_LIVE} ] && echo settable || echo fixed; cat {_LIVE}\n"
            f"cat {ASKED} 2>/dev/null || echo\n"
            f"{pid(self.instance)}\n"
            'if [ -z "$p" ]; then echo stopped; elif grep -q anon_hugepage "/proc/$p/maps";'
            " then echo used; else echo unused; fi\n"
            f"[ ! -f {SYSCTL} ] || cat {SYSCTL}"
        )

    @property
    def question(self) -> str:
        """Shell text that prints how many PostgreSQL needs. A server that runs does not answer
        this for its own directory: it gets an empty one with the same control file."""
        data, config = self.instance.data_directory, self.instance.config_directory
        ask = as_postgres(f"{self.instance.bin}/postgres", "-C", "shared_memory_size_in_huge_pages")
        return (
            "d=$(mktemp -d /run/pgprovision-ask.XXXXXX) && trap 'rm -rf \"$d\"' EXIT || exit\n"
            f'mkdir "$d/global"; cp {data}/PG_VERSION "$d/"\n'
            f'cp {data}/global/pg_control "$d/global/"\n'
            f'chown -R postgres: "$d"; {ask} -D "$d" -c data_directory="$d"'
            f" -c config_file={config}/postgresql.conf"
        )

    @property
    def _need(self) -> Ask:
        data, config = self.instance.data_directory, self.instance.config_directory
        return Ask(
            f"[ -w {_LIVE} ] && [ -s {config}/postgresql.conf ] && [ -s {data}/global/pg_control ]"
            f" || exit 0\n{self.question}"
        )

    def needs(self) -> tuple[Need, ...]:
        if self.instance.version < SINCE:
            return (Need(self.on, self.probe()),)
        return (Need(self.on, self.probe()), Need(self.on, self._need))

    def settled(self, facts: Facts) -> Self:
        live, need = facts.get(self.on, self.probe()), facts.get(self.on, self._need)
        pages = int(need.text) if need and not need.code and need.text.strip().isdigit() else None
        return replace(
            self,
            wish=-(-pages * 102 // 100) if pages and pages > 0 else None,
            fixed=live is not None and live.text.startswith("fixed"),
        )

    def read(self, answer: Answer) -> State:
        _, live, asked, use, *file = answer.text.split("\n", 4)
        wanted, _, got = asked.partition(" ")
        given = wanted == str(self.wish) and got == live  # this is all the kernel had
        return {
            "reserved": self.wish if given or int(live) >= (self.wish or 0) else int(live),
            "live": int(live),
            "use": use,
            "after a reboot": "".join(file),
        }

    def desired(self) -> State:
        if self.wish is None:
            return {}
        return {"reserved": self.wish, "after a reboot": self._text()}

    def _text(self) -> str:
        return (
            f"# Written by pgprovision: as PostgreSQL asked for.\n-vm.nr_hugepages = {self.wish}\n"
        )

    def remarks(self, state: State) -> tuple[str, ...]:
        if self.fixed:
            return ("cannot be set in here (a container): huge pages",)
        if self.wish is None or state["reserved"] != self.wish:
            return ()
        if int(str(state["live"])) < self.wish:
            return (f"{state['live']} of {self.wish} huge pages: the rest comes with a reboot",)
        if state["use"] == "unused":
            return ("huge pages are reserved; PostgreSQL takes them with its next restart",)
        return ()

    def change(self, diff: Diff) -> Iterable[Do]:
        if diff.moved("reserved"):
            yield Do(
                f"reserve {self.wish} huge pages",
                f"set -e; mkdir -p /run/pgprovision; echo {self.wish} >{_LIVE}\n"
                f'echo "{self.wish} $(cat {_LIVE})" >{ASKED}',
            )
        if diff.moved("after a reboot"):
            file = File(on=self.on, path=SYSCTL, content=self._text())
            yield Do(
                "keep the huge pages for the next boot", file.write_text(), self._text().encode()
            )
