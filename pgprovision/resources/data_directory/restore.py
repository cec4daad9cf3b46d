"""A data directory restored from the backup repository to a target, recovered and promoted.

One named transient unit does all of it; what it leaves is a cluster that was shut down cleanly, on
a timeline of its own, with no recovery setting anywhere. Whoever starts it decides whether it
archives: a copy never does. Which backup it begins with is chosen here.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import ClassVar, Self

from pgprovision.engine.model import Answer, Ask, Diff, Do, Facts, Need, State, Waiting
from pgprovision.errors import Refused
from pgprovision.quote import sh
from pgprovision.recovery_target import END, Target
from pgprovision.resources.data_directory import recovery
from pgprovision.resources.data_directory.copy import Copied, Found
from pgprovision.resources.data_directory.recovery import NOTHING, Account
from pgprovision.resources.data_directory.source import Restore, Seed
from pgprovision.resources.pgbackrest import archive_timelines
from pgprovision.resources.pgbackrest import info as pgbackrest
from pgprovision.resources.pgbackrest.info import Info
from pgprovision.resources.pgbackrest.restore_points import Choice, choose, older
from pgprovision.resources.system.deferred_action import planned
from pgprovision.resources.system.disk_space import above
from pgprovision.resources.system.transient_unit import UNASKED

JOB = "pgprovision-restore.service"
UNMET = 65  # sysexits' EX_DATAERR
SPARE = 64 << 20  # bytes beside the backup's own: WAL, control files


@dataclass(frozen=True, kw_only=True)
class Restored(Copied):
    """The data of `stanza` as they were at `target`.

    `archiving`: the server that starts with them goes on as the cluster's primary, so the new
    timeline's history goes to the archive; false for a copy. `repository`: pgBackRest's number.
    `expected`: the system identifier the repository's cluster must have; none: whichever it has.
    """

    kind: ClassVar[str] = "restored data"
    unit: ClassVar[str] = JOB
    failed: ClassVar[str] = "restore failed"
    stanza: str
    target: Target = END
    archiving: bool = False
    repository: int = 1
    expected: str = ""
    info: Info | None = None
    choice: Choice | None = None
    room: int = 0
    account: Account = NOTHING

    @property
    def name(self) -> str:
        return f"{self.instance.version}/{self.instance.name} to {self.target}"

    @property
    def source(self) -> Seed:
        label = self.choice.backup.label if self.choice else ""
        return Restore(self.stanza, label, self.repository)

    @property
    def wanted(self) -> tuple[str, str]:
        found = self.info.system_identifier if self.info else ""
        return self.expected or found, "the repository's"

    @property
    def _listing(self) -> tuple[Ask, Ask]:
        """What may be chosen from; the archive only where something is to be."""
        info = pgbackrest.info(self.stanza, self.repository)
        archive = archive_timelines.look(self.stanza, self.repository)
        if not self.former:
            archive = Ask(f"{self.whole} && exit {UNASKED}\n{archive.text}")
        return self.job.idle(info), self.job.idle(archive)

    @property
    def _space(self) -> Ask:
        return Ask(f'{above(self.instance.data_directory)}\ndf -B1 --output=avail "$d" | tail -n 1')

    def needs(self) -> tuple[Need, ...]:
        asks = (self.job.look(), *self._listing, self._space, recovery.look(self.instance))
        return tuple(Need(self.on, ask) for ask in asks)

    def settled(self, facts: Facts) -> Self:
        """Raises InventoryError where the target lies outside of what the repository holds."""
        info, archive = (facts.get(self.on, ask) for ask in self._listing)
        space = facts.get(self.on, self._space)
        here = replace(
            self,
            job_state=self.job_seen(facts),
            account=recovery.read(facts.get(self.on, recovery.look(self.instance))),
            info=pgbackrest.parse(info) if info and info.code != UNASKED else None,
            room=int(space.text) if space and space.text.strip().isdigit() else 0,
        )
        seen = facts.get(self.on, self.probe())
        there = seen is not None and isinstance(here.found(seen), Found | Waiting)
        held = here.info
        if there or held is None or held.trouble or not held.system_identifier:
            return here
        if archive is None or archive.code == UNASKED:
            return here
        backups = held.of_system(held.system_identifier)
        return replace(here, choice=choose(self.target, backups, archive_timelines.parse(archive)))

    def read(self, answer: Answer) -> State | Waiting | None:
        found = self.found(answer)
        if isinstance(found, Waiting):
            return found
        if not isinstance(found, Found):
            self._check_room()
            if (
                found is not None
                and self.account.missed
                and self.account.target != str(self.target)
            ):
                return None  # another target may be tried
            return found
        if found.role == "standby":
            raise Refused(
                "the data directory is a standby's, and nothing is restored over it",
                where=self.on,
                done="nothing was written",
                next="pgprovision status shows who is who",
            )
        wanted, _ = self.wanted
        if wanted and found.identifier != wanted:
            raise Refused(
                f"the data on this machine belong to another cluster (system identifier"
                f" {found.identifier}; the repository's has {wanted})",
                where=self.on,
                done="nothing was written",
                next="check the node's address, and backup.repository in cluster.yml",
            )
        return {"role": "restored", "aside": found.aside}

    def _check_room(self) -> None:
        """Raises Refused where it would not fit."""
        needed = self.choice.backup.size + SPARE if self.choice else 0
        if self.room and needed > self.room:
            raise Refused(
                f"the restore takes {needed / 1e9:.2f} GB and {self.room / 1e9:.2f} GB are free"
                f" for {self.instance.data_directory}",
                where=self.on,
                done="nothing was written",
                next="take a machine with more disk, or make room (what was set aside counts, too)",
            )

    def desired(self) -> State:
        return {"role": "restored"}

    def remarks(self, state: State) -> tuple[str, ...]:
        done = self.account
        if not done.backup or done.missed or not done.lsn:
            return super().remarks(state)
        last = f", last transaction {done.last_transaction}" if done.last_transaction else ""
        told = (
            f"restored from backup {done.backup} to {done.target}: timeline {done.timeline},"
            f" {done.lsn}{last}; restore {done.restore_seconds:.1f} s, recovery"
            f" {done.recovery_seconds:.1f} s"
        )
        if done.beyond:
            told += (
                f"; {done.target} lies after the last transaction in the repository: what was"
                " committed between the two, if anything, had not been archived"
            )
        return (told, *super().remarks(state))

    def change(self, diff: Diff) -> Iterable[Do]:
        if diff.before is not None and self.account.missed:
            clear, said = sh("systemctl", "reset-failed", JOB), sh(self._unmet())
            text = f"{clear}; echo {said} >&2; exit {UNMET}"
            yield Do(f"restore to {self.target}", text, unmet=UNMET)
        elif diff.before is not None:
            yield self.job.report_failure(f"the {self.source.what}")
        elif self.choice is not None:
            yield from self.start()
        elif self.info is not None and (self.info.trouble or not self.info.system_identifier):
            yield Do("read the backup repository", self._answers())
        else:
            yield planned(
                f"restore to {self.target}", "the repository cannot be read from here yet"
            )

    def _unmet(self) -> str:
        before = ""
        if self.choice and self.info:
            before = older(self.choice, self.info.of_system(self.info.system_identifier))
        begin = f"the one before it may: --set {before}" if before else "there is no older one"
        return (
            f"{self.target} was not met in the WAL that follows backup {self.account.backup}:"
            f" {self.account.missed}\n"
            "  already done: what was restored is not used; the next run renames it aside\n"
            f"  next: choose another target; where it lies before that backup, {begin}"
        )

    def _answers(self) -> str:
        """Fails with the reason; a repository without this stanza is one, too."""
        info = self.info
        if info is not None and info.trouble:
            return pgbackrest.answers(self.stanza)
        return (
            f"{pgbackrest.answers(self.stanza)}\necho no such stanza: {sh(self.stanza)} >&2; exit 1"
        )

    def begun(self) -> Iterator[str]:
        if self.choice is not None:
            yield from recovery.begin(
                self.instance,
                target=str(self.target),
                backup=self.choice.backup.label,
                newest_wal=pgbackrest.moment(self.choice.arrived),
            )

    def prepared(self) -> Iterator[str]:
        if self.choice is not None:
            yield from recovery.recover(
                self.instance,
                self.stanza,
                self.target,
                self.choice.timeline,
                self.choice.until,
                self.archiving,
            )
