"""Extensions that the declared package source does not have, or that exclude each other."""

from pgprovision.inventory.problems import KeyPath, Problems, join_words
from pgprovision.inventory.schema.cluster import Inventory
from pgprovision.known_extensions import (
    DEBIAN_RELEASES,
    KNOWN_EXTENSIONS,
    in_debian,
    required_package,
)

CRON_DATABASE = "cron.database_name"


def check_extensions(inventory: Inventory) -> Problems:
    """Packages, extensions that work in one database only, the settings that have to agree."""
    databases: dict[str, str] = {}  # of an extension that works in one alone
    for name, database in inventory.databases.items():
        for i, extension in enumerate(database.extensions):
            at: KeyPath = ("databases", name, "extensions", i)
            yield from _package(inventory, at, extension)
            known = KNOWN_EXTENSIONS.get(extension)
            if known is None or not known.one_database:
                continue
            first = databases.setdefault(extension, name)
            if first != name:
                yield (
                    at,
                    f"{extension} works in one database of a server, and is in {first} already",
                )
    yield from _cron_database(inventory, databases.get("pg_cron"))


def _package(inventory: Inventory, at: KeyPath, extension: str) -> Problems:
    """The distribution has no package, and people name none that brings it."""
    version, apt = inventory.postgres.version, inventory.apt
    needed = required_package(extension, version, apt.extra_packages)
    if needed and apt.source == "distribution" and not in_debian(extension, version):
        names = KNOWN_EXTENSIONS[extension].packages(version)
        yield (
            at,
            f"{DEBIAN_RELEASES[version]} has no package for {extension}; expected"
            f" `apt: {{source: pgdg}}`, or {join_words(names)} of another repository in"
            " apt.extra_packages",
        )


def _cron_database(inventory: Inventory, declared: str | None) -> Problems:
    """What people wrote for pg_cron's database is the database that has the extension."""
    for name, value in inventory.postgres.settings.items():
        if name.lower() == CRON_DATABASE and declared and value != declared:
            text = f"pg_cron is declared in {declared}; expected its name, or no such line"
            yield ("postgres", "settings", name), text, f"{name}: {declared}"
