"""Full backups and others, taken in the background by one named unit, whoever asks for them."""

import re
from abc import abstractmethod
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import ClassVar, Self

from pgprovision.engine.model import Answer, Ask, Diff, Do, Facts, Need, Resource, State, Waiting
from pgprovision.errors import Refused
from pgprovision.quote import sh
from pgprovision.resources.node.identity import FOLDER
from pgprovision.resources.pgbackrest import info as pgbackrest
from pgprovision.resources.pgbackrest.error_hints import explained
from pgprovision.resources.pgbackrest.info import Backup, Info
from pgprovision.resources.postgres.control_file import system_identifier
from pgprovision.resources.postgres.server.instance import Instance
from pgprovision.resources.postgres.server.snapshot import Snapshot
from pgprovision.resources.system.transient_unit import IDLE, Job, JobState

TAKEN = "taken"
FAILED = "failed"
STALLED_SECONDS = 1800.0  # without a per cent more: WAL that does not arrive ends it after 60 s
JOB = "pgprovision-backup-full.service"  # one name for all: never two backups of ours at once
# Lies there from when archiving was declared off until a full backup was taken after it.
UNARCHIVED = f"{FOLDER}/archiving-was-off"
Type = str  # full, diff or incr
SINCE = Ask(f"stat -c %Y {UNARCHIVED} 2>/dev/null || true")


@dataclass(frozen=True, kw_only=True)
class Taken(Resource):
    """A backup of this very cluster in a repository. `repository` None: in the only one."""

    stanza: str
    instance: Instance
    repository: int | None = None
    identifier: str = ""
    job_state: JobState = IDLE
    type: ClassVar[str]

    @property
    def name(self) -> str:
        if self.repository is None:
            return self.stanza
        return f"{self.stanza} in repository {self.repository}"

    @property
    def job(self) -> Job:
        log = f"{pgbackrest.LOG_DIRECTORY}/{self.stanza}-backup.log"
        return Job(JOB, progress=sh("tail", "-c", "400", log), explain=explained)

    def probe(self) -> Ask:
        return pgbackrest.info(self.stanza, self.repository)

    def needs(self) -> tuple[Need, ...]:
        return (
            Need(self.on, system_identifier(self.instance)),
            Need(self.on, self.job.look()),
        )

    def settled(self, facts: Facts) -> Self:
        control = facts.get(self.on, system_identifier(self.instance))
        job = facts.get(self.on, self.job.look())
        return replace(
            self,
            identifier=control.text.strip() if control else "",
            job_state=self.job.read(job) if job else IDLE,
        )

    @property
    @abstractmethod
    def what(self) -> str:
        """In words."""

    @property
    @abstractmethod
    def wanted(self) -> Type:
        """The type of backup to take where there is none yet."""

    @abstractmethod
    def fits(self, backup: Backup) -> bool:
        """Whether this one is what is wished for."""

    def read(self, answer: Answer) -> State | Waiting | None:
        info: Info = pgbackrest.parse(answer)
        fitting = [b for b in info.of_system(self.identifier) if self.fits(b)]
        if fitting:
            return {"full_backup": TAKEN}
        if self.job_state.state == "running" or info.running:
            done = re.findall(r"\d+(?:\.\d+)?%", self.job_state.said)
            said = f"{self.what}: {done[-1] if done else 'begun'}"
            if self.job_state.state == "running":
                return self.job.waiting(said, STALLED_SECONDS)
            return Waiting(said, STALLED_SECONDS)  # another's
        if info.trouble:
            return {"full_backup": f"unknown: {info.trouble}"}
        if self.job_state.state == "failed":
            return {"full_backup": FAILED}
        return None

    def desired(self) -> State:
        return {"full_backup": TAKEN}

    def change(self, diff: Diff) -> Iterable[Do]:
        if diff.before == {"full_backup": FAILED}:
            yield self.job.report_failure(f"the {self.what}")
            return
        words = pgbackrest.words_for(self.repository)
        if diff.before is not None:
            yield Do("read the backup repository", pgbackrest.answers(self.stanza, *words))
        yield self.job.start(
            f"start the {self.what}",
            *("flock", "-F", "/var/lib/pgbackrest"),  # the timers' runs wait for it
            *("pgbackrest", f"--stanza={self.stanza}", *words, f"--type={self.wanted}"),
            *("--log-level-console=off", "--log-level-stderr=warn", "backup"),
        )


@dataclass(frozen=True, kw_only=True)
class FirstBackup(Taken):
    """At least one full backup of this very cluster; since archiving was off, if it ever was."""

    kind: ClassVar[str] = "first backup"
    since: int = 0

    def needs(self) -> tuple[Need, ...]:
        return (*super().needs(), Need(self.on, SINCE))

    def settled(self, facts: Facts) -> Self:
        off = facts.get(self.on, SINCE)
        text = off.text.strip() if off else ""
        since = int(text) if text.isdigit() else 0
        return replace(super().settled(facts), since=since)

    @property
    def what(self) -> str:
        return "first full backup"

    @property
    def wanted(self) -> Type:
        return "full"

    def fits(self, backup: Backup) -> bool:
        return backup.type == "full" and backup.start >= self.since


@dataclass(frozen=True, kw_only=True)
class BackupNow(Taken):
    """A backup that ended after `after`, in seconds since 1970 there. For the primary only.

    One that runs already is waited for; where it is of another type, the wished one follows.
    """

    kind: ClassVar[str] = "backup"
    snapshot: Snapshot
    after: int
    backup_type: Type = "incr"

    def needs(self) -> tuple[Need, ...]:
        return (*super().needs(), Need(self.on, self.snapshot.ask()))

    def settled(self, facts: Facts) -> Self:
        server = self.snapshot.running(facts.get(self.on, self.snapshot.ask()))
        if server is None or server.in_recovery:
            found = "PostgreSQL does not answer there" if server is None else "this is a standby"
            raise Refused(
                f"{found}: backups are taken of a primary that runs",
                done="nothing was begun",
                next="pgprovision status shows who is primary",
            )
        return super().settled(facts)

    @property
    def what(self) -> str:
        return f"{self.backup_type} backup"

    @property
    def wanted(self) -> Type:
        return self.backup_type

    def fits(self, backup: Backup) -> bool:
        """pgBackRest takes a full one where there is none to build on."""
        return backup.stop > self.after and backup.type in (self.backup_type, "full")
