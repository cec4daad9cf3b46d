"""pgBackRest to S3: configuration, stanza, first full backup, timers."""

from collections.abc import Iterator

from pgprovision.engine.model import Probe, Resource
from pgprovision.inventory.schema.backup import BackupSpec
from pgprovision.inventory.schema.cluster import Inventory
from pgprovision.render import render
from pgprovision.resources.pgbackrest.archive_backlog import ArchiveBacklogCheck
from pgprovision.resources.pgbackrest.backup import ARCHIVING_OFF_FILE, FirstBackup
from pgprovision.resources.pgbackrest.configuration import PgbackrestConf
from pgprovision.resources.pgbackrest.info import info_probe
from pgprovision.resources.pgbackrest.stanza import Stanza
from pgprovision.resources.pgbackrest.timer_results import BackupTimerResults
from pgprovision.resources.system.file import Directory, File
from pgprovision.resources.system.unit import Unit
from pgprovision.secret import Secret
from pgprovision.tasks.context import PlanContext
from pgprovision.tasks.paths import REPOSITORY_CAS, UNIT_DIRECTORY

TIMER_TYPES = ("full", "diff")  # that have a timer


def configuration(context: PlanContext) -> Iterator[Resource]:
    """Directories, the repositories' CAs, pgbackrest.conf for the version installed."""
    if context.inventory.backup is not None:
        yield from configuration_of(context, context.inventory.backup)


def configuration_of(
    context: PlanContext, backup: BackupSpec, *, can_back_up: bool = True
) -> Iterator[Resource]:
    """Directories, CAs and pgbackrest.conf for `backup`: the inventory's, or that of a copy."""
    on = context.on
    for path in ("/var/lib/pgbackrest", "/var/log/pgbackrest", "/var/spool/pgbackrest"):
        yield Directory(on=on, path=path, mode="0750", owner="postgres", group="postgres")
    for number, repository in backup.repositories:
        if repository.ca_file is not None:
            content = repository.ca_file.read_text()
            yield File(on=on, path=REPOSITORY_CAS[number], content=content)
    yield pgbackrest_conf(context, backup, can_back_up=can_back_up)


def stanza(context: PlanContext, number: int = 1) -> Iterator[Resource]:
    """The stanza, checked by sending a WAL segment."""
    backup = context.inventory.backup
    if backup is not None and number in dict(backup.repositories):
        yield Stanza(
            on=context.on,
            conf=pgbackrest_conf(context, backup),
            instance=context.instance,
            archiving=backup.archiving,
            repository=repository_argument(backup, number),
            snapshot=context.snapshot,
        )


def second_stanza(context: PlanContext) -> Iterator[Resource]:
    """The stanza in the second repository, where there is one."""
    yield from stanza(context, number=2)


def first_full_backup(context: PlanContext, number: int = 1) -> Iterator[Resource]:
    """The first full backup: it needs the stanza."""
    backup = context.inventory.backup
    if backup is not None and backup.archiving and number in backup.backup_targets:
        yield FirstBackup(
            on=context.on,
            stanza=backup.stanza,
            instance=context.instance,
            repository=repository_argument(backup, number),
        )


def second_first_full_backup(context: PlanContext) -> Iterator[Resource]:
    """The first full backup in the second repository, where there is one."""
    yield from first_full_backup(context, number=2)


def archiving_off(context: PlanContext) -> Iterator[Resource]:
    """A file that records, before archiving is switched off, that it is off."""
    backup = context.inventory.backup
    if backup is not None and not backup.archiving:
        text = "Written by pgprovision: WAL of this time is not in the archive.\n"
        yield File(on=context.on, path=ARCHIVING_OFF_FILE, content=text)


def archiving_on(context: PlanContext) -> Iterator[Resource]:
    """Delete that file, after a full backup was taken; check the WAL archiving."""
    backup = context.inventory.backup
    if backup is not None and backup.archiving:
        yield File(on=context.on, path=ARCHIVING_OFF_FILE, content=None)
        yield ArchiveBacklogCheck(on=context.on, snapshot=context.snapshot, stanza=backup.stanza)


def schedule(context: PlanContext) -> Iterator[Resource]:
    """Timers on every node; on a standby a run is skipped and reports that. Where archiving is
    declared off the timers are stopped."""
    backup, on = context.inventory.backup, context.on
    if backup is None:
        return
    values = {"stanza": backup.stanza, "instance": context.instance}
    yield File(
        on=on,
        path=f"{UNIT_DIRECTORY}/pgbackrest-backup@.service",
        content=render(
            "pgbackrest-backup@.service.j2",
            context.inventory.folder,
            **values,
            repositories=backup.backup_targets,
        ),
    )
    calendars = {"full": backup.schedule.full, "diff": backup.schedule.differential}
    for kind, calendar in calendars.items():
        timer = f"pgbackrest-backup-{kind}.timer"
        yield File(
            on=on,
            path=f"{UNIT_DIRECTORY}/{timer}",
            content=render(
                "pgbackrest-backup.timer.j2",
                context.inventory.folder,
                **values,
                type=kind,
                calendar=calendar,
                randomized_delay=backup.schedule.randomized_delay,
            ),
        )
        yield Unit(on=on, unit=timer, enabled=backup.archiving, active=backup.archiving)
        service = f"pgbackrest-backup@{kind}.service"
        yield Unit(on=on, unit=service, enabled=None, active=None)  # its file is what is loaded
    yield BackupTimerResults(on=on, types=TIMER_TYPES)


def pgbackrest_conf(
    context: PlanContext, backup: BackupSpec, *, can_back_up: bool = True
) -> PgbackrestConf:
    """pgbackrest.conf for `backup`. Without `can_back_up` it names no instance, so no command of
    pgBackRest's can take a backup."""
    repositories = [
        {
            "number": number,
            "repository": repository,
            "ca": REPOSITORY_CAS[number] if repository.ca_file else "",
            "retention_days": backup.retention_of(number),
        }
        for number, repository in backup.repositories
    ]
    return PgbackrestConf(
        on=context.on,
        stanza=backup.stanza,
        text=render(
            "pgbackrest.conf.j2",
            context.inventory.folder,
            **dict(backup),
            repositories=repositories,
            instance=context.instance if can_back_up else None,
        ),
        secrets=_secrets(backup),
    )


def info_probes(inventory: Inventory) -> Iterator[tuple[int, Probe]]:
    """The probe of each repository, with its number."""
    backup = inventory.backup
    if backup is None:
        return
    for number, _ in backup.repositories:
        yield number, info_probe(backup.stanza, repository_argument(backup, number))


def repository_argument(backup: BackupSpec, number: int) -> int | None:
    """The number of a repository for pgBackRest's `--repo`; None where there is only one."""
    return number if len(backup.repositories) > 1 else None


def _secrets(backup: BackupSpec) -> tuple[tuple[str, Secret], ...]:
    secrets = {
        f"repo{number}-{option}": secret
        for number, repository in backup.repositories
        for option, secret in (
            ("s3-key", repository.key),
            ("s3-key-secret", repository.key_secret),
            ("cipher-pass", repository.cipher_pass),
        )
    }
    return tuple((option, secret) for option, secret in secrets.items() if secret is not None)
