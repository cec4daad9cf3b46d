"""pgBackRest to S3: configuration, stanza, first full backup, timers."""

from collections.abc import Iterator

from pgprovision.inventory.backups import Backup
from pgprovision.inventory.model import Inventory, Node
from pgprovision.model import Resource
from pgprovision.render import render
from pgprovision.resources.backup import FirstBackup
from pgprovision.resources.file import Directory, File
from pgprovision.resources.pgbackrest_conf import PgbackrestConf
from pgprovision.resources.stanza import Stanza
from pgprovision.resources.unit import Unit
from pgprovision.secret import Secret
from pgprovision.tasks.places import REPOSITORY_CA, instance


def configuration(inventory: Inventory, node: Node) -> Iterator[Resource]:
    """D1, D2: directories, the repository's CA, pgbackrest.conf for the version installed."""
    backup, on = inventory.backup, node.name
    if backup is None:
        return
    for path in ("/var/lib/pgbackrest", "/var/log/pgbackrest", "/var/spool/pgbackrest"):
        yield Directory(on=on, path=path, mode="0750", owner="postgres", group="postgres")
    if backup.repository.ca_file is not None:
        content = backup.repository.ca_file.read_text()
        yield File(on=on, path=REPOSITORY_CA, content=content)
    yield _conf(inventory, backup, node)


def first_backup(inventory: Inventory, node: Node) -> Iterator[Resource]:
    """D4: the stanza, checked, and a full backup before anybody relies on the database."""
    backup, here = inventory.backup, instance(inventory)
    if backup is not None:
        conf = _conf(inventory, backup, node)
        yield Stanza(on=node.name, conf=conf, instance=here, archiving=backup.archiving)


def full_backup(inventory: Inventory, node: Node) -> Iterator[Resource]:
    """D4, its second half: it needs the stanza."""
    backup = inventory.backup
    if backup is not None and backup.archiving:
        here = instance(inventory)
        yield FirstBackup(on=node.name, stanza=backup.stanza, instance=here)


def schedule(inventory: Inventory, node: Node) -> Iterator[Resource]:
    """D5: timers on every node; on a standby a run is skipped and says so."""
    backup, on = inventory.backup, node.name
    if backup is None:
        return
    values = {"stanza": backup.stanza, "instance": instance(inventory)}
    units = "/etc/systemd/system"
    yield File(
        on=on,
        path=f"{units}/pgbackrest-backup@.service",
        content=render("pgbackrest-backup@.service.j2", inventory.folder, **values),
    )
    calendars = {"full": backup.schedule.full, "diff": backup.schedule.differential}
    for kind, calendar in calendars.items():
        timer = f"pgbackrest-backup-{kind}.timer"
        yield File(
            on=on,
            path=f"{units}/{timer}",
            content=render(
                "pgbackrest-backup.timer.j2",
                inventory.folder,
                **values,
                type=kind,
                calendar=calendar,
                randomized_delay=backup.schedule.randomized_delay,
            ),
        )
        yield Unit(on=on, unit=timer)
        service = f"pgbackrest-backup@{kind}.service"
        yield Unit(on=on, unit=service, enabled=None, active=None)  # its file is what is loaded


def _conf(inventory: Inventory, backup: Backup, node: Node) -> PgbackrestConf:
    return PgbackrestConf(
        on=node.name,
        stanza=backup.stanza,
        text=render(
            "pgbackrest.conf.j2",
            inventory.folder,
            **dict(backup),
            repository_ca=REPOSITORY_CA if backup.repository.ca_file else "",
            instance=instance(inventory),
        ),
        secrets=_secrets(backup),
    )


def _secrets(backup: Backup) -> tuple[tuple[str, Secret], ...]:
    repository = backup.repository
    held = {
        "repo1-s3-key": repository.key,
        "repo1-s3-key-secret": repository.key_secret,
        "repo1-cipher-pass": repository.cipher_pass,
    }
    return tuple((option, secret) for option, secret in held.items() if secret is not None)
