"""Every page and every index of a restored copy, read once by pg_amcheck and pg_checksums.

The copy is stopped for pg_checksums and stays stopped. Both may take long, so a named transient
unit runs them and writes the result next to the data directory.
"""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import ClassVar, Self

from pgprovision.engine.model import (
    Action,
    Answer,
    Diff,
    Facts,
    Impact,
    Need,
    Probe,
    Resource,
    State,
    Waiting,
    WithNeeds,
)
from pgprovision.quote import sh
from pgprovision.resources.postgres.server.instance import Instance, as_postgres
from pgprovision.resources.system.transient_unit import IDLE, Job, JobState

INTEGRITY_UNIT = "pgprovision-check.service"
CHECK_TIMEOUT = 24 * 3600.0
CLEAN = "clean"
FAILED = "failed"
MAX_OUTPUT_LINES = 12  # of a check's output in its result


@dataclass(frozen=True, kw_only=True)
class Integrity(Resource, WithNeeds):
    """A restored copy has sound pages and indexes. Only for copies, because it stops them."""

    kind: ClassVar[str] = "integrity"
    instance: Instance
    checksums: bool = True
    jobs: int = 2
    job_state: JobState = IDLE

    @property
    def name(self) -> str:
        return f"{self.instance.version}/{self.instance.name}"

    @property
    def _result_file(self) -> str:
        return f"{self.instance.data_directory}.pgprovision-checked"

    @property
    def job(self) -> Job:
        return Job(
            INTEGRITY_UNIT, progress=f"tail -c 400 {sh(self._result_file)}.log | tr '\\r' '\\n'"
        )

    def needs(self) -> tuple[Need, ...]:
        return (Need(self.on, self.job.probe()),)

    def resolved(self, facts: Facts) -> Self:
        job = facts.get(self.on, self.job.probe())
        return replace(self, job_state=self.job.read(job) if job else IDLE)

    def probe(self) -> Probe:
        """Prints the result for this very directory."""
        found, data = sh(self._result_file), sh(self.instance.data_directory)
        same = f'[ "$(head -n 1 {found})" = "$(stat -c %i {data})" ]'
        return Probe(f"[ -e {found} ] && {same} || exit 4; sed 1d {found}")

    def read(self, answer: Answer) -> State | Waiting | None:
        if self.job_state.state == "running":
            done = re.findall(r"\d+(?:\.\d+)?%", self.job_state.progress)
            return self.job.waiting(
                f"reading every page: {done[-1] if done else 'begun'}", CHECK_TIMEOUT
            )
        if answer.code:
            return {"checked": FAILED} if self.job_state.state == "failed" else None
        found: dict[str, str] = {}
        for line in answer.text.splitlines():
            check, _, output = line.partition(" ")
            found[check] = f"{found[check]}\n{output}" if check in found else output
        return dict(found)

    def desired(self) -> State:
        state = {"pg_amcheck": CLEAN} if self.instance.version >= 14 else {}
        return {**state, "pg_checksums": CLEAN} if self.checksums else state

    def change(self, diff: Diff) -> Iterable[Action]:
        if diff.before == {"checked": FAILED}:
            yield self.job.report_failure("the check of every page")
        if diff.before is None:
            why = "read every page and index, then stop the copy"
            command = ("sh", "-c", "\n".join(self._steps()))
            start = self.job.start(why, *command, user="root", weight=50)
            yield replace(start, impact=Impact.RESTART)

    def _steps(self) -> Iterator[str]:
        target_instance, bin_ = self.instance, self.instance.bin_directory
        found, data = sh(self._result_file), sh(target_instance.data_directory)
        yield f"set -u; umask 077; rm -f {found} {found}.new {found}.log"
        yield f"stat -c %i {data} >{found}.new"
        yield (
            f"report() {{ what=$1; shift\n"
            f'  if "$@" >{found}.log 2>&1; then echo "$what {CLEAN}"\n'
            f"  else echo \"exit $?\" | sed \"s/^/$what /\"; tr '\\r' '\\n' <{found}.log |"
            f" grep . | tail -n {MAX_OUTPUT_LINES} | cut -c 1-300 |"
            f' sed "s/^/$what /"; fi >>{found}.new\n}}'
        )
        if target_instance.version >= 14:
            words = ("--all", "--install-missing", "--progress", "--jobs", str(self.jobs))
            amcheck = as_postgres(f"{bin_}/pg_amcheck", "-p", str(target_instance.port), *words)
            yield f"report pg_amcheck {amcheck}"
        yield f"{sh('systemctl', 'stop', target_instance.unit)} || exit 1"
        if self.checksums:
            options = ("--check", "--progress", "-D", target_instance.data_directory)
            yield f"report pg_checksums {as_postgres(f'{bin_}/pg_checksums', *options)}"
        yield f"sync {found}.new; mv {found}.new {found}; rm -f {found}.log\n"
