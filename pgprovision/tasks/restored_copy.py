"""A copy of the database, restored from the backups onto a machine of its own.

It has the cluster's settings, ways in, roles and data, and no part in it: it archives nothing, has
no slots, follows nobody, and its pgbackrest.conf cannot back it up.
"""

from collections.abc import Iterator, Mapping
from dataclasses import replace

from pgprovision.engine.model import Resource
from pgprovision.inventory.schema.cluster import Inventory, Node
from pgprovision.recovery_target import END_OF_WAL, RecoveryTarget
from pgprovision.resources.data_directory.empty_host import EmptyHostCheck
from pgprovision.resources.data_directory.restore import RestoredDataDirectory
from pgprovision.resources.pgbackrest.configuration import PgbackrestConf
from pgprovision.resources.postgres.server.accepts_writes import AcceptsWrites
from pgprovision.tasks import backup
from pgprovision.tasks.paths import instance, snapshot


def empty_host(inventory: Inventory, node: Node) -> Iterator[Resource]:
    """Nobody else's data on that machine."""
    yield EmptyHostCheck(on=node.name, instance=instance(inventory))


def configuration(inventory: Inventory, node: Node) -> Iterator[Resource]:
    """The repository, with the key that only reads it where there is one. Without the instance no
    command of pgBackRest's backs this copy up."""
    declared_backup = inventory.backup
    if declared_backup is None:
        return
    second = declared_backup.second_repository
    read = {"repository": declared_backup.repository.with_read_key()}
    reading = declared_backup.model_copy(
        update=read | {"second_repository": second and second.with_read_key()}
    )
    for resource in backup.configuration(inventory.model_copy(update={"backup": reading}), node):
        if isinstance(resource, PgbackrestConf):
            lines = resource.text.splitlines(keepends=True)
            without_instance = (line for line in lines if not line.startswith("pg1-"))
            yield replace(resource, text="".join(without_instance))
        else:
            yield resource


def restored_data(
    inventory: Inventory, node: Node, targets: Mapping[str, RecoveryTarget]
) -> Iterator[Resource]:
    """The data; for the primary they are the cluster's next history, which is archived."""
    declared = node.restore.recovery_target() if node.restore else END_OF_WAL
    if inventory.backup is not None:
        yield RestoredDataDirectory(
            on=node.name,
            instance=instance(inventory),
            stanza=inventory.backup.stanza,
            target=targets.get(node.name, declared),
            archiving=node.is_primary and inventory.backup.archiving,
        )


def accepts_writes(inventory: Inventory, node: Node) -> Iterator[Resource]:
    """It answers, and a copy archives nothing."""
    yield AcceptsWrites(on=node.name, snapshot=snapshot(inventory), archiving=node.is_primary)
