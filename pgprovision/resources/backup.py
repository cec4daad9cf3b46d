"""The first full backup of a cluster."""

import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import ClassVar, Self

from pgprovision.model import Answer, Ask, Diff, Do, Facts, Need, Resource, State, Waiting
from pgprovision.quote import sh
from pgprovision.resources import pgbackrest
from pgprovision.resources.identity import system_identifier
from pgprovision.resources.instance import Instance
from pgprovision.resources.job import IDLE, Job, JobState

TAKEN = "taken"
FAILED = "failed"
STALLED_SECONDS = 1800.0  # without a per cent more: WAL that does not arrive ends it after 60 s


@dataclass(frozen=True, kw_only=True)
class FirstBackup(Resource):
    """At least one full backup of this very cluster. Taken in the background, by a named unit."""

    kind: ClassVar[str] = "first backup"
    stanza: str
    instance: Instance
    identifier: str = ""
    job_state: JobState = IDLE

    @property
    def name(self) -> str:
        return self.stanza

    @property
    def job(self) -> Job:
        log = f"{pgbackrest.LOG_DIRECTORY}/{self.stanza}-backup.log"
        return Job("pgprovision-backup-full.service", progress=sh("tail", "-c", "400", log))

    def probe(self) -> Ask:
        return pgbackrest.info(self.stanza)

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

    def read(self, answer: Answer) -> State | Waiting | None:
        info = pgbackrest.parse(answer)
        if any(b.type == "full" for b in info.of_system(self.identifier)):
            return {"full_backup": TAKEN}
        if self.job_state.state == "running" or info.running:
            done = re.findall(r"\d+(?:\.\d+)?%", self.job_state.said)
            return Waiting(f"first full backup: {done[-1] if done else 'begun'}", STALLED_SECONDS)
        if info.trouble:
            return {"full_backup": f"unknown: {info.trouble}"}
        if self.job_state.state == "failed":
            return {"full_backup": FAILED}
        return None

    def desired(self) -> State:
        return {"full_backup": TAKEN}

    def change(self, diff: Diff) -> Iterable[Do]:
        if diff.before == {"full_backup": FAILED}:
            yield self.job.report_failure("the first full backup")
            return
        if diff.before is not None:
            yield Do("read the backup repository", pgbackrest.answers(self.stanza))
        yield self.job.start(
            "start the first full backup",
            *("flock", "-F", "/var/lib/pgbackrest"),  # the timers' runs wait for it
            *("pgbackrest", f"--stanza={self.stanza}", "--type=full"),
            *("--log-level-console=off", "--log-level-stderr=warn", "backup"),
        )
