"""A data directory that is copied from elsewhere by a named transient unit.

A note lies beside the directory from before the first byte until everything is in place, so a copy
that was cut off is recognised and set aside, and is never started. What was there before is
renamed, never deleted.
"""

import re
from abc import abstractmethod
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import ClassVar

from pgprovision.engine.model import Answer, Ask, Do, Facts, Impact, Resource, State, Waiting
from pgprovision.quote import sh
from pgprovision.resources.data_directory.initdb import asides, drop_note, make_parent, set_aside
from pgprovision.resources.data_directory.source import Seed
from pgprovision.resources.postgres.control_file import system_identifier
from pgprovision.resources.postgres.server.instance import Instance, note
from pgprovision.resources.system.transient_unit import IDLE, Job, JobState

DAY = 24 * 3600.0  # a copy may take long; it lives on its own and shows how far it is


@dataclass(frozen=True)
class Found:
    """A whole data directory. `aside`: former ones beside it, and the commands to remove them."""

    role: str
    identifier: str
    aside: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Copied(Resource):
    """The data directory of `instance`.

    `former`: the inode of a data directory that is to be made anew, whatever it holds.
    """

    unit: ClassVar[str]
    failed: ClassVar[str]
    instance: Instance
    former: str = ""
    job_state: JobState = IDLE

    @property
    @abstractmethod
    def source(self) -> Seed:
        """Where the data come from."""

    @property
    @abstractmethod
    def wanted(self) -> tuple[str, str]:
        """The system identifier the copy must have, and whose that is, in words."""

    def begun(self) -> Iterator[str]:
        """Shell text before the copy, once it is clear whose data it will be."""
        yield from ()

    def prepared(self) -> Iterator[str]:
        """Shell text right after the copy, before it counts as whole."""
        yield from ()

    @property
    def progress(self) -> str:
        return f"{self.instance.data_directory}.pgprovision-progress"

    @property
    def job(self) -> Job:
        show = f"tail -c 400 {sh(self.progress)} 2>/dev/null | tr '\\r' '\\n'"
        return Job(self.unit, progress=show, explain=self.source.explain)

    def job_seen(self, facts: Facts) -> JobState:
        """How the unit is."""
        job = facts.get(self.on, self.job.look())
        return self.job.read(job) if job else IDLE

    @property
    def whole(self) -> str:
        """A shell condition: there are data, none that are still being made."""
        data, making = sh(self.instance.data_directory), sh(note(self.instance))
        return f"[ -e {data}/PG_VERSION ] && [ ! -e {making} ]"

    def probe(self) -> Ask:
        data = sh(self.instance.data_directory)
        return Ask(
            f"{self.whole} || exit 4\n"
            f"[ -e {data}/standby.signal ] && echo standby || echo primary\n"
            f'stat -c %i {data}; echo "$({system_identifier(self.instance).text})"\n'
            + asides(self.instance.data_directory)
        )

    def found(self, answer: Answer) -> Found | Waiting | State | None:
        """What is there: whole, under way, a failure's state, or nothing that counts."""
        if self.job_state.state == "running":
            done = re.findall(r"\d+(?:\.\d+)?%", self.job_state.said)
            now = done[-1] if done else "under way" if self.job_state.said else "begun"
            return self.job.waiting(f"{self.source.what}: {now}", DAY)
        nothing = {"role": self.failed} if self.job_state.state == "failed" else None
        if answer.code == 4:
            return nothing
        role, inode, identifier, *aside = answer.text.splitlines()
        return nothing if inode == self.former else Found(role, identifier, tuple(aside))

    def remarks(self, state: State) -> tuple[str, ...]:
        aside = state.get("aside")
        paths = aside if isinstance(aside, tuple) else ()
        return tuple(f"set aside; to remove it: rm -r {sh(str(path))}" for path in paths)

    def start(self) -> Iterable[Do]:
        """Begin the copy."""
        why, impact = f"start a {self.source.what}", Impact.NONE
        if self.former:
            why, impact = f"stop PostgreSQL, set its data aside, {why}", Impact.DESTROY
        words = ("sh", "-c", self.script())
        yield replace(self.job.start(why, *words, user="root", weight=50), impact=impact)

    def script(self) -> str:
        return "\n".join(self._steps())

    def _steps(self) -> Iterator[str]:
        """Whose data it would be comes first, before the first byte and before anything moves."""
        directory = self.instance.data_directory
        here, data, progress = map(sh, (note(self.instance), directory, self.progress))
        identifier, whose = self.wanted
        wanted = sh(identifier)
        yield f"set -e\nfound=$({self.source.identify()})\nfound=${{found%%|*}}"
        yield (
            f'[ -n "$found" ] && [ "$found" = {wanted} ] || {{ echo "this would be a copy of '
            f'cluster ${{found:-(none)}}, and {whose} is" {wanted} >&2; exit 1; }}'
        )
        yield f"{make_parent(self.instance)}\ntouch {here}; sync {here}"
        yield f"{sh('systemctl', 'stop', self.instance.unit)}\n{set_aside(directory)}"
        yield f"install -d -o postgres -g postgres -m 0700 {data}"
        yield from self.begun()
        yield f"{self.source.copy(self.instance)} >{progress} 2>&1 ||"
        yield f"  {{ grep -v ' DETAIL: ' {progress} | tail -n 12 >&2; exit 1; }}"
        yield (
            f"copied=$({system_identifier(self.instance).text})\n"
            f'[ "$copied" = {wanted} ] || {{ echo "a copy of cluster $copied" >&2; exit 1; }}'
        )
        yield from self.prepared()
        yield f"sync -f {data}\nrm -f {progress}\n{drop_note(self.instance)}"
        conf = sh(f"{self.instance.config_directory}/postgresql.conf")
        link = sh(f"/run/systemd/generator/postgresql.service.wants/{self.instance.unit}")
        yield f"[ ! -e {conf} ] || [ -e {link} ] || systemctl daemon-reload\n"
