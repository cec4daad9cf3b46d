"""A pgBackRest stanza: the place of one PostgreSQL cluster in the repository."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import ClassVar, Self

from pgprovision.errors import Refused
from pgprovision.model import Answer, Ask, Diff, Do, Facts, Need, Resource, State
from pgprovision.resources import pgbackrest
from pgprovision.resources.identity import system_identifier
from pgprovision.resources.instance import Instance

READABLE = "readable"
CHECK_SECONDS = 150.0  # pgBackRest waits up to 60 s (archive-timeout) for a WAL segment


@dataclass(frozen=True, kw_only=True)
class Stanza(Resource):
    """A stanza that belongs to this instance, and WAL that arrives in it. For the primary only.

    Never upgraded and never deleted from here: one of another cluster is refused.
    """

    kind: ClassVar[str] = "stanza"
    stanza: str
    instance: Instance
    archiving: bool = True
    identifier: str = ""

    @property
    def name(self) -> str:
        return self.stanza

    def probe(self) -> Ask:
        return pgbackrest.info(self.stanza)

    def needs(self) -> tuple[Need, ...]:
        return (Need(self.on, system_identifier(self.instance)),)

    def settled(self, facts: Facts) -> Self:
        answer = facts.get(self.on, system_identifier(self.instance))
        return replace(self, identifier=answer.text.strip() if answer else "")

    def read(self, answer: Answer) -> State | None:
        info = pgbackrest.parse(answer)
        if info.trouble:
            return {**self.desired(), "repository": info.trouble}
        if not info.system_identifier:
            return None
        if info.system_identifier != self.identifier:
            here = f"is {self.identifier}" if self.identifier else "does not exist yet"
            raise Refused(
                f"stanza {self.stanza} in the repository belongs to another cluster, with system "
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
            yield Do("read the backup repository", pgbackrest.answers(self.stanza))
        if diff.before is None:
            yield Do(
                f"create stanza {self.stanza}",
                pgbackrest.pgbackrest(self.stanza, "--log-level-stderr=warn", "stanza-create"),
            )
        if self.archiving and (diff.before is None or diff.moved("archived")):
            yield Do(
                "send a WAL segment to the repository and see it arrive",
                pgbackrest.pgbackrest(self.stanza, "--log-level-stderr=warn", "check"),
                timeout=CHECK_SECONDS,
            )
