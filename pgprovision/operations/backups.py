"""Backups by hand: one now, and whether what there is is sound."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

from pgprovision import report
from pgprovision.engine.model import Answer, Impact, Probe, Tier
from pgprovision.engine.observe import Target
from pgprovision.errors import InventoryError, Refused, Unreachable
from pgprovision.inventory.schema.backup import BackupSpec
from pgprovision.inventory.schema.cluster import Inventory
from pgprovision.inventory.topology import Topology
from pgprovision.resources.pgbackrest import info as pgbackrest
from pgprovision.resources.pgbackrest import verification
from pgprovision.resources.pgbackrest.backup import OnDemandBackup
from pgprovision.resources.pgbackrest.info import StanzaInfo
from pgprovision.resources.pgbackrest.verification import RepositoryVerification
from pgprovision.run.approval import Allowed, ShowPlan
from pgprovision.run.operation import Operation, Prepared, Run
from pgprovision.run.targets import Targets
from pgprovision.tasks import host
from pgprovision.tasks.backup import info_probes, repository_argument
from pgprovision.tasks.context import PlanContext
from pgprovision.tasks.paths import instance, snapshot


@dataclass(frozen=True)
class BackupNow(Operation):
    """`backup now`: a backup of the primary, in the background."""

    command: ClassVar[str] = "backup now"
    backup_type: str
    """pgBackRest's: full, diff or incr."""
    repository: int | None = None
    """Its number; None for each that backups go to."""

    def prepare(self, inventory: Inventory, targets: Targets) -> Prepared:
        return Prepared(
            tiers=backup_now(inventory, targets, self.backup_type, self.repository),
            confirmation=ShowPlan(Impact.NONE),
        )


@dataclass(frozen=True)
class VerifyBackups(Operation):
    """`backup verify`: every file of the repositories is read. It waits for no host's lock."""

    command: ClassVar[str] = "backup verify"
    locks_hosts: ClassVar[bool] = False
    repository: int | None = None
    """Its number; None for each."""

    def prepare(self, inventory: Inventory, targets: Targets) -> Prepared:
        return Prepared(
            tiers=verify(inventory, targets, self.repository), confirmation=Allowed(Impact.NONE)
        )

    def finished(self, run: Run) -> int:
        problems = [text for r, text in run.report.notes if isinstance(r, RepositoryVerification)]
        if run.succeeded and not run.options.json:
            report.print_line(
                f"{len(problems)} problems" if problems else "no problems found in any repository"
            )
        return run.exit_code or (1 if problems else 0)


def declared_backup(inventory: Inventory) -> BackupSpec:
    """What the inventory says of backups. Raises Refused where it says nothing."""
    if inventory.backup is None:
        raise Refused(
            "the inventory has no backup:",
            done="nothing was changed",
            next="add it to cluster.yml (`pgprovision init` shows every key), then: pgprovision up",
        )
    return inventory.backup


def select_repositories(
    inventory: Inventory, repository: int | None, candidates: Sequence[int]
) -> tuple[int, ...]:
    """The repositories meant: the one that was named, or all of these. Raises InventoryError."""
    if repository is None:
        return tuple(candidates)
    if repository not in candidates:
        known = ", ".join(map(str, candidates))
        raise InventoryError(
            f"there is no repository {repository} for that", next=f"one of {known}"
        )
    return (repository,)


def backup_now(
    inventory: Inventory, targets: Mapping[str, Target], kind: str, repository: int | None
) -> tuple[Tier, ...]:
    """A backup in each of the repositories meant, one after the other. Looks at what they hold."""
    backup = declared_backup(inventory)
    numbers = select_repositories(inventory, repository, backup.backup_targets)
    if not backup.archiving:
        raise Refused(
            "archiving is declared off (backup.archiving): a backup could not be restored",
            done="nothing was changed",
            next="set backup.archiving to true, then: pgprovision up (it takes a full backup)",
        )
    primary = Topology.declared(inventory).primary
    contents = repository_contents(inventory, targets, primary.name)
    tiers = [
        Tier(
            f"backup in repository {number}",
            (
                OnDemandBackup(
                    on=primary.name,
                    stanza=backup.stanza,
                    instance=instance(inventory),
                    repository=repository_argument(backup, number),
                    snapshot=snapshot(inventory),
                    ended_after=max((b.stop for b in contents[number].backups), default=0),
                    backup_type=kind,
                ),
            ),
        )
        for number in numbers
    ]
    for number in numbers:
        if contents[number].error:
            raise Unreachable(
                f"repository {number} cannot be read: {contents[number].error}",
                where=primary.name,
                done="nothing was begun",
                next="fix the cause, then run the same command again",
            )
    return (*_identity_tiers(inventory), *tiers)


def verify(
    inventory: Inventory, targets: Mapping[str, Target], repository: int | None
) -> tuple[Tier, ...]:
    """Each selected repository, verified again."""
    backup = declared_backup(inventory)
    numbers = select_repositories(
        inventory, repository, [number for number, _ in backup.repositories]
    )
    primary = Topology.declared(inventory).primary.name
    probes = {number: verification.verification_probe(number) for number in numbers}
    answers = probe_answers(targets, primary, tuple(probes.values()))
    tiers = [
        Tier(
            f"repository {number}",
            (
                RepositoryVerification(
                    on=primary,
                    stanza=backup.stanza,
                    repository=number,
                    started_after=verification.parse(answers[probes[number]].text).started_at,
                ),
            ),
        )
        for number in numbers
    ]
    return (*_identity_tiers(inventory), *tiers)


def _identity_tiers(inventory: Inventory) -> tuple[Tier, Tier]:
    """Refused where another node than the declared primary accepts writes."""
    context = PlanContext.declared(inventory, Topology.declared(inventory).primary)
    live = host.split_brain_check(context)
    return Tier("identity", tuple(host.identity(context))), Tier("split-brain check", tuple(live))


def repository_contents(
    inventory: Inventory, targets: Mapping[str, Target], on: str
) -> dict[int, StanzaInfo]:
    """What each repository holds, as one node sees it. Raises Unreachable."""
    probes = dict(info_probes(inventory))
    answers = probe_answers(targets, on, tuple(probes.values()))
    return {number: pgbackrest.parse(answers[probe]) for number, probe in probes.items()}


def probe_answers(
    targets: Mapping[str, Target], on: str, probes: tuple[Probe, ...]
) -> Mapping[Probe, Answer]:
    """One look. Raises Unreachable where there is no machine to answer."""
    answers = targets[on].observe(probes)
    if not isinstance(answers, dict):
        raise Unreachable("it does not answer yet", where=on, next="pgprovision up")
    return answers
