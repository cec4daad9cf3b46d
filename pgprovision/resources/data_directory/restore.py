"""A data directory restored from the backup repository to a target, recovered and promoted.

One named transient unit does all of it. It leaves a cluster that was shut down cleanly, on a new
timeline, without any recovery setting. Whoever starts it decides whether it archives; a restored
copy never does. The backup to restore is chosen here.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import ClassVar, Self

from pgprovision.engine.model import (
    Action,
    Answer,
    Diff,
    Facts,
    Need,
    Probe,
    State,
    Waiting,
    WithNeeds,
)
from pgprovision.errors import Refused
from pgprovision.quote import sh
from pgprovision.recovery_target import END_OF_WAL, RecoveryTarget
from pgprovision.resources.data_directory import recovery
from pgprovision.resources.data_directory.copy import DataDirectoryCopy, DataDirectoryFacts
from pgprovision.resources.data_directory.recovery import NO_RESULT, RestoreResult
from pgprovision.resources.data_directory.source import DataSource, PgbackrestRestore
from pgprovision.resources.pgbackrest import archive_timelines
from pgprovision.resources.pgbackrest import info as pgbackrest
from pgprovision.resources.pgbackrest.info import StanzaInfo
from pgprovision.resources.pgbackrest.restore_points import (
    RestorePlan,
    plan_restore,
    previous_backup,
)
from pgprovision.resources.system.deferred_action import deferred
from pgprovision.resources.system.disk_space import existing_parent
from pgprovision.resources.system.transient_unit import NOT_PROBED

RESTORE_UNIT = "pgprovision-restore.service"
UNMET_EXIT_CODE = 65  # sysexits' EX_DATAERR
SPARE_BYTES = 64 << 20  # in addition to the backup's size: WAL, control files


@dataclass(frozen=True, kw_only=True)
class RestoredDataDirectory(DataDirectoryCopy, WithNeeds):
    """The data of `stanza` as they were at `target`."""

    kind: ClassVar[str] = "restored data"
    unit_name: ClassVar[str] = RESTORE_UNIT
    failure_role: ClassVar[str] = "restore failed"
    stanza: str
    target: RecoveryTarget = END_OF_WAL
    """Where recovery stops."""
    archiving: bool = False
    """The server that starts with these data is the cluster's next primary, so the new timeline's
    history goes to the archive; False for a restored copy."""
    repository: int = 1
    """pgBackRest's number of the repository."""
    expected_identifier: str = ""
    """The system identifier that the repository's cluster must have; empty: any."""
    info: StanzaInfo | None = None
    """A fact: the stanza's backups."""
    plan: RestorePlan | None = None
    """Chosen from the facts: which backup to restore."""
    free_bytes: int = 0
    """A fact: free space on the disk."""
    result: RestoreResult = NO_RESULT
    """A fact: how the last restore went."""

    @property
    def name(self) -> str:
        return f"{self.instance.version}/{self.instance.name} to {self.target}"

    @property
    def source(self) -> DataSource:
        label = self.plan.backup.label if self.plan else ""
        return PgbackrestRestore(self.stanza, label, self.repository)

    @property
    def expected_identity(self) -> tuple[str, str]:
        found = self.info.system_identifier if self.info else ""
        return self.expected_identifier or found, "the repository's"

    @property
    def _repository_probes(self) -> tuple[Probe, Probe]:
        """The backups to choose from; the archive only where a target has to be found in it."""
        info = pgbackrest.info_probe(self.stanza, self.repository)
        archive = archive_timelines.archive_probe(self.stanza, self.repository)
        if not self.former_inode:
            archive = Probe(f"{self.complete_condition} && exit {NOT_PROBED}\n{archive.text}")
        return self.job.unless_running(info), self.job.unless_running(archive)

    @property
    def _free_space_probe(self) -> Probe:
        return Probe(
            f"{existing_parent(self.instance.data_directory)}\n"
            'df -B1 --output=avail "$d" | tail -n 1'
        )

    def needs(self) -> tuple[Need, ...]:
        probes = (
            self.job.probe(),
            *self._repository_probes,
            self._free_space_probe,
            recovery.result_probe(self.instance),
        )
        return tuple(Need(self.on, probe) for probe in probes)

    def resolved(self, facts: Facts) -> Self:
        """Raises InventoryError where the target is outside of what the repository has."""
        info, archive = (facts.get(self.on, probe) for probe in self._repository_probes)
        space = facts.get(self.on, self._free_space_probe)
        updated = replace(
            self,
            job_state=self.observed_job_state(facts),
            result=recovery.parse_result(facts.get(self.on, recovery.result_probe(self.instance))),
            info=pgbackrest.parse(info) if info and info.code != NOT_PROBED else None,
            free_bytes=int(space.text) if space and space.text.strip().isdigit() else 0,
        )
        answer = facts.get(self.on, self.probe())
        exists = answer is not None and isinstance(
            updated.read_data_directory(answer), DataDirectoryFacts | Waiting
        )
        stanza_info = updated.info
        if exists or stanza_info is None or stanza_info.error or not stanza_info.system_identifier:
            return updated
        if archive is None or archive.code == NOT_PROBED:
            return updated
        backups = stanza_info.backups_of(stanza_info.system_identifier)
        return replace(
            updated, plan=plan_restore(self.target, backups, archive_timelines.parse(archive))
        )

    def read(self, answer: Answer) -> State | Waiting | None:
        found = self.read_data_directory(answer)
        if isinstance(found, Waiting):
            return found
        if not isinstance(found, DataDirectoryFacts):
            self._check_free_space()
            if (
                found is not None
                and self.result.target_not_reached
                and self.result.target != str(self.target)
            ):
                return None  # another target may be tried
            return found
        if found.role == "standby":
            raise Refused(
                "the data directory is a standby's, and nothing is restored over it",
                where=self.on,
                next="pgprovision status shows the live role of each node",
            )
        expected, _ = self.expected_identity
        if expected and found.identifier != expected:
            raise Refused(
                f"the data on this host are of another cluster (system identifier"
                f" {found.identifier}; the repository's has {expected})",
                where=self.on,
                next="check the node's address, and backup.repository in cluster.yml",
            )
        return {"role": "restored", "set_aside": found.set_aside_paths}

    def _check_free_space(self) -> None:
        """Raises Refused where the data would not fit on the disk."""
        needed = self.plan.backup.database_size + SPARE_BYTES if self.plan else 0
        if self.free_bytes and needed > self.free_bytes:
            raise Refused(
                f"the restore takes {needed / 1e9:.2f} GB and {self.free_bytes / 1e9:.2f} GB"
                f" are free for {self.instance.data_directory}",
                where=self.on,
                next="use a host with a larger disk, or free space (data set aside use space, too)",
            )

    def desired(self) -> State:
        return {"role": "restored"}

    def notes(self, state: State) -> tuple[str, ...]:
        result = self.result
        if not result.backup or result.target_not_reached or not result.lsn:
            return super().notes(state)
        last = f", last transaction {result.last_transaction}" if result.last_transaction else ""
        summary = (
            f"restored from backup {result.backup} to {result.target}: timeline {result.timeline},"
            f" {result.lsn}{last}; restore {result.restore_seconds:.1f} s, recovery"
            f" {result.recovery_seconds:.1f} s"
        )
        if result.target_after_last_transaction:
            summary += (
                f"; {result.target} is later than the last transaction in the repository: what was"
                " committed between the two, if anything, had not been archived"
            )
        return (summary, *super().notes(state))

    def change(self, diff: Diff) -> Iterable[Action]:
        if diff.before is not None and self.result.target_not_reached:
            clear, message = (
                sh("systemctl", "reset-failed", RESTORE_UNIT),
                sh(self._unmet_message()),
            )
            text = f"{clear}; echo {message} >&2; exit {UNMET_EXIT_CODE}"
            yield Action(f"restore to {self.target}", text, unmet_exit_code=UNMET_EXIT_CODE)
        elif diff.before is not None:
            yield self.job.report_failure(f"the {self.source.description}")
        elif self.plan is not None:
            yield from self.start()
        elif self.info is not None and (self.info.error or not self.info.system_identifier):
            yield Action("read the backup repository", self._read_repository())
        else:
            yield deferred(
                f"restore to {self.target}", "the repository cannot be read from here yet"
            )

    def _unmet_message(self) -> str:
        before = ""
        if self.plan and self.info:
            before = previous_backup(self.plan, self.info.backups_of(self.info.system_identifier))
        begin = f"add --set {before}" if before else "there is no older one"
        return (
            f"{self.target} was not reached in the WAL after backup {self.result.backup}:"
            f" {self.result.target_not_reached}\n"
            "  already done: what was restored is not used; the next run renames it aside\n"
            f"  next: choose another target; if it is before that backup, {begin}"
        )

    def _read_repository(self) -> str:
        """Shell text that fails with the reason, such as a repository without this stanza."""
        info, check = self.info, pgbackrest.check_readable(self.stanza)
        if info is not None and info.error:
            return check
        return f"{check}\necho no such stanza: {sh(self.stanza)} >&2; exit 1"

    def before_copy(self) -> Iterator[str]:
        if self.plan is not None:
            yield from recovery.start_result_script(
                self.instance,
                target=str(self.target),
                backup=self.plan.backup.label,
                newest_wal=pgbackrest.iso_time(self.plan.newest_wal_at),
            )

    def after_copy(self) -> Iterator[str]:
        if self.plan is not None:
            yield from recovery.recovery_script(
                self.instance,
                self.stanza,
                self.target,
                self.plan.timeline,
                self.plan.last_segment,
                self.archiving,
            )
