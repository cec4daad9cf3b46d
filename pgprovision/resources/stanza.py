"""A pgBackRest stanza: the place of one PostgreSQL cluster in the repository."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import ClassVar, Self

from pgprovision.errors import Refused
from pgprovision.model import Answer, Ask, Diff, Do, Facts, Need, Resource, State
from pgprovision.resources import pgbackrest
from pgprovision.resources.identity import system_identifier
from pgprovision.resources.instance import Instance
from pgprovision.resources.pgbackrest_conf import PgbackrestConf

READABLE = "readable"
CHECK_SECONDS = 150.0  # pgBackRest waits up to 60 s (archive-timeout) for a WAL segment


@dataclass(frozen=True, kw_only=True)
class Stanza(Resource):
    """A stanza that belongs to this instance, and WAL that arrives in it. For the primary only.

    Never upgraded and never deleted from here: one of another cluster is refused.
    """

    kind: ClassVar[str] = "stanza"
    conf: PgbackrestConf
    instance: Instance
    archiving: bool = True
    identifier: str = ""
    configured: bool = False

    @property
    def name(self) -> str:
        return self.conf.stanza

    def probe(self) -> Ask:
        return pgbackrest.info(self.name)

    def needs(self) -> tuple[Need, ...]:
        asks = (system_identifier(self.instance), self.conf.probe())
        return (*(Need(self.on, ask) for ask in asks), *self.conf.needs())

    def settled(self, facts: Facts) -> Self:
        answer = facts.get(self.on, system_identifier(self.instance))
        found = facts.get(self.on, self.conf.probe())
        conf = self.conf.settled(facts)
        return replace(
            self,
            identifier=answer.text.strip() if answer else "",
            configured=found is not None and not Diff(conf.read(found), conf.desired()),
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
                f"stanza {self.name} in the repository belongs to another cluster, with system "
                f"identifier {info.system_identifier}; the one on this host {here}",
                done="the repository was not written to",
                next="give this cluster a repository path of its own (backup.repository.path), "
                "or restore that cluster from its backups",
            )
        return {
            "repository": READABLE,
            "system_identifier": info.system_identifier,
            "archived": info.archive.max is not None,
        }

    def desired(self) -> State:
        wish = {
            "repository": READABLE,
            "system_identifier": self.identifier or "(of the cluster to be made)",
        }
        return {**wish, "archived": True} if self.archiving else wish

    def change(self, diff: Diff) -> Iterable[Do]:
        if diff.before is not None and diff.moved("repository"):
            yield Do("read the backup repository", pgbackrest.answers(self.name))
        if diff.before is None:
            yield Do(
                f"create stanza {self.name}",
                pgbackrest.pgbackrest(self.name, "--log-level-stderr=warn", "stanza-create"),
            )
        if self.archiving and (diff.before is None or diff.moved("archived")):
            yield Do(
                "send a WAL segment to the repository and see it arrive",
                pgbackrest.pgbackrest(self.name, "--log-level-stderr=warn", "check"),
                timeout=CHECK_SECONDS,
            )
