"""Another passphrase for the backups: a stanza's cannot be changed, so a repository takes over.

A successor with a new passphrase gets everything that the first one gets; once it has a verified
full backup, the two change roles. The former one keeps its backups, and gets WAL,
until its retention has passed; then it leaves the configuration. Which step is next is read from
the inventory (repositories.yml), so the same command goes on wherever it was cut off.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import ClassVar, Literal

from pgprovision import report
from pgprovision.engine.model import Impact, Resource, Tier
from pgprovision.engine.observe import Target
from pgprovision.errors import Refused
from pgprovision.inventory.edit import repositories
from pgprovision.inventory.edit.repositories import RepositoryRotation
from pgprovision.inventory.loader.loader import load
from pgprovision.inventory.schema.cluster import Inventory, Node
from pgprovision.inventory.topology import Topology
from pgprovision.operations import backups
from pgprovision.resources.pgbackrest import verification
from pgprovision.resources.pgbackrest.verification import RepositoryVerification
from pgprovision.run.approval import Allowed, Confirmation, ShowPlan
from pgprovision.run.operation import Operation, Prepared, Run
from pgprovision.run.options import Options
from pgprovision.run.targets import Targets
from pgprovision.tasks import backup as tasks
from pgprovision.tasks import host, restored_copy
from pgprovision.tasks.context import PlanContext
from pgprovision.tasks.scope import Step

Phase = Literal["fill", "change", "kept", "end"]


@dataclass(frozen=True)
class RotationStep:
    """What is next: the inventory to bring about, and what has to be kept before. `removed_path`:
    the path of the repository that leaves with it."""

    phase: Phase
    inventory: Inventory
    pending: RepositoryRotation | None = None
    removed_path: str = ""


@dataclass
class RotateCipher(Operation):
    """`backup rotate-cipher`: a successor is filled; then, in a second run, it takes over."""

    command: ClassVar[str] = "backup rotate-cipher"
    step: RotationStep | None = None
    """What is next; read from the inventory where it is not known yet."""

    def load(self, options: Options) -> Inventory:
        self.step = self.step or next_step(load(options.inventory), utc_now())
        return self.step.inventory

    def prepare(self, inventory: Inventory, targets: Targets) -> Prepared:
        confirmation: Confirmation = ShowPlan(Impact.RELOAD)
        if self._step.phase == "change":  # it was asked for with the first part
            confirmation = Allowed(Impact.RELOAD)
        return Prepared(tiers=tiers(self._step, targets), confirmation=confirmation)

    def approved(self) -> None:
        if self._step.pending is not None:
            self._step.pending.save()

    def following(self, run: Run) -> Operation | None:
        if self._step.phase != "fill":
            return None
        step = swap_step(run.inventory, utc_now())
        if step.pending is not None:
            step.pending.save()
        return RotateCipher(step)

    def finished(self, run: Run) -> int:
        if run.succeeded:
            report.print_note(next_advice(self._step))
        return run.exit_code

    @property
    def _step(self) -> RotationStep:
        assert self.step is not None
        return self.step


def next_step(inventory: Inventory, now: datetime) -> RotationStep:
    """Raises Refused where the second repository is somebody's standing copy."""
    backup = backups.declared_backup(inventory)
    second = backup.second_repository
    if second is None:
        if not backup.archiving:
            raise Refused(
                "archiving is declared off (backup.archiving): nothing could be proven",
                done="nothing was changed",
                next="set backup.archiving to true, then: pgprovision up",
            )
        started = repositories.begin_rotation(inventory, backup, now)
        return RotationStep("fill", started.inventory(), started)
    if second.role == "successor":
        return RotationStep("fill", inventory)
    if second.role == "copy":
        raise Refused(
            "there is a standing second repository, and pgBackRest keeps both in step: a third one"
            " is not made",
            done="nothing was changed",
            next="give one of them another path and cipher_pass in cluster.yml, then: pgprovision"
            " up (it fills the new path); when that is sound, the same for the other one",
        )
    if repositories.retention_over(second.kept_until, now):
        ended = repositories.end_rotation(inventory, backup)
        return RotationStep("end", ended.inventory(), ended, removed_path=second.path)
    return RotationStep("kept", inventory)


def swap_step(inventory: Inventory, now: datetime) -> RotationStep:
    """After a successor was filled and found sound."""
    backup = backups.declared_backup(inventory)
    until = now.replace(microsecond=0) + timedelta(days=backup.retention_days)
    changed = repositories.swap_repositories(inventory, backup, until)
    return RotationStep("change", changed.inventory(), changed)


def tiers(step: RotationStep, targets: Mapping[str, Target]) -> tuple[Tier, ...]:
    """What a step brings about, on every node that has a configuration. A copy only reads."""
    inventory = step.inventory
    topology = Topology.declared(inventory)
    primary = PlanContext.declared(inventory, topology.primary)
    nodes, members, copies = inventory.nodes, inventory.members, topology.copies

    def tier(title: str, *resources: Resource) -> Tier:
        return Tier(title, resources)

    def on(nodes: Sequence[Node], step: Step) -> Iterable[Resource]:
        return (resource for node in nodes for resource in step(primary.at(node)))

    stanzas = [tasks.stanza(primary, number) for number in (1, 2)]
    fulls = [tasks.first_full_backup(primary, number) for number in (1, 2)]
    found = [
        tier("identity", *on(nodes, host.identity)),
        tier("split-brain check", *host.split_brain_check(primary)),
        tier("pgBackRest configuration", *on(members, tasks.configuration)),
        tier(
            "pgBackRest configuration of restored copies", *on(copies, restored_copy.configuration)
        ),
        *(tier(f"stanza in repository {n}", *declared) for n, declared in enumerate(stanzas, 1)),
        *(tier(f"full backup in repository {n}", *declared) for n, declared in enumerate(fulls, 1)),
    ]
    if step.phase == "fill":
        found.append(tier("integrity of the repository", _verification(inventory, targets)))
    found.append(tier("backup schedule", *on(members, tasks.schedule)))
    return tuple(one for one in found if one.resources)


def _verification(inventory: Inventory, targets: Mapping[str, Target]) -> RepositoryVerification:
    """The successor, verified after its full backup, and again where that was not sound."""
    primary = Topology.declared(inventory).primary.name
    probe = verification.verification_probe(2)
    found = verification.parse(backups.probe_answers(targets, primary, (probe,))[probe].text)
    return RepositoryVerification(
        on=primary,
        stanza=backups.declared_backup(inventory).stanza,
        repository=2,
        started_after=found.started_at if found.problems else 0,
        require_sound=True,
    )


def next_advice(step: RotationStep) -> str:
    """What a person should know after a step."""
    backup = backups.declared_backup(step.inventory)
    first, second = backup.repository, backup.second_repository
    if second is None:
        return (
            f"{step.removed_path} is no longer configured. Its objects are still in bucket"
            f" {first.bucket}: remove them by hand when nobody needs them"
        )
    source = first.cipher_pass.source if first.cipher_pass else ""
    return (
        f"backups go to {first.path} with the passphrase of {source}: keep a copy elsewhere."
        f" {second.path} is kept until {second.kept_until}; then the same command takes it out"
    )


def utc_now() -> datetime:
    """Now, in UTC."""
    return datetime.now(UTC)
