"""A pgBackRest stanza: the place of one PostgreSQL cluster in the repository."""

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
    WithNeeds,
)
from pgprovision.errors import Refused
from pgprovision.resources.pgbackrest import info as pgbackrest
from pgprovision.resources.pgbackrest.configuration import PgbackrestConf
from pgprovision.resources.postgres.control_file import system_identifier_probe
from pgprovision.resources.postgres.replication import wal_segments
from pgprovision.resources.postgres.server.instance import Instance
from pgprovision.resources.postgres.server.snapshot import SnapshotQuery

READABLE = "readable"
CHECK_SECONDS = 150.0  # pgBackRest waits up to 60 s (archive-timeout) for a WAL segment
CREATE_SECONDS = 90.0
TIMEOUT_MARGIN = 30.0 + pgbackrest.LOCKED_SECONDS  # between our own end of a call and the loop's
QUICK_OPTIONS = ("--io-timeout=10", "--log-level-stderr=warn")


@dataclass(frozen=True, kw_only=True)
class Stanza(Resource, WithNeeds):
    """A stanza that belongs to this instance, and WAL that arrives in it. Only for the primary.

    It is never upgraded and never deleted: one of another cluster is refused.
    """

    kind: ClassVar[str] = "stanza"
    conf: PgbackrestConf
    instance: Instance
    archiving: bool = True
    repository: int | None = None
    """pgBackRest's number; None: there is only one."""
    snapshot: SnapshotQuery | None = None
    identifier: str = ""
    configured: bool = False
    last_archived_wal: str = ""

    @property
    def name(self) -> str:
        stanza = self.conf.stanza
        return stanza if self.repository is None else f"{stanza} in repository {self.repository}"

    def probe(self) -> Probe:
        return pgbackrest.info_probe(self.conf.stanza, self.repository)

    def needs(self) -> tuple[Need, ...]:
        probes = [system_identifier_probe(self.instance), self.conf.probe()]
        probes += [self.snapshot.probe()] if self.snapshot else []
        return (*(Need(self.on, probe) for probe in probes), *self.conf.needs())

    def resolved(self, facts: Facts) -> Self:
        answer = facts.get(self.on, system_identifier_probe(self.instance))
        found = facts.get(self.on, self.conf.probe())
        conf = self.conf.resolved(facts)
        query = self.snapshot
        server = query.running_server(facts.get(self.on, query.probe())) if query else None
        return replace(
            self,
            identifier=answer.text.strip() if answer else "",
            configured=found is not None and not Diff(conf.read(found), conf.desired()),
            last_archived_wal=str(server.archiver.get("last_archived_wal") or "") if server else "",
        )

    def read(self, answer: Answer) -> State | None:
        info = pgbackrest.parse(answer)
        if info.error:
            return {**self.desired(), "repository": info.error}
        if not info.system_identifier:
            return None
        if info.system_identifier != self.identifier:
            if not self.configured:  # another repository may have been looked at
                return {**self.desired(), "repository": "pgbackrest.conf is not as declared"}
            local_state = f"is {self.identifier}" if self.identifier else "does not exist yet"
            raise Refused(
                f"stanza {self.conf.stanza} in {self._repository_name} belongs to another cluster,"
                f" with system identifier {info.system_identifier};"
                f" the one on this host {local_state}",
                next=f"give this cluster a repository path of its own ({self._key}.path), "
                "or restore that cluster from its backups",
            )
        return {
            "repository": READABLE,
            "system_identifier": info.system_identifier,
            "archived": self._archive_complete(info.archive.max),
        }

    def _archive_complete(self, newest: str | None) -> bool:
        """WAL is there, and no segment is missing at its end that PostgreSQL counted as archived by
        another archive_command, while archiving was declared off."""
        if newest is None or not self.archiving:
            return newest is not None
        last = self.last_archived_wal
        return not wal_segments.is_segment(last) or newest >= last

    @property
    def _repository_name(self) -> str:
        return "the repository" if self.repository is None else f"repository {self.repository}"

    @property
    def _key(self) -> str:
        return "backup.second_repository" if self.repository == 2 else "backup.repository"

    def desired(self) -> State:
        state = {
            "repository": READABLE,
            "system_identifier": self.identifier or "(of the cluster to be made)",
        }
        return {**state, "archived": True} if self.archiving else state

    def change(self, diff: Diff) -> Iterable[Action]:
        if diff.before is not None and diff.changed("repository"):
            options = pgbackrest.repository_options(self.repository)
            yield Action(
                "read the backup repository", pgbackrest.check_readable(self.conf.stanza, *options)
            )
        if diff.before is None:
            yield Action(
                f"create stanza {self.name}",
                pgbackrest.pgbackrest_command(
                    self.conf.stanza, *QUICK_OPTIONS, "stanza-create", seconds=CREATE_SECONDS
                ),
                timeout=CREATE_SECONDS + TIMEOUT_MARGIN,
            )
        if self.archiving and (diff.before is None or diff.changed("archived")):
            yield Action(
                "send a WAL segment to the repository and see it arrive",
                pgbackrest.pgbackrest_command(
                    self.conf.stanza, *QUICK_OPTIONS, "check", seconds=CHECK_SECONDS
                ),
                timeout=CHECK_SECONDS + TIMEOUT_MARGIN,
            )
