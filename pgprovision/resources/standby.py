"""A standby's data directory, seeded by a named transient unit.

A note lies beside the directory from before the first byte until `standby.signal` is in place, so
a copy that was cut off is recognised and set aside, and is never started.
"""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import ClassVar, Self

from pgprovision.errors import Refused
from pgprovision.model import Answer, Ask, Diff, Do, Facts, Impact, Need, Resource, State, Waiting
from pgprovision.quote import conninfo, sh
from pgprovision.resources.cluster import drop_note, make_parent, set_aside
from pgprovision.resources.identity import system_identifier
from pgprovision.resources.instance import Instance, as_postgres, note
from pgprovision.resources.job import IDLE, Job, JobState
from pgprovision.resources.seed import Seed

JOB = "pgprovision-seed.service"  # one name whatever the seed: never two copies at once
DAY = 24 * 3600.0  # a copy may take long; it lives on its own and shows how far it is


@dataclass(frozen=True, kw_only=True)
class Standby(Resource):
    """The data directory of a streaming standby of `primary` (the target's name).

    `former`: the inode of a data directory that is to be made anew, whatever it holds.
    """

    kind: ClassVar[str] = "standby"
    instance: Instance
    primary: str
    seed: Seed
    former: str = ""
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
        show = f"tail -c 400 {sh(self._progress)} 2>/dev/null | tr '\\r' '\\n'"
        return Job(JOB, progress=show)

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
        return Ask(
            f"[ -e {data}/PG_VERSION ] && [ ! -e {sh(note(self.instance))} ] || exit 4\n"
            f"[ -e {data}/standby.signal ] && echo standby || echo primary\n"
            f'stat -c %i {data}; echo "$({system_identifier(self.instance).text})"\n'
            f'for d in {data}.aside-*; do [ ! -d "$d" ] || echo "$d"; done'
        )

    def read(self, answer: Answer) -> State | Waiting | None:
        if self.job_state.state == "running":
            done = re.findall(r"\d+(?:\.\d+)?%", self.job_state.said)
            now = done[-1] if done else "under way" if self.job_state.said else "begun"
            return Waiting(f"{self.seed.what}: {now}", limit=DAY)
        if answer.code == 4:
            return {"role": "seeding failed"} if self.job_state.state == "failed" else None
        role, inode, identifier, *aside = answer.text.splitlines()
        if inode == self.former:
            return {"role": "seeding failed"} if self.job_state.state == "failed" else None
        if role != "standby":
            raise Refused(
                "the inventory says replica, and the data directory is a primary's:"
                " the live role wins, and data is never overwritten",
                where=self.on,
                done="nothing was written",
                next="pgprovision status shows who is primary; correct the roles in nodes/*.yml, "
                "or, where this is a former primary that has been stopped for good: "
                f"pgprovision re-clone {self.on}",
            )
        if self.primary_identifier and identifier != self.primary_identifier:
            raise Refused(
                f"this standby belongs to another cluster (system identifier {identifier},"
                f" the primary has {self.primary_identifier})",
                where=self.on,
                done="nothing was written",
                next="check the addresses of both nodes in nodes/*.yml; where it is this node's "
                f"own data from before the cluster was made anew: pgprovision re-clone {self.on}",
            )
        return {"role": "standby", "aside": tuple(aside)}

    def remarks(self, state: State) -> tuple[str, ...]:
        aside = state.get("aside")
        paths = aside if isinstance(aside, tuple) else ()
        return tuple(f"set aside; to remove it: rm -r {sh(str(path))}" for path in paths)

    def desired(self) -> State:
        return {"role": "standby"}

    def change(self, diff: Diff) -> Iterable[Do]:
        if diff.before is not None:
            yield self.job.report_failure(f"the {self.seed.what}")
            return
        why, impact = f"start a {self.seed.what}", Impact.NONE
        if self.former:
            why, impact = f"stop PostgreSQL, set its data aside, {why}", Impact.DESTROY
        words = ("sh", "-c", self._script())
        yield replace(self.job.start(why, *words, user="root", weight=50), impact=impact)

    def _script(self) -> str:
        return "\n".join(self._steps())

    def _steps(self) -> Iterator[str]:
        """Whose data it would be comes first, before the first byte and before anything moves."""
        directory = self.instance.data_directory
        here, data, progress = map(sh, (note(self.instance), directory, self._progress))
        wanted = sh(self.primary_identifier)
        yield f"set -e\nfound=$({self.seed.identify()})\nfound=${{found%%|*}}"
        yield (
            f'[ -n "$found" ] && [ "$found" = {wanted} ] || {{ echo "this would be a copy of '
            f'cluster ${{found:-(none)}}, and the primary is" {wanted} >&2; exit 1; }}'
        )
        yield f"{make_parent(self.instance)}\ntouch {here}; sync {here}"
        yield f"{sh('systemctl', 'stop', self.instance.unit)}\n{set_aside(directory)}"
        yield f"install -d -o postgres -g postgres -m 0700 {data}"
        yield f"{self.seed.copy(self.instance)} >{progress} 2>&1 ||"
        yield f"  {{ tail -n 12 {progress} >&2; exit 1; }}"
        yield (
            f"copied=$({system_identifier(self.instance).text})\n"
            f'[ "$copied" = {wanted} ] || {{ echo "a copy of cluster $copied" >&2; exit 1; }}'
        )
        yield as_postgres("touch", f"{directory}/standby.signal")
        yield f"rm -f {sh(directory)}/recovery.signal"  # pgBackRest's; the other one counts
        yield f"sync -f {data}\nrm -f {progress}\n{drop_note(self.instance)}"
        yield "systemctl daemon-reload\n"


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
