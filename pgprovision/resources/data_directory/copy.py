"""A data directory that a named transient unit copies from elsewhere.

A file next to the directory says that the copy is in progress, from before the first byte until
everything is in place. So an interrupted copy is recognised and set aside, and is never started.
What was there before is renamed, never deleted.
"""

import re
from abc import abstractmethod
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import ClassVar

from pgprovision.engine.model import (
    Action,
    Answer,
    Facts,
    Impact,
    Probe,
    Resource,
    State,
    Waiting,
    WithNotes,
)
from pgprovision.quote import sh
from pgprovision.resources.data_directory.initdb import (
    create_parent_directory,
    list_set_aside,
    remove_in_progress_file,
    set_aside,
)
from pgprovision.resources.data_directory.source import DataSource
from pgprovision.resources.postgres.control_file import system_identifier_probe
from pgprovision.resources.postgres.server.instance import Instance, in_progress_file
from pgprovision.resources.system.transient_unit import IDLE, Job, JobState

COPY_TIMEOUT = 24 * 3600.0  # a copy may take long; it lives on its own and shows how far it is


@dataclass(frozen=True)
class DataDirectoryFacts:
    """A complete data directory."""

    role: str
    """"primary" or "standby", by its signal file."""
    identifier: str
    """Its system identifier."""
    set_aside_paths: tuple[str, ...]
    """Former data directories next to it."""


@dataclass(frozen=True, kw_only=True)
class DataDirectoryCopy(Resource, WithNotes):
    """The data directory of `instance`, filled by a copy."""

    unit_name: ClassVar[str]
    failure_role: ClassVar[str]
    instance: Instance
    former_inode: str = ""
    """The inode of a data directory that is to be replaced, whatever it holds."""
    job_state: JobState = IDLE
    """A fact: the state of the unit that copies."""

    @property
    @abstractmethod
    def source(self) -> DataSource:
        """Where the data come from."""

    @property
    @abstractmethod
    def expected_identity(self) -> tuple[str, str]:
        """The system identifier that the copy must have, and whom it is of, for messages."""

    def before_copy(self) -> Iterator[str]:
        """Shell text before the copy, after the owner of the data was checked."""
        yield from ()

    def after_copy(self) -> Iterator[str]:
        """Shell text after the copy, before it counts as complete."""
        yield from ()

    @property
    def progress(self) -> str:
        return f"{self.instance.data_directory}.pgprovision-progress"

    @property
    def job(self) -> Job:
        show = f"tail -c 400 {sh(self.progress)} 2>/dev/null | tr '\\r' '\\n'"
        return Job(self.unit_name, progress=show, error_hint_script=self.source.error_hint_script)

    def observed_job_state(self, facts: Facts) -> JobState:
        """The state of the unit that copies."""
        job = facts.get(self.on, self.job.probe())
        return self.job.read(job) if job else IDLE

    @property
    def complete_condition(self) -> str:
        """A shell condition: the directory has data, and no copy is in progress."""
        data, making = sh(self.instance.data_directory), sh(in_progress_file(self.instance))
        return f"[ -e {data}/PG_VERSION ] && [ ! -e {making} ]"

    def probe(self) -> Probe:
        data = sh(self.instance.data_directory)
        return Probe(
            f"{self.complete_condition} || exit 4\n"
            f"[ -e {data}/standby.signal ] && echo standby || echo primary\n"
            f'stat -c %i {data}; echo "$({system_identifier_probe(self.instance).text})"\n'
            + list_set_aside(self.instance.data_directory)
        )

    def read_data_directory(self, answer: Answer) -> DataDirectoryFacts | Waiting | State | None:
        """The data directory: complete, in progress, failed, or None where there is none."""
        if self.job_state.state == "running":
            done = re.findall(r"\d+(?:\.\d+)?%", self.job_state.progress)
            now = done[-1] if done else "under way" if self.job_state.progress else "begun"
            return self.job.waiting(f"{self.source.description}: {now}", COPY_TIMEOUT)
        nothing = {"role": self.failure_role} if self.job_state.state == "failed" else None
        if answer.code == 4:
            return nothing
        role, inode, identifier, *aside = answer.text.splitlines()
        return (
            nothing
            if inode == self.former_inode
            else DataDirectoryFacts(role, identifier, tuple(aside))
        )

    def notes(self, state: State) -> tuple[str, ...]:
        aside = state.get("set_aside")
        paths = aside if isinstance(aside, tuple) else ()
        return tuple(f"set aside; to remove it: rm -r {sh(str(path))}" for path in paths)

    def start(self) -> Iterable[Action]:
        """Start the copy."""
        why, impact = f"start a {self.source.description}", Impact.NONE
        if self.former_inode:
            why, impact = f"stop PostgreSQL, set its data aside, {why}", Impact.DESTROY
        command = ("sh", "-c", self.script())
        yield replace(self.job.start(why, *command, user="root", weight=50), impact=impact)

    def script(self) -> str:
        return "\n".join(self._steps())

    def _steps(self) -> Iterator[str]:
        """The owner of the data is checked first, before the first byte is copied or anything
        moves."""
        directory = self.instance.data_directory
        in_progress, data, progress = map(
            sh, (in_progress_file(self.instance), directory, self.progress)
        )
        identifier, owner = self.expected_identity
        expected = sh(identifier)
        yield f"set -e\nfound=$({self.source.identifier_command()})\nfound=${{found%%|*}}"
        yield (
            f'[ -n "$found" ] && [ "$found" = {expected} ] || {{ echo "the source has system '
            f'identifier ${{found:-(none)}}, expected {owner}:" {expected} >&2; exit 1; }}'
        )
        yield f"{create_parent_directory(self.instance)}\ntouch {in_progress}; sync {in_progress}"
        yield f"{sh('systemctl', 'stop', self.instance.unit)}\n{set_aside(directory)}"
        yield f"install -d -o postgres -g postgres -m 0700 {data}"
        yield from self.before_copy()
        yield f"{self.source.copy_command(self.instance)} >{progress} 2>&1 ||"
        yield f"  {{ grep -v ' DETAIL: ' {progress} | tail -n 12 >&2; exit 1; }}"
        yield (
            f"copied=$({system_identifier_probe(self.instance).text})\n"
            f'[ "$copied" = {expected} ] ||'
            ' { echo "the copy has system identifier $copied" >&2; exit 1; }'
        )
        yield from self.after_copy()
        yield f"sync -f {data}\nrm -f {progress}\n{remove_in_progress_file(self.instance)}"
        conf = sh(f"{self.instance.config_directory}/postgresql.conf")
        link = sh(f"/run/systemd/generator/postgresql.service.wants/{self.instance.unit}")
        yield f"[ ! -e {conf} ] || [ -e {link} ] || systemctl daemon-reload\n"
