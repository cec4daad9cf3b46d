"""A standby's data directory, cloned from its primary or from a backup."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import ClassVar, Self

from pgprovision.engine.model import Action, Answer, Diff, Facts, Need, State, Waiting, WithNeeds
from pgprovision.errors import Refused
from pgprovision.quote import sh
from pgprovision.resources.data_directory.copy import DataDirectoryCopy, DataDirectoryFacts
from pgprovision.resources.data_directory.source import DataSource
from pgprovision.resources.postgres.conninfo import extend, verified_connection
from pgprovision.resources.postgres.control_file import system_identifier_probe
from pgprovision.resources.postgres.server.instance import as_postgres

CLONE_UNIT = "pgprovision-seed.service"  # one name for every source: never two copies at once


@dataclass(frozen=True, kw_only=True)
class Standby(DataDirectoryCopy, WithNeeds):
    """The data directory of a streaming standby of `primary` (the target's name)."""

    kind: ClassVar[str] = "standby"
    unit_name: ClassVar[str] = CLONE_UNIT
    failure_role: ClassVar[str] = "clone failed"
    primary: str
    data_source: DataSource
    primary_identifier: str = ""

    @property
    def name(self) -> str:
        return f"{self.instance.version}/{self.instance.name} of {self.primary}"

    @property
    def source(self) -> DataSource:
        return self.data_source

    @property
    def expected_identity(self) -> tuple[str, str]:
        return self.primary_identifier, "the primary's"

    def needs(self) -> tuple[Need, ...]:
        control = system_identifier_probe(self.instance)
        return (Need(self.primary, control), Need(self.on, self.job.probe()))

    def resolved(self, facts: Facts) -> Self:
        control = facts.get(self.primary, system_identifier_probe(self.instance))
        return replace(
            self,
            primary_identifier=control.text.strip() if control else "",
            job_state=self.observed_job_state(facts),
        )

    def read(self, answer: Answer) -> State | Waiting | None:
        found = self.read_data_directory(answer)
        if not isinstance(found, DataDirectoryFacts):
            return found
        if found.role != "standby":
            raise Refused(
                "the inventory says replica, and the data directory is a primary's:"
                " the live role wins, and data is never overwritten",
                where=self.on,
                next="pgprovision status shows who is primary; correct the roles in nodes/*.yml, "
                "or, where this is a former primary that has been stopped for good: "
                f"pgprovision re-clone {self.on}",
            )
        if self.primary_identifier and found.identifier != self.primary_identifier:
            raise Refused(
                f"this standby belongs to another cluster (system identifier {found.identifier},"
                f" the primary has {self.primary_identifier})",
                where=self.on,
                next="check the addresses of both nodes in nodes/*.yml; where it is this node's "
                "own data from before the cluster was created again: "
                f"pgprovision re-clone {self.on}",
            )
        return {"role": "standby", "set_aside": found.set_aside_paths}

    def desired(self) -> State:
        return {"role": "standby"}

    def change(self, diff: Diff) -> Iterable[Action]:
        if diff.before is not None:
            yield self.job.report_failure(f"the {self.data_source.description}")
            return
        yield from self.start()

    def after_copy(self) -> Iterator[str]:
        directory = self.instance.data_directory
        yield as_postgres("touch", f"{directory}/standby.signal")
        yield f"rm -f {sh(directory)}/recovery.signal"  # pgBackRest's; the other one counts


def primary_conninfo(
    *, host: str, address: str, port: int, user: str, passfile: str, ca: str, node: str
) -> str:
    """The connection string a standby streams with; its password is in `passfile`."""
    connection = verified_connection(
        host=host, address=address, port=port, ca=ca, user=user, passfile=passfile
    )
    return extend(connection, application_name=node)
