"""The operating system a replica must share with its primary.

Another libc sorts text differently, so a replica's indexes would be wrong without a word; another
PostgreSQL minor may not replay every WAL record. The minor is asked before seeding only: an upgrade
takes the replicas first.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import ClassVar, Self

from pgprovision.errors import Refused
from pgprovision.model import Answer, Ask, Diff, Do, Facts, Need, Resource, State
from pgprovision.quote import sh
from pgprovision.resources.instance import Instance


@dataclass(frozen=True, kw_only=True)
class Release(Resource):
    """Same OS release, libc and PostgreSQL minor as `primary`, or refused."""

    kind: ClassVar[str] = "release"
    instance: Instance
    primary: str
    wanted: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        return f"as on {self.primary}"

    def probe(self) -> Ask:
        postgres = sh(f"{self.instance.bin}/postgres", "-V")
        signal = sh(f"{self.instance.data_directory}/standby.signal")
        return Ask(
            '. /etc/os-release; echo "$ID $VERSION_ID"\n'
            "dpkg-query -W -f '${Version}\\n' libc6 2>/dev/null || echo\n"
            f"{postgres} 2>/dev/null || echo\n"
            f"[ -e {signal} ] && echo seeded || echo new"
        )

    def needs(self) -> tuple[Need, ...]:
        return (Need(self.primary, self.probe()),)

    def settled(self, facts: Facts) -> Self:
        answer = facts.get(self.primary, self.probe())
        return replace(self, wanted=tuple(answer.text.splitlines()) if answer else ())

    def read(self, answer: Answer) -> State:
        mine = _versions(answer.text.splitlines())
        if self.wanted:
            theirs = _versions(self.wanted)
            other = [
                f"{key}: here {mine[key]}, primary {theirs[key]}"
                for key in mine
                if mine[key] and theirs[key] and mine[key] != theirs[key]
            ]
            if other:
                raise Refused(
                    f"a replica must be the same as its primary; {'; '.join(other)}",
                    where=self.on,
                    next=f"use the primary's image for {self.on}, or upgrade the older one",
                )
        return {"same": True}

    def desired(self) -> State:
        return {"same": True}

    def change(self, diff: Diff) -> Iterable[Do]:
        return ()


def _versions(lines: Sequence[str]) -> dict[str, str]:
    """What is compared. 2.36 of libc's 2.36-9+deb12u14: security updates do not change the order
    of text."""
    system, libc, postgres, data = lines
    minor = "" if data == "seeded" else postgres
    return {"system": system, "libc": libc.partition("-")[0], "postgres": minor}
