"""Extensions by name: each with its package, its library, its settings and its schema."""

from collections.abc import Iterator

from pgprovision.engine.model import Resource
from pgprovision.inventory.schema.cluster import DatabaseSpec
from pgprovision.known_extensions import (
    KNOWN_EXTENSIONS,
    KnownExtension,
    creation_order,
    required_package,
)
from pgprovision.resources.postgres.catalog.extension import Extension
from pgprovision.resources.postgres.configuration.settings_sizing import ConfSection, ConfSetting
from pgprovision.tasks.context import PlanContext
from pgprovision.tasks.features.feature import Feature


class Extensions(Feature):
    """`databases.NAME.extensions` of the inventory."""

    @property
    def enabled(self) -> bool:
        return any(database.extensions for database in self.inventory.databases.values())

    def packages(self) -> tuple[str, ...]:
        version, declared = self.inventory.postgres.version, self.inventory.apt.extra_packages
        return tuple(
            package
            for known in self._known()
            if (package := required_package(known.name, version, declared))
        )

    def settings(self, context: PlanContext) -> tuple[ConfSection, ...]:
        """The settings of pg_cron: the database with its tables, and jobs that need no login."""
        database = self._database_of("pg_cron")
        if not database or context.is_copy:
            return ()
        where = ConfSetting("cron.database_name", database, "pg_cron is declared there")
        why = "pg_hba.conf lets in no job that connects by itself"
        return (
            ConfSection(
                "Extensions", (where, ConfSetting("cron.use_background_workers", True, why))
            ),
        )

    def preload_libraries(self, context: PlanContext) -> tuple[str, ...]:
        """The libraries of known extensions; a copy loads none that runs jobs."""
        return tuple(
            known.library
            for known in self._known()
            if known.library and not (known.runs_jobs and context.is_copy)
        )

    def database_contents(self, database: DatabaseSpec, context: PlanContext) -> Iterator[Resource]:
        for name in creation_order(database.extensions):
            known = KNOWN_EXTENSIONS.get(name, KnownExtension(name=name))
            yield Extension(
                on=context.on,
                snapshot=context.snapshot,
                database=database.name,
                extension=name,
                create_in=known.create_in,
                trusted_owner=database.owner,
            )

    def _known(self) -> Iterator[KnownExtension]:
        """The known ones among the declared, each once."""
        databases = self.inventory.databases.values()
        names = (n for database in databases for n in creation_order(database.extensions))
        for name in dict.fromkeys(names):
            if known := KNOWN_EXTENSIONS.get(name):
                yield known

    def _database_of(self, extension: str) -> str:
        """The first database that declares it, or nothing."""
        databases = self.inventory.databases.values()
        return next((d.name for d in databases if extension in d.extensions), "")
