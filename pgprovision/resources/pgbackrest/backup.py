"""Backups, taken in the background by one named unit, whoever asks for them."""

import re
from abc import abstractmethod
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
    Waiting,
    WithNeeds,
)
from pgprovision.errors import Refused
from pgprovision.quote import sh
from pgprovision.resources.node.identity import PGPROVISION_DIRECTORY
from pgprovision.resources.pgbackrest import info as pgbackrest
from pgprovision.resources.pgbackrest.error_hints import error_hint_script
from pgprovision.resources.pgbackrest.info import BackupInfo, StanzaInfo
from pgprovision.resources.postgres.control_file import system_identifier_probe
from pgprovision.resources.postgres.server.instance import Instance
from pgprovision.resources.postgres.server.snapshot import SnapshotQuery
from pgprovision.resources.system.transient_unit import IDLE, Job, JobState

TAKEN = "taken"
FAILED = "failed"
STALLED_SECONDS = 1800.0  # without a per cent more: WAL that does not arrive ends it after 60 s
BACKUP_UNIT = (
    "pgprovision-backup-full.service"  # one name for all: never two backups of ours at once
)
# Exists from when archiving was declared off until a full backup was taken after it.
ARCHIVING_OFF_FILE = f"{PGPROVISION_DIRECTORY}/archiving-was-off"
BackupType = str  # full, diff or incr
ARCHIVING_OFF_PROBE = Probe(f"stat -c %Y {ARCHIVING_OFF_FILE} 2>/dev/null || true")


@dataclass(frozen=True, kw_only=True)
class RequiredBackup(Resource, WithNeeds):
    """A backup of this very cluster in a repository."""

    stanza: str
    instance: Instance
    repository: int | None = None
    """pgBackRest's number; None: there is only one."""
    identifier: str = ""
    """A fact: the cluster's system identifier."""
    job_state: JobState = IDLE
    """A fact: the state of the unit that takes backups."""
    type: ClassVar[str]

    @property
    def name(self) -> str:
        if self.repository is None:
            return self.stanza
        return f"{self.stanza} in repository {self.repository}"

    @property
    def job(self) -> Job:
        log = f"{pgbackrest.LOG_DIRECTORY}/{self.stanza}-backup.log"
        return Job(
            BACKUP_UNIT, progress=sh("tail", "-c", "400", log), error_hint_script=error_hint_script
        )

    def probe(self) -> Probe:
        return pgbackrest.info_probe(self.stanza, self.repository)

    def needs(self) -> tuple[Need, ...]:
        return (
            Need(self.on, system_identifier_probe(self.instance)),
            Need(self.on, self.job.probe()),
        )

    def resolved(self, facts: Facts) -> Self:
        control = facts.get(self.on, system_identifier_probe(self.instance))
        job = facts.get(self.on, self.job.probe())
        return replace(
            self,
            identifier=control.text.strip() if control else "",
            job_state=self.job.read(job) if job else IDLE,
        )

    @property
    @abstractmethod
    def description(self) -> str:
        """What is required, for people."""

    @property
    @abstractmethod
    def type_to_take(self) -> BackupType:
        """The type of backup to take where none is there yet."""

    @abstractmethod
    def satisfies(self, backup: BackupInfo) -> bool:
        """Whether this backup is what is required."""

    def read(self, answer: Answer) -> State | Waiting | None:
        info: StanzaInfo = pgbackrest.parse(answer)
        fitting = [b for b in info.backups_of(self.identifier) if self.satisfies(b)]
        if fitting:
            return {"full_backup": TAKEN}
        if self.job_state.state == "running" or info.running:
            done = re.findall(r"\d+(?:\.\d+)?%", self.job_state.progress)
            progress = f"{self.description}: {done[-1] if done else 'begun'}"
            if self.job_state.state == "running":
                return self.job.waiting(progress, STALLED_SECONDS)
            return Waiting(progress, STALLED_SECONDS)  # another's
        if info.error:
            return {"full_backup": f"unknown: {info.error}"}
        if self.job_state.state == "failed":
            return {"full_backup": FAILED}
        return None

    def desired(self) -> State:
        return {"full_backup": TAKEN}

    def change(self, diff: Diff) -> Iterable[Action]:
        if diff.before == {"full_backup": FAILED}:
            yield self.job.report_failure(f"the {self.description}")
            return
        repository_options = pgbackrest.repository_options(self.repository)
        if diff.before is not None:
            yield Action(
                "read the backup repository",
                pgbackrest.check_readable(self.stanza, *repository_options),
            )
        yield self.job.start(
            f"start the {self.description}",
            *("flock", "-F", "/var/lib/pgbackrest"),  # the timers' runs wait for it
            *(
                "pgbackrest",
                f"--stanza={self.stanza}",
                *repository_options,
                f"--type={self.type_to_take}",
            ),
            *("--log-level-console=off", "--log-level-stderr=warn", "backup"),
        )


@dataclass(frozen=True, kw_only=True)
class FirstBackup(RequiredBackup):
    """At least one full backup of this very cluster, newer than the last time archiving was off."""

    kind: ClassVar[str] = "first backup"
    archiving_off_since: int = 0
    """A fact: when archiving was declared off, in seconds since 1970; 0: it was not."""

    def needs(self) -> tuple[Need, ...]:
        return (*super().needs(), Need(self.on, ARCHIVING_OFF_PROBE))

    def resolved(self, facts: Facts) -> Self:
        off = facts.get(self.on, ARCHIVING_OFF_PROBE)
        text = off.text.strip() if off else ""
        since = int(text) if text.isdigit() else 0
        return replace(super().resolved(facts), archiving_off_since=since)

    @property
    def description(self) -> str:
        return "first full backup"

    @property
    def type_to_take(self) -> BackupType:
        return "full"

    def satisfies(self, backup: BackupInfo) -> bool:
        return backup.type == "full" and backup.start >= self.archiving_off_since


@dataclass(frozen=True, kw_only=True)
class OnDemandBackup(RequiredBackup):
    """A new backup. Only for the primary.

    A backup that already runs is waited for; where it is of another type, the required one follows.
    """

    kind: ClassVar[str] = "backup"
    snapshot: SnapshotQuery
    ended_after: int
    """It must end after this time, in seconds since 1970 by the host's clock."""
    backup_type: BackupType = "incr"

    def needs(self) -> tuple[Need, ...]:
        return (*super().needs(), Need(self.on, self.snapshot.probe()))

    def resolved(self, facts: Facts) -> Self:
        server = self.snapshot.running_server(facts.get(self.on, self.snapshot.probe()))
        if server is None or server.in_recovery:
            found = "PostgreSQL does not answer there" if server is None else "this is a standby"
            raise Refused(
                f"{found}: a backup needs a running primary",
                next="pgprovision status shows who is primary",
            )
        return super().resolved(facts)

    @property
    def description(self) -> str:
        return f"{self.backup_type} backup"

    @property
    def type_to_take(self) -> BackupType:
        return self.backup_type

    def satisfies(self, backup: BackupInfo) -> bool:
        """pgBackRest takes a full one where there is none to build on."""
        return backup.stop > self.ended_after and backup.type in (self.backup_type, "full")
