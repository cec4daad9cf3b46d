"""Backups by hand: one now, what there is, whether it is sound."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pgprovision.engine.model import Answer, Ask, Tier
from pgprovision.engine.observe import Target
from pgprovision.errors import InventoryError, Refused, Unreachable
from pgprovision.inventory.schema.backup import Backup as Wish
from pgprovision.inventory.schema.cluster import Inventory
from pgprovision.resources.pgbackrest import info as pgbackrest
from pgprovision.resources.pgbackrest import verification
from pgprovision.resources.pgbackrest.backup import BackupNow
from pgprovision.resources.pgbackrest.info import Backup, Info
from pgprovision.resources.pgbackrest.verification import Verified
from pgprovision.tasks import host
from pgprovision.tasks.backup import infos, named
from pgprovision.tasks.paths import instance, snapshot


def wish(inventory: Inventory) -> Wish:
    """What the inventory says of backups. Raises Refused where it says nothing."""
    if inventory.backup is None:
        raise Refused(
            "the inventory has no backup:",
            done="nothing was touched",
            next="add it to cluster.yml (`pgprovision init` shows every key), then: pgprovision up",
        )
    return inventory.backup


def chosen(inventory: Inventory, repository: int | None, among: Sequence[int]) -> tuple[int, ...]:
    """The repositories meant: the one that was named, or all of these. Raises InventoryError."""
    if repository is None:
        return tuple(among)
    if repository not in among:
        known = ", ".join(map(str, among))
        raise InventoryError(
            f"there is no repository {repository} for that", next=f"one of {known}"
        )
    return (repository,)


def now(
    inventory: Inventory, targets: Mapping[str, Target], kind: str, repository: int | None
) -> tuple[Tier, ...]:
    """A backup in each of the repositories meant, one after the other. Looks at what they hold."""
    backup = wish(inventory)
    numbers = chosen(inventory, repository, backup.written)
    if not backup.archiving:
        raise Refused(
            "archiving is declared off (backup.archiving): a backup could not be restored",
            done="nothing was touched",
            next="set backup.archiving to true, then: pgprovision up (it takes a full backup)",
        )
    primary = inventory.primary
    seen = held(inventory, targets, primary.name)
    tiers = [
        Tier(
            f"backup in repository {number}",
            (
                BackupNow(
                    on=primary.name,
                    stanza=backup.stanza,
                    instance=instance(inventory),
                    repository=named(backup, number),
                    snapshot=snapshot(inventory),
                    after=max((b.stop for b in seen[number].backups), default=0),
                    backup_type=kind,
                ),
            ),
        )
        for number in numbers
    ]
    for number in numbers:
        if seen[number].trouble:
            raise Unreachable(
                f"repository {number} cannot be read: {seen[number].trouble}",
                where=primary.name,
                done="nothing was begun",
                next="mend the cause, then the same command again",
            )
    return (*_whose(inventory), *tiers)


def verify(
    inventory: Inventory, targets: Mapping[str, Target], repository: int | None
) -> tuple[Tier, ...]:
    """Each repository meant, looked through anew."""
    backup = wish(inventory)
    numbers = chosen(inventory, repository, [number for number, _ in backup.repositories])
    primary = inventory.primary.name
    asks = {number: verification.look(number) for number in numbers}
    seen = answers(targets, primary, tuple(asks.values()))
    tiers = [
        Tier(
            f"repository {number}",
            (
                Verified(
                    on=primary,
                    stanza=backup.stanza,
                    repository=number,
                    after=verification.parse(seen[asks[number]].text).begun,
                ),
            ),
        )
        for number in numbers
    ]
    return (*_whose(inventory), *tiers)


def _whose(inventory: Inventory) -> tuple[Tier, Tier]:
    identity = host.identity(inventory, inventory.primary)
    live = host.live_roles(inventory, inventory.primary)
    return Tier("identity", tuple(identity)), Tier("live roles", tuple(live))


def held(inventory: Inventory, targets: Mapping[str, Target], on: str) -> dict[int, Info]:
    """What each repository holds, as one node sees it. Raises Unreachable."""
    asks = dict(infos(inventory))
    seen = answers(targets, on, tuple(asks.values()))
    return {number: pgbackrest.parse(seen[ask]) for number, ask in asks.items()}


def answers(targets: Mapping[str, Target], on: str, asks: tuple[Ask, ...]) -> Mapping[Ask, Answer]:
    """One look. Raises Unreachable where there is no machine to answer."""
    seen = targets[on].look(asks)
    if not isinstance(seen, dict):
        raise Unreachable("it does not answer yet", where=on, next="pgprovision up")
    return seen


@dataclass(frozen=True)
class Listing:
    """What there is in the repositories, as node `on` sees it."""

    on: str
    repositories: Mapping[int, Info]

    @property
    def readable(self) -> bool:
        return not any(info.trouble for info in self.repositories.values())


def as_json(inventory: Inventory, listing: Listing) -> dict[str, Any]:
    """Version 1 of `backup list --json`."""
    return {
        "version": 1,
        "cluster": inventory.cluster,
        "stanza": wish(inventory).stanza,
        "on": listing.on,
        "repositories": [
            {
                "repository": number,
                "trouble": info.trouble or None,
                "system_identifier": info.system_identifier or None,
                "wal": {"first": info.archive.min, "last": info.archive.max},
                "running": info.running,
                "backups": [_backup(backup, info) for backup in info.backups],
            }
            for number, info in listing.repositories.items()
        ],
    }


def _backup(backup: Backup, info: Info) -> dict[str, Any]:
    return {
        "label": backup.label,
        "type": backup.type,
        "start": pgbackrest.moment(backup.start),
        "stop": pgbackrest.moment(backup.stop),
        "size": backup.size,
        "stored": backup.stored,
        "timeline": backup.timeline,
        "wal": {"first": backup.wal[0], "last": backup.wal[1]},
        "prior": backup.prior,
        "damaged": backup.damaged,
        "of_this_cluster": backup.system_identifier == info.system_identifier,
    }
