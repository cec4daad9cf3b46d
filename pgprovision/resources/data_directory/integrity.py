"""Every page and every index of a restored copy, read once: pg_amcheck, then pg_checksums.

The copy is stopped for the second and stays stopped. Both may take long, so they are a named
transient unit; what they found lies beside the data directory.
"""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import ClassVar, Self

from pgprovision.engine.model import (
    Answer,
    Ask,
    Diff,
    Do,
    Facts,
    Impact,
    Need,
    Resource,
    State,
    Waiting,
)
from pgprovision.quote import sh
from pgprovision.resources.postgres.server.instance import Instance, as_postgres
from pgprovision.resources.system.transient_unit import IDLE, Job, JobState

JOB = "pgprovision-check.service"
DAY = 24 * 3600.0
CLEAN = "clean"
FAILED = "failed"
LINES = 12  # of what a check says, kept


@dataclass(frozen=True, kw_only=True)
class Integrity(Resource):
    """A copy whose pages and indexes are sound. Only for copies: they are stopped."""

    kind: ClassVar[str] = "integrity"
    instance: Instance
    checksums: bool = True
    jobs: int = 2
    job_state: JobState = IDLE

    @property
    def name(self) -> str:
        return f"{self.instance.version}/{self.instance.name}"

    @property
    def _found(self) -> str:
        return f"{self.instance.data_directory}.pgprovision-checked"

    @property
    def job(self) -> Job:
        return Job(JOB, progress=f"tail -c 400 {sh(self._found)}.log | tr '\\r' '\\n'")

    def needs(self) -> tuple[Need, ...]:
        return (Need(self.on, self.job.look()),)

    def settled(self, facts: Facts) -> Self:
        job = facts.get(self.on, self.job.look())
        return replace(self, job_state=self.job.read(job) if job else IDLE)

    def probe(self) -> Ask:
        """What was found in this very directory."""
        found, data = sh(self._found), sh(self.instance.data_directory)
        same = f'[ "$(head -n 1 {found})" = "$(stat -c %i {data})" ]'
        return Ask(f"[ -e {found} ] && {same} || exit 4; sed 1d {found}")

    def read(self, answer: Answer) -> State | Waiting | None:
        if self.job_state.state == "running":
            done = re.findall(r"\d+(?:\.\d+)?%", self.job_state.said)
            return self.job.waiting(f"reading every page: {done[-1] if done else 'begun'}", DAY)
        if answer.code:
            return {"checked": FAILED} if self.job_state.state == "failed" else None
        found: dict[str, str] = {}
        for line in answer.text.splitlines():
            what, _, said = line.partition(" ")
            found[what] = f"{found[what]}\n{said}" if what in found else said
        return dict(found)

    def desired(self) -> State:
        wish = {"pg_amcheck": CLEAN} if self.instance.version >= 14 else {}
        return {**wish, "pg_checksums": CLEAN} if self.checksums else wish

    def change(self, diff: Diff) -> Iterable[Do]:
        if diff.before == {"checked": FAILED}:
            yield self.job.report_failure("the check of every page")
        if diff.before is None:
            why = "read every page and index, then stop the copy"
            words = ("sh", "-c", "\n".join(self._steps()))
            start = self.job.start(why, *words, user="root", weight=50)
            yield replace(start, impact=Impact.RESTART)

    def _steps(self) -> Iterator[str]:
        here, bin_ = self.instance, self.instance.bin
        found, data = sh(self._found), sh(here.data_directory)
        yield f"set -u; umask 077; rm -f {found} {found}.new {found}.log"
        yield f"stat -c %i {data} >{found}.new"
        yield (
            f"told() {{ what=$1; shift\n"
            f'  if "$@" >{found}.log 2>&1; then echo "$what {CLEAN}"\n'
            f"  else echo \"exit $?\" | sed \"s/^/$what /\"; tr '\\r' '\\n' <{found}.log |"
            f' grep . | tail -n {LINES} | cut -c 1-300 | sed "s/^/$what /"; fi >>{found}.new\n}}'
        )
        if here.version >= 14:
            words = ("--all", "--install-missing", "--progress", "--jobs", str(self.jobs))
            amcheck = as_postgres(f"{bin_}/pg_amcheck", "-p", str(here.port), *words)
            yield f"told pg_amcheck {amcheck}"
        yield f"{sh('systemctl', 'stop', here.unit)} || exit 1"
        if self.checksums:
            there = ("--check", "--progress", "-D", here.data_directory)
            yield f"told pg_checksums {as_postgres(f'{bin_}/pg_checksums', *there)}"
        yield f"sync {found}.new; mv {found}.new {found}; rm -f {found}.log\n"
