"""A standby's data directory: a base backup through its slot, taken by a named transient unit.

A note lies beside the directory from before the first byte until `standby.signal` is in place, so
a copy that was cut off is recognised and set aside.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import ClassVar, Self

from pgprovision.errors import Refused
from pgprovision.model import Answer, Ask, Diff, Do, Facts, Need, Resource, State, Waiting
from pgprovision.quote import conninfo, sh
from pgprovision.resources.cluster import make_parent, note, set_aside
from pgprovision.resources.identity import system_identifier
from pgprovision.resources.instance import Instance, as_postgres
from pgprovision.resources.job import IDLE, Job, JobState

DAY = 24 * 3600.0  # a base backup may take long; it lives on its own and shows how far it is


@dataclass(frozen=True, kw_only=True)
class Standby(Resource):
    """The data directory of a streaming standby of `primary` (the target's name)."""

    kind: ClassVar[str] = "standby"
    instance: Instance
    primary: str
    primary_conninfo: str
    slot: str
    primary_identifier: str = ""
    job_state: JobState = IDLE

    @property
    def name(self) -> str:
        return f"{self.instance.version}/{self.instance.name} of {self.primary}"

    @property
    def _progress(self) -> str:
        return f"{self.instance.data_directory}.pgprovision-progress"

    @property
    def job(self) -> Job:
        show = f"tail -c 200 {sh(self._progress)} 2>/dev/null | tr '\\r' '\\n' | tail -n 1"
        return Job("pgprovision-base-backup.service", progress=show)

    def needs(self) -> tuple[Need, ...]:
        control = system_identifier(self.instance)
        return (Need(self.primary, control), Need(self.on, self.job.look()))

    def settled(self, facts: Facts) -> Self:
        control = facts.get(self.primary, system_identifier(self.instance))
        job = facts.get(self.on, self.job.look())
        return replace(
            self,
            primary_identifier=control.text.strip() if control else "",
            job_state=self.job.read(job) if job else IDLE,
        )

    def probe(self) -> Ask:
        data = sh(self.instance.data_directory)
        control = sh(f"{self.instance.bin}/pg_controldata", "-D", self.instance.data_directory)
        return Ask(
            f"[ -e {data}/PG_VERSION ] && [ ! -e {sh(note(self.instance))} ] || exit 4\n"
            f"[ -e {data}/standby.signal ] && echo standby || echo primary\n"
            f"LC_ALL=C {control} | sed -n 's/^Database system identifier: *//p'"
        )

    def read(self, answer: Answer) -> State | Waiting | None:
        if self.job_state.state == "running":
            done = re.findall(r"\d+%", self.job_state.said)
            progress = done[-1] if done else "waiting for a checkpoint"
            return Waiting(f"base backup from {self.primary}: {progress}", limit=DAY)
        if answer.code == 4:
            return {"role": "base backup failed"} if self.job_state.state == "failed" else None
        role, identifier = answer.text.split()
        if role != "standby":
            raise Refused(
                "the inventory says replica, and the data directory is a primary's:"
                " the live role wins, and data is never overwritten",
                where=self.on,
                done="nothing was written",
                next="pgprovision status shows who is primary; correct the roles in nodes/*.yml",
            )
        if self.primary_identifier and identifier != self.primary_identifier:
            raise Refused(
                f"this standby belongs to another cluster (system identifier {identifier},"
                f" the primary has {self.primary_identifier})",
                where=self.on,
                done="nothing was written",
                next="check the addresses of both nodes in nodes/*.yml",
            )
        return {"role": "standby"}

    def desired(self) -> State:
        return {"role": "standby"}

    def change(self, diff: Diff) -> Iterable[Do]:
        if diff.before is not None:
            yield self.job.report_failure(f"the base backup from {self.primary}")
            return
        yield self.job.start(
            f"start a base backup from {self.primary} through slot {self.slot}",
            *("sh", "-c", self._script()),
            user="root",
            weight=50,
        )

    def _script(self) -> str:
        """The clone: whose data it is comes first, before the first byte."""
        here, data = sh(note(self.instance)), sh(self.instance.data_directory)
        identify = as_postgres(
            *("psql", "-XAtq", "-d", f"{self.primary_conninfo} replication=true"),
            *("-c", "IDENTIFY_SYSTEM"),
        )
        backup = as_postgres(
            *("pg_basebackup", "-d", self.primary_conninfo, "-D", self.instance.data_directory),
            *("-S", self.slot, "-X", "stream", "-c", "fast", "-P"),
        )
        signal = as_postgres("touch", f"{self.instance.data_directory}/standby.signal")
        other = "the server that answers is cluster $found, not the primary's"
        return (
            f"set -e\nfound=$({identify})\nfound=${{found%%|*}}\n"
            f'[ "$found" = {sh(self.primary_identifier)} ] || {{ echo "{other}" >&2; exit 1; }}\n'
            f"{make_parent(self.instance)}\ntouch {here}; sync {here}\n"
            f"{set_aside(self.instance.data_directory)}\n"
            f"install -d -o postgres -g postgres -m 0700 {data}\n"
            f"{backup} 2>{sh(self._progress)} || {{ cat {sh(self._progress)} >&2; exit 1; }}\n"
            f"{signal}\nsync -f {data}\nrm -f {here} {sh(self._progress)}\n"
            f"systemctl daemon-reload\n"
        )


def primary_conninfo(
    *, host: str, address: str, port: int, user: str, passfile: str, ca: str, node: str
) -> str:
    """The libpq connection string a standby streams with: verify-full, password from a file."""
    parts = {
        "host": host,
        "hostaddr": address,
        "port": str(port),
        "user": user,
        "passfile": passfile,
        "sslmode": "verify-full",
        "sslrootcert": ca,
        "application_name": node,
    }
    return " ".join(f"{key}={conninfo(value)}" for key, value in parts.items())
