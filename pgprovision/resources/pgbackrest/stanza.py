"""A pgBackRest stanza: the place of one PostgreSQL cluster in the repository."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import ClassVar, Self

from pgprovision.engine.model import Answer, Ask, Diff, Do, Facts, Need, Resource, State
from pgprovision.errors import Refused
from pgprovision.resources.pgbackrest import info as pgbackrest
from pgprovision.resources.pgbackrest.configuration import PgbackrestConf
from pgprovision.resources.postgres.control_file import system_identifier
from pgprovision.resources.postgres.replication import wal_segments
from pgprovision.resources.postgres.server.instance import Instance
from pgprovision.resources.postgres.server.snapshot import Snapshot

READABLE = "readable"
CHECK_SECONDS = 150.0  # pgBackRest waits up to 60 s (archive-timeout) for a WAL segment
CREATE_SECONDS = 90.0
MARGIN = 30.0 + pgbackrest.LOCKED_SECONDS  # between our own end of a call and the loop's
QUICK = ("--io-timeout=10", "--log-level-stderr=warn")


@dataclass(frozen=True, kw_only=True)
class Stanza(Resource):
    """A stanza that belongs to this instance, and WAL that arrives in it. For the primary only.
    `repository`: which one is meant, where there are several.

    Never upgraded and never deleted from here: one of another cluster is refused.
    """

    kind: ClassVar[str] = "stanza"
    conf: PgbackrestConf
    instance: Instance
    archiving: bool = True
    repository: int | None = None
    snapshot: Snapshot | None = None
    identifier: str = ""
    configured: bool = False
    archived_last: str = ""

    @property
    def name(self) -> str:
        stanza = self.conf.stanza
        return stanza if self.repository is None else f"{stanza} in repository {self.repository}"

    def probe(self) -> Ask:
        return pgbackrest.info(self.conf.stanza, self.repository)

    def needs(self) -> tuple[Need, ...]:
        asks = [system_identifier(self.instance), self.conf.probe()]
        asks += [self.snapshot.ask()] if self.snapshot else []
        return (*(Need(self.on, ask) for ask in asks), *self.conf.needs())

    def settled(self, facts: Facts) -> Self:
        answer = facts.get(self.on, system_identifier(self.instance))
        found = facts.get(self.on, self.conf.probe())
        conf = self.conf.settled(facts)
        look = self.snapshot
        server = look.running(facts.get(self.on, look.ask())) if look else None
        return replace(
            self,
            identifier=answer.text.strip() if answer else "",
            configured=found is not None and not Diff(conf.read(found), conf.desired()),
            archived_last=str(server.archiver.get("last_archived_wal") or "") if server else "",
        )

    def read(self, answer: Answer) -> State | None:
        info = pgbackrest.parse(answer)
        if info.trouble:
            return {**self.desired(), "repository": info.trouble}
        if not info.system_identifier:
            return None
        if info.system_identifier != self.identifier:
            if not self.configured:  # another repository may have been looked at
                return {**self.desired(), "repository": "pgbackrest.conf is not as wished"}
            here = f"is {self.identifier}" if self.identifier else "does not exist yet"
            raise Refused(
                f"stanza {self.conf.stanza} in {self._where} belongs to another cluster, with"
                f" system identifier {info.system_identifier}; the one on this host {here}",
                done="the repository was not written to",
                next=f"give this cluster a repository path of its own ({self._key}.path), "
                "or restore that cluster from its backups",
            )
        return {
            "repository": READABLE,
            "system_identifier": info.system_identifier,
            "archived": self._arrived(info.archive.max),
        }

    def _arrived(self, newest: str | None) -> bool:
        """WAL is there, and none that PostgreSQL took for archived (by another archive_command:
        while archiving was declared off) is missing at its end."""
        if newest is None or not self.archiving:
            return newest is not None
        last = self.archived_last
        return not wal_segments.is_segment(last) or newest >= last

    @property
    def _where(self) -> str:
        return "the repository" if self.repository is None else f"repository {self.repository}"

    @property
    def _key(self) -> str:
        return "backup.second_repository" if self.repository == 2 else "backup.repository"

    def desired(self) -> State:
        wish = {
            "repository": READABLE,
            "system_identifier": self.identifier or "(of the cluster to be made)",
        }
        return {**wish, "archived": True} if self.archiving else wish

    def change(self, diff: Diff) -> Iterable[Do]:
        if diff.before is not None and diff.moved("repository"):
            words = pgbackrest.words_for(self.repository)
            yield Do("read the backup repository", pgbackrest.answers(self.conf.stanza, *words))
        if diff.before is None:
            yield Do(
                f"create stanza {self.name}",
                pgbackrest.pgbackrest(
                    self.conf.stanza, *QUICK, "stanza-create", seconds=CREATE_SECONDS
                ),
                timeout=CREATE_SECONDS + MARGIN,
            )
        if self.archiving and (diff.before is None or diff.moved("archived")):
            yield Do(
                "send a WAL segment to the repository and see it arrive",
                pgbackrest.pgbackrest(self.conf.stanza, *QUICK, "check", seconds=CHECK_SECONDS),
                timeout=CHECK_SECONDS + MARGIN,
            )
