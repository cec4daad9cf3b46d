"""Refuses to restore onto a host with a foreign PostgreSQL."""

from dataclasses import dataclass
from typing import ClassVar

from pgprovision.engine.model import Answer, Check, Probe, State
from pgprovision.errors import Refused
from pgprovision.resources.postgres.server.instance import Instance


@dataclass(frozen=True, kw_only=True)
class EmptyHostCheck(Check):
    """No PostgreSQL but `instance` runs on the host, wherever its data are, and there is no other
    data directory where Debian keeps them. Raises Refused: a copy is never restored next to data
    that may be in use."""

    kind: ClassVar[str] = "empty host"
    instance: Instance

    @property
    def name(self) -> str:
        return f"except {self.instance.version}/{self.instance.name}"

    def probe(self) -> Probe:
        """A postmaster has its data directory as working directory."""
        return Probe(
            "for p in /proc/[0-9]*; do\n"
            '  case $(readlink "$p/exe") in */postgres|*/postgres\\ \\(deleted\\))' + "\n"
            '    d=$(readlink "$p/cwd"); [ ! -e "$d/PG_VERSION" ] || echo "running $d";; esac'
            + "\n"
            "done 2>/dev/null | sort -u\n"
            "for f in /var/lib/postgresql/*/*/PG_VERSION; do\n"
            '  [ ! -e "$f" ] || echo "data ${f%/PG_VERSION}"; done'
        )

    def read(self, answer: Answer) -> State:
        ours = self.instance.data_directory
        found = [line.partition(" ") for line in answer.text.splitlines()]
        running = [path for word, _, path in found if word == "running" and path != ours]
        data = [path for word, _, path in found if word == "data" and not self._is_own(path)]
        if running or data:
            message = (
                "another PostgreSQL is running" if running else "another data directory exists"
            )
            raise Refused(
                f"{message}: {', '.join(running or data)}; nothing is restored on a host with"
                " foreign data",
                where=self.on,
                next=f"give the restored copy a host of its own: --address, or address in"
                f" nodes/{self.on}.yml",
            )
        return self.desired()

    def _is_own(self, path: str) -> bool:
        """Whether a path is this instance's data directory, or one of its former ones."""
        ours = self.instance.data_directory
        return path == ours or path.startswith(f"{ours}.aside-")

    def desired(self) -> State:
        return {"empty": True}
