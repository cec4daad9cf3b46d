"""The operating system release that a replica must share with its primary.

Another libc sorts text differently, so a replica's indexes would silently be wrong. Another
PostgreSQL minor may not replay every WAL record; it is only compared before cloning, because an
upgrade takes the replicas first. Where all text is sorted by C, or by the same version of ICU on
both, the libc does not matter.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import ClassVar, Self

from pgprovision.engine.model import Answer, Check, Facts, Need, Probe, State, WithNeeds
from pgprovision.errors import Refused
from pgprovision.quote import sh
from pgprovision.resources.postgres.server.instance import Instance
from pgprovision.resources.postgres.server.snapshot import ServerSnapshot, SnapshotQuery

ICU = "ICU"
SYSTEM_DATABASES = ("postgres", "template0", "template1")  # nobody but us may do anything in them


@dataclass(frozen=True, kw_only=True)
class ReleaseCompatibility(Check, WithNeeds):
    """Same OS release, libc and PostgreSQL minor as `primary`, or refused."""

    kind: ClassVar[str] = "release compatibility"
    instance: Instance
    primary: str
    snapshot: SnapshotQuery
    primary_versions: tuple[str, ...] = ()
    primary_collations: frozenset[str] = frozenset(
        {"the primary's PostgreSQL, which did not answer"}
    )
    """What sorts text on the primary and may sort it differently here; of ICU only the version
    counts."""

    @property
    def name(self) -> str:
        return f"as on {self.primary}"

    def probe(self) -> Probe:
        postgres = sh(f"{self.instance.bin_directory}/postgres", "-V")
        signal = sh(f"{self.instance.data_directory}/standby.signal")
        return Probe(
            '. /etc/os-release; echo "$ID $VERSION_ID"\n'
            "dpkg-query -W -f '${Version}\\n' libc6 2>/dev/null || echo\n"
            "dpkg-query -W -f '${Package} ' 'libicu[0-9]*' 2>/dev/null; echo\n"
            f"{postgres} 2>/dev/null || echo\n"
            f"[ -e {signal} ] && echo cloned || echo new"
        )

    def needs(self) -> tuple[Need, ...]:
        return Need(self.primary, self.probe()), Need(self.primary, self.snapshot.probe())

    def resolved(self, facts: Facts) -> Self:
        answer = facts.get(self.primary, self.probe())
        versions = tuple(answer.text.splitlines()) if answer else ()
        server = self.snapshot.running_server(facts.get(self.primary, self.snapshot.probe()))
        collations = self.primary_collations if server is None else collation_sources(server)
        return replace(self, primary_versions=versions, primary_collations=collations)

    def read(self, answer: Answer) -> State:
        local_versions = _versions(answer.text.splitlines())
        if self.primary_versions:
            remote_versions = _versions(self.primary_versions)
            other_collations = self.primary_collations - {ICU}
            compared = {"postgres", *(("system", "libc") if other_collations else ())}
            compared |= {"icu"} & {"icu" if ICU in self.primary_collations else ""}
            other = [
                f"{key}: here {local_versions[key]}, primary {remote_versions[key]}"
                for key in local_versions
                if key in compared
                and local_versions[key]
                and remote_versions[key]
                and local_versions[key] != remote_versions[key]
            ]
            if other:
                why = (
                    f" (there, text is sorted by {', '.join(sorted(other_collations))})"
                    if other_collations
                    else ""
                )
                raise Refused(
                    f"a replica must be the same as its primary{why}; {'; '.join(other)}",
                    where=self.on,
                    next=f"use the primary's image for {self.on}, or upgrade the older one",
                )
        return {"compatible": True}

    def desired(self) -> State:
        return {"compatible": True}


def _versions(lines: Sequence[str]) -> dict[str, str]:
    """What is compared. Of libc's 2.36-9+deb12u14 only 2.36: security updates do not change the
    order of text."""
    system, libc, icu, postgres, data = lines
    minor = "" if data == "cloned" else postgres
    found = {"system": system, "libc": libc.partition("-")[0], "icu": icu.strip()}
    return {**found, "postgres": minor}


def collation_sources(server: ServerSnapshot) -> frozenset[str]:
    """The providers other than C that sort text in a server. A database that was not looked into
    may use any."""
    found = set()
    for name, row in server.databases.items():
        used = {(row["provider"], row["collate"])}
        if name in server.database_snapshots:
            used |= server.database_snapshots[name].collations
        elif name not in SYSTEM_DATABASES:
            found.add(f"database {name}, which is not in the inventory")
        if any(provider == "i" for provider, _ in used):
            found.add(ICU)
        found |= {
            f"libc's {collation} in {name}"
            for provider, collation in used
            if provider == "c" and collation not in ("C", "POSIX")
        }
    return frozenset(found)
