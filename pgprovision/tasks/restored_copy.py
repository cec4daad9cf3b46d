"""A copy of the database, restored from the backups onto a machine of its own.

It has the cluster's settings, ways in, roles and data, and no part in it: it archives nothing, has
no slots, follows nobody, and its pgbackrest.conf cannot back it up.
"""

from collections.abc import Iterator, Mapping
from dataclasses import replace

from pgprovision.engine.model import Resource
from pgprovision.inventory.schema.cluster import Inventory, Node
from pgprovision.recovery_target import END, Target
from pgprovision.resources.data_directory.empty_host import Vacant
from pgprovision.resources.data_directory.restore import Restored
from pgprovision.resources.pgbackrest.configuration import PgbackrestConf
from pgprovision.resources.postgres.server.accepts_writes import Writable
from pgprovision.tasks import backup
from pgprovision.tasks.paths import instance, snapshot


def vacant(inventory: Inventory, node: Node) -> Iterator[Resource]:
    """Nobody else's data on that machine."""
    yield Vacant(on=node.name, instance=instance(inventory))


def configuration(inventory: Inventory, node: Node) -> Iterator[Resource]:
    """The repository, with the key that only reads it where there is one. Without the instance no
    command of pgBackRest's backs this copy up."""
    held = inventory.backup
    if held is None:
        return
    second = held.second_repository
    read = {"repository": held.repository.for_reading()}
    reading = held.model_copy(update=read | {"second_repository": second and second.for_reading()})
    for wish in backup.configuration(inventory.model_copy(update={"backup": reading}), node):
        if isinstance(wish, PgbackrestConf):
            lines = wish.text.splitlines(keepends=True)
            kept = (line for line in lines if not line.startswith("pg1-"))
            yield replace(wish, text="".join(kept))
        else:
            yield wish


def restored(inventory: Inventory, node: Node, targets: Mapping[str, Target]) -> Iterator[Resource]:
    """The data; for the primary they are the cluster's next history, which is archived."""
    declared = node.restore.target() if node.restore else END
    if inventory.backup is not None:
        yield Restored(
            on=node.name,
            instance=instance(inventory),
            stanza=inventory.backup.stanza,
            target=targets.get(node.name, declared),
            archiving=node.is_primary and inventory.backup.archiving,
        )


def writable(inventory: Inventory, node: Node) -> Iterator[Resource]:
    """It answers, and a copy archives nothing."""
    yield Writable(on=node.name, snapshot=snapshot(inventory), archiving=node.is_primary)
