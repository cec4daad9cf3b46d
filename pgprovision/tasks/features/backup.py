"""Backups with pgBackRest: package, archiving, configuration, stanza, first backup, timers."""

from pgprovision.inventory.schema.backup import BackupSpec
from pgprovision.quote import sh
from pgprovision.resources.data_directory.source import restore_command
from pgprovision.resources.postgres.configuration.settings import ARCHIVE_SECTION
from pgprovision.resources.postgres.configuration.settings_sizing import ConfSection, ConfSetting
from pgprovision.tasks import backup, restored_copy
from pgprovision.tasks.context import PlanContext
from pgprovision.tasks.features.feature import Feature, FeatureTier, Position


class Backup(Feature):
    """`backup:` of the inventory."""

    @property
    def enabled(self) -> bool:
        return self.inventory.backup is not None

    def packages(self) -> tuple[str, ...]:
        return ("pgbackrest",)

    def settings(self, context: PlanContext) -> tuple[ConfSection, ...]:
        """WAL is archived; a replica fetches from the archive what its primary no longer has."""
        spec = self.inventory.backup
        if spec is None or not spec.archiving or context.is_copy:
            return ()
        settings = [ConfSetting("archive_command", _archive_command(spec))]
        if context.is_standby:
            why = "what the primary does not have any more comes from the archive"
            settings.append(ConfSetting("restore_command", restore_command(spec.stanza), why))
        return (ConfSection(ARCHIVE_SECTION, tuple(settings)),)

    def timers(self) -> tuple[str, ...]:
        return tuple(f"pgbackrest-backup-{kind}.timer" for kind in backup.TIMER_TYPES)

    def tiers(self) -> tuple[FeatureTier, ...]:
        before, after = Position.BEFORE_CONFIGURATION, Position.AFTER_DATABASES
        second_backup = backup.second_first_full_backup
        return (
            FeatureTier(before, "pgBackRest configuration", "members", (backup.configuration,)),
            FeatureTier(
                before,
                "pgBackRest configuration of restored copies",
                "copies",
                (restored_copy.configuration,),
            ),
            FeatureTier(before, "archiving disabled", "primary", (backup.archiving_off,)),
            FeatureTier(after, "stanza", "primary", (backup.stanza,)),
            FeatureTier(after, "second repository's stanza", "primary", (backup.second_stanza,)),
            FeatureTier(after, "first backup", "primary", (backup.first_full_backup,)),
            FeatureTier(after, "second repository's first backup", "primary", (second_backup,)),
            FeatureTier(after, "WAL archive", "primary", (backup.archiving_on,)),
            FeatureTier(Position.SCHEDULES, "backup schedule", "members", (backup.schedule,)),
        )


def _archive_command(spec: BackupSpec) -> str:
    return sh("pgbackrest", f"--stanza={spec.stanza}", "archive-push") + " %p"
