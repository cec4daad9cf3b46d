"""Another passphrase for the backups: a stanza's cannot be changed, so a repository takes over.

A successor with a new passphrase gets everything that the first one gets; once a full backup lies
in it and was looked through, the two change roles. The former one keeps its backups, and gets WAL,
until its retention has passed; then it leaves the configuration. Which step is next is read from
the inventory (repositories.yml), so the same command goes on wherever it was cut off.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Literal

from pgprovision.engine.model import Resource, Tier
from pgprovision.engine.observe import Target
from pgprovision.errors import Refused
from pgprovision.inventory.edit import repositories
from pgprovision.inventory.edit.repositories import Rotation
from pgprovision.inventory.schema.cluster import Inventory, Node
from pgprovision.operations import backups
from pgprovision.resources.pgbackrest import verification
from pgprovision.resources.pgbackrest.verification import Verified
from pgprovision.tasks import backup as tasks
from pgprovision.tasks import host

Phase = Literal["fill", "change", "kept", "end"]


@dataclass(frozen=True)
class Step:
    """What is next: the inventory to bring about, and what has to be kept before. `gone`: the path
    of the repository that leaves with it."""

    phase: Phase
    inventory: Inventory
    kept: Rotation | None = None
    gone: str = ""


def next_step(inventory: Inventory, now: datetime) -> Step:
    """Raises Refused where the second repository is somebody's standing copy."""
    backup = backups.wish(inventory)
    second = backup.second_repository
    if second is None:
        if not backup.archiving:
            raise Refused(
                "archiving is declared off (backup.archiving): nothing could be proven",
                done="nothing was touched",
                next="set backup.archiving to true, then: pgprovision up",
            )
        begun = repositories.begun(inventory, backup, now)
        return Step("fill", begun.inventory(), begun)
    if second.duty == "successor":
        return Step("fill", inventory)
    if second.duty == "copy":
        raise Refused(
            "there is a standing second repository, and pgBackRest keeps both in step: a third one"
            " is not made",
            done="nothing was touched",
            next="give one of them another path and cipher_pass in cluster.yml, then: pgprovision"
            " up (it fills the new path); when that is sound, the same for the other one",
        )
    if repositories.over(second.kept_until, now):
        ended = repositories.ended(inventory, backup)
        return Step("end", ended.inventory(), ended, gone=second.path)
    return Step("kept", inventory)


def change(inventory: Inventory, now: datetime) -> Step:
    """After a successor was filled and found sound."""
    backup = backups.wish(inventory)
    until = now.replace(microsecond=0) + timedelta(days=backup.retention_days)
    changed = repositories.changed(inventory, backup, until)
    return Step("change", changed.inventory(), changed)


def tiers(step: Step, targets: Mapping[str, Target]) -> tuple[Tier, ...]:
    """What a step brings about, on every node that has a configuration."""
    inventory = step.inventory
    nodes, primary = inventory.nodes, inventory.primary

    def tier(title: str, *wishes: Resource) -> Tier:
        return Tier(title, wishes)

    def on_all(task: Callable[[Inventory, Node], Iterable[Resource]]) -> Iterable[Resource]:
        return (wish for node in nodes for wish in task(inventory, node))

    stanzas = [tasks.first_backup(inventory, primary, number) for number in (1, 2)]
    fulls = [tasks.full_backup(inventory, primary, number) for number in (1, 2)]
    found = [
        tier("identity", *on_all(host.identity)),
        tier("live roles", *host.live_roles(inventory, primary)),
        tier("backup configuration", *on_all(tasks.configuration)),
        *(tier(f"stanza in repository {n}", *wishes) for n, wishes in enumerate(stanzas, 1)),
        *(tier(f"full backup in repository {n}", *wishes) for n, wishes in enumerate(fulls, 1)),
    ]
    if step.phase == "fill":
        found.append(tier("sound", _sound(inventory, targets)))
    found.append(tier("backup schedule", *on_all(tasks.schedule)))
    return tuple(one for one in found if one.resources)


def _sound(inventory: Inventory, targets: Mapping[str, Target]) -> Verified:
    """The successor, looked through after its full backup, and anew where that was not sound."""
    primary = inventory.primary.name
    ask = verification.look(2)
    found = verification.parse(backups.answers(targets, primary, (ask,))[ask].text)
    return Verified(
        on=primary,
        stanza=backups.wish(inventory).stanza,
        repository=2,
        after=found.begun if found.problems else 0,
        must_be_sound=True,
    )


def told(step: Step) -> str:
    """What a person should know after a step."""
    backup = backups.wish(step.inventory)
    first, second = backup.repository, backup.second_repository
    if second is None:
        return (
            f"{step.gone} is in no configuration any more. Its objects are still in bucket"
            f" {first.bucket}: remove them by hand when nobody needs them"
        )
    source = first.cipher_pass.source if first.cipher_pass else ""
    return (
        f"backups go to {first.path} with the passphrase of {source}: keep a copy elsewhere."
        f" {second.path} is kept until {second.kept_until}; then the same command takes it out"
    )


def today() -> datetime:
    """Now, in UTC."""
    return datetime.now(UTC)
