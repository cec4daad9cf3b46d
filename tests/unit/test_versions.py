"""What depends on PostgreSQL's major version: 13 to 18 are accepted, and the machines at hand have
only 15 and 17."""

from collections.abc import Mapping
from pathlib import Path

import pytest
import yaml

from pgprovision.engine.model import Diff
from pgprovision.inventory.schema import postgres_settings
from pgprovision.quantity import GB
from pgprovision.resources.data_directory.initdb import PostgresCluster
from pgprovision.resources.postgres.configuration.settings import (
    ARCHIVE_SECTION,
    NodeSettings,
    TlsPaths,
    Upstream,
)
from pgprovision.resources.postgres.configuration.settings_sizing import ConfSection, ConfSetting
from pgprovision.resources.postgres.server.instance import Instance
from pgprovision.resources.postgres.server.snapshot import SnapshotQuery

LISTED = yaml.safe_load(
    (Path(__file__).parents[1] / "cases" / "settings-by-version.yml").read_text()
)
SINCE: Mapping[str, int] = {n: version for version, ns in LISTED["since"].items() for n in ns}
REMOVED: Mapping[str, int] = {n: version for version, ns in LISTED["removed"].items() for n in ns}
VERSIONS = range(13, 19)


def rendered(version: int) -> Mapping[str, object]:
    """Every line of a standby's postgresql.conf that archives."""
    resource = NodeSettings(
        snapshot=SnapshotQuery(Instance(version)),
        node="db-2",
        addresses=("10.0.1.3",),
        tls=TlsPaths("server.crt", "server.key", "ca.crt"),
        feature_sections=(
            ConfSection(
                ARCHIVE_SECTION,
                (ConfSetting("archive_command", "push"), ConfSetting("restore_command", "get")),
            ),
        ),
        upstream=Upstream("host=db-1", "db_2"),
        memory=8 * GB,
        cores=2,
        disk=80 * GB,
    )
    return {s.name: s.value for section in resource.sections({}) for s in section.settings}


@pytest.mark.covers("row:C1")
@pytest.mark.parametrize("version", VERSIONS)
def test_settings_when_rendered_are_all_known_to_that_version(version: int) -> None:
    names = rendered(version).keys()
    plain = {name for name in names if "." not in name}
    assert plain <= postgres_settings.SETTING_NAMES
    assert {name for name in plain if SINCE.get(name, 0) > version} == set()
    assert {name for name in plain if REMOVED.get(name, 99) <= version} == set()
    assert [name for name in names if postgres_settings.unknown_setting(name, version)] == []


def test_settings_when_listed_by_version_are_names_the_inventory_knows() -> None:
    assert set(SINCE) | set(REMOVED) <= postgres_settings.SETTING_NAMES
    left = {
        n for n, version in REMOVED.items() if postgres_settings.unknown_setting(n, version) is None
    }
    assert left == set()


@pytest.mark.covers("row:C1")
def test_values_when_a_version_has_others_are_those_it_knows() -> None:
    """lz4 came with 15; before, it is a switch."""
    assert [rendered(v)["wal_compression"] for v in (13, 14, 15, 18)] == [True, True, "lz4", "lz4"]


@pytest.mark.covers("row:B2")
@pytest.mark.parametrize(
    ("version", "checksums", "words"),
    [
        (15, True, "-- --data-checksums"),
        (15, False, ""),
        (18, True, "-- --data-checksums"),
        (18, False, "-- --no-data-checksums"),  # they are the default there
    ],
)
def test_cluster_when_made_has_checksums_as_declared_in_every_version(
    version: int, checksums: bool, words: str
) -> None:
    resource = PostgresCluster(on="db-1", instance=Instance(version), data_checksums=checksums)
    (action,) = resource.change(Diff(None, resource.desired()))
    (line,) = [line for line in action.text.splitlines() if "pg_createcluster" in line]
    assert line.partition(" main")[2].partition(" -- ")[2] == words.removeprefix("-- ")
