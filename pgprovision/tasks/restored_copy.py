"""A copy of the database, restored from the backups onto a machine of its own.

It has the cluster's settings, access rules, roles and data, and is no member: it archives nothing,
has no slots, follows nobody, and its pgbackrest.conf cannot back it up.
"""

from collections.abc import Iterator

from pgprovision.engine.model import Resource
from pgprovision.resources.data_directory.empty_host import EmptyHostCheck
from pgprovision.resources.data_directory.restore import RestoredDataDirectory
from pgprovision.resources.postgres.server.accepts_writes import AcceptsWrites
from pgprovision.tasks import backup
from pgprovision.tasks.context import PlanContext


def empty_host(context: PlanContext) -> Iterator[Resource]:
    """No foreign data on that host."""
    yield EmptyHostCheck(on=context.on, instance=context.instance)


def configuration(context: PlanContext) -> Iterator[Resource]:
    """The repository, with the key that only reads it where there is one. No command of
    pgBackRest's backs this copy up."""
    declared_backup = context.inventory.backup
    if declared_backup is None:
        return
    second = declared_backup.second_repository
    read = {"repository": declared_backup.repository.with_read_key()}
    reading = declared_backup.model_copy(
        update=read | {"second_repository": second and second.with_read_key()}
    )
    yield from backup.configuration_of(context, reading, can_back_up=False)


def restored_data(context: PlanContext) -> Iterator[Resource]:
    """The restored data; those of a primary start the next timeline, which is archived."""
    backup_spec = context.inventory.backup
    if backup_spec is not None:
        yield RestoredDataDirectory(
            on=context.on,
            instance=context.instance,
            stanza=backup_spec.stanza,
            target=context.recovery_target,
            archiving=context.is_primary and backup_spec.archiving,
            former_inode=context.existing_inode,
        )


def accepts_writes(context: PlanContext) -> Iterator[Resource]:
    """PostgreSQL accepts writes; a copy archives nothing."""
    yield AcceptsWrites(on=context.on, snapshot=context.snapshot, archiving=context.is_primary)
