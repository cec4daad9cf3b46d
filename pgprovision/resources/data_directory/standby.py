"""A standby's data directory, seeded from its primary or from a backup."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import ClassVar, Self

from pgprovision.engine.model import Answer, Diff, Do, Facts, Need, State, Waiting
from pgprovision.errors import Refused
from pgprovision.quote import conninfo, sh
from pgprovision.resources.data_directory.copy import Copied, Found
from pgprovision.resources.data_directory.source import Seed
from pgprovision.resources.postgres.control_file import system_identifier
from pgprovision.resources.postgres.server.instance import as_postgres

JOB = "pgprovision-seed.service"  # one name whatever the seed: never two copies at once


@dataclass(frozen=True, kw_only=True)
class Standby(Copied):
    """The data directory of a streaming standby of `primary` (the target's name)."""

    kind: ClassVar[str] = "standby"
    unit: ClassVar[str] = JOB
    failed: ClassVar[str] = "seeding failed"
    primary: str
    seed: Seed
    primary_identifier: str = ""

    @property
    def name(self) -> str:
        return f"{self.instance.version}/{self.instance.name} of {self.primary}"

    @property
    def source(self) -> Seed:
        return self.seed

    @property
    def wanted(self) -> tuple[str, str]:
        return self.primary_identifier, "the primary"

    def needs(self) -> tuple[Need, ...]:
        control = system_identifier(self.instance)
        return (Need(self.primary, control), Need(self.on, self.job.look()))

    def settled(self, facts: Facts) -> Self:
        control = facts.get(self.primary, system_identifier(self.instance))
        return replace(
            self,
            primary_identifier=control.text.strip() if control else "",
            job_state=self.job_seen(facts),
        )

    def read(self, answer: Answer) -> State | Waiting | None:
        found = self.found(answer)
        if not isinstance(found, Found):
            return found
        if found.role != "standby":
            raise Refused(
                "the inventory says replica, and the data directory is a primary's:"
                " the live role wins, and data is never overwritten",
                where=self.on,
                done="nothing was written",
                next="pgprovision status shows who is primary; correct the roles in nodes/*.yml, "
                "or, where this is a former primary that has been stopped for good: "
                f"pgprovision re-clone {self.on}",
            )
        if self.primary_identifier and found.identifier != self.primary_identifier:
            raise Refused(
                f"this standby belongs to another cluster (system identifier {found.identifier},"
                f" the primary has {self.primary_identifier})",
                where=self.on,
                done="nothing was written",
                next="check the addresses of both nodes in nodes/*.yml; where it is this node's "
                f"own data from before the cluster was made anew: pgprovision re-clone {self.on}",
            )
        return {"role": "standby", "aside": found.aside}

    def desired(self) -> State:
        return {"role": "standby"}

    def change(self, diff: Diff) -> Iterable[Do]:
        if diff.before is not None:
            yield self.job.report_failure(f"the {self.seed.what}")
            return
        yield from self.start()

    def prepared(self) -> Iterator[str]:
        directory = self.instance.data_directory
        yield as_postgres("touch", f"{directory}/standby.signal")
        yield f"rm -f {sh(directory)}/recovery.signal"  # pgBackRest's; the other one counts


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
