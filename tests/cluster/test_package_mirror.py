"""PGDG's shape of a repository: signed with the one key, or not used at all."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from pgprovision.engine.loop import converge
from pgprovision.engine.model import Change, Impact, Report, Tier
from pgprovision.errors import StepFailed
from pgprovision.resources.system.apt_repository import (
    KEY_FILE,
    PREFERENCE_FILE,
    SOURCE_FILE,
    AptRepository,
    pgdg_key,
)
from pgprovision.transport.host import Host
from pgprovision.transport.local import LocalConnection
from tests.cluster.conftest import REPLICA
from tests.support.cli_user import CliUser
from tests.support.package_mirror import PackageMirror, serve_mirror
from tests.support.postgres_machine import SilentObserver

pytestmark = pytest.mark.lab

FILES = f"{KEY_FILE} {SOURCE_FILE} {PREFERENCE_FILE}"


@pytest.fixture
def mirror(cluster: CliUser, tmp_path: Path) -> Iterator[PackageMirror]:
    """A whole one; afterwards the machine knows nothing of it."""
    with serve_mirror(cluster.lab, tmp_path / "mirror") as running:
        yield running
    cluster.shell(REPLICA, f"rm -f {FILES}")


def run(person: CliUser, repository: AptRepository) -> Report:
    def yes(changes: Sequence[Change]) -> Impact:
        return Impact.NONE

    wire = LocalConnection(person.lab.shell(REPLICA, ["sh", "-s"]))
    targets = {REPLICA: Host(REPLICA, lambda: wire)}
    report = converge([Tier("repository", (repository,))], targets, yes, SilentObserver())
    for error in report.failed.values():
        raise error
    return report


def of(mirror: PackageMirror) -> AptRepository:
    return AptRepository(on=REPLICA, url=mirror.url, key=mirror.key.read_text())


@pytest.mark.covers("row:B1")
def test_repository_when_sound_is_written_and_preferred(
    cluster: CliUser, mirror: PackageMirror
) -> None:
    changed = run(cluster, of(mirror)).changed
    assert len(changed) == 1
    assert not run(cluster, of(mirror)).changed
    policy = cluster.shell(REPLICA, "apt-get -qq update; apt-cache policy pgbackrest")
    assert "Candidate: 2.55.1-1.pgdg12+1" in policy
    assert (
        cluster.shell(REPLICA, "grep -L signed-by /etc/apt/sources.list.d/*pgdg*", fails=True) == ""
    )


@pytest.mark.parametrize("key", ["key", "source", "preference"])
def test_repository_when_one_key_is_broken_is_named_alone_and_repaired(
    cluster: CliUser, mirror: PackageMirror, key: str
) -> None:
    run(cluster, of(mirror))
    path = dict(zip(("key", "source", "preference"), FILES.split(), strict=True))[key]
    cluster.shell(REPLICA, f"echo broken >>{path}")
    assert [change.keys for change in run(cluster, of(mirror)).changed] == [(key,)]
    assert not run(cluster, of(mirror)).changed


def without_release(mirror: PackageMirror, tmp_path: Path) -> AptRepository:
    (mirror.suite / "InRelease").unlink()
    return of(mirror)


def unsigned(mirror: PackageMirror, tmp_path: Path) -> AptRepository:
    signed = (mirror.suite / "InRelease").read_text()
    plain = signed.partition("\n\n")[2].partition("-----BEGIN PGP SIGNATURE")[0]
    (mirror.suite / "Release").write_text(plain)
    return without_release(mirror, tmp_path)


def altered(mirror: PackageMirror, tmp_path: Path) -> AptRepository:
    index = mirror.suite / "main/binary-amd64/Packages"
    index.write_text(index.read_text().replace("pgbackrest", "pgbackresT"))
    return of(mirror)


def expired(mirror: PackageMirror, tmp_path: Path) -> AptRepository:
    mirror.resign(tmp_path / "keys", valid_seconds=-86400)
    return of(mirror)


def of_another_key(mirror: PackageMirror, tmp_path: Path) -> AptRepository:
    return AptRepository(on=REPLICA, url=mirror.url, key=pgdg_key())


@pytest.mark.covers("F56")
@pytest.mark.parametrize(
    ("spoil", "expected"),
    [
        (without_release, "does not have a Release file"),
        (unsigned, "is not signed"),
        (altered, "Hash Sum mismatch"),
        (expired, "expired"),
        (of_another_key, "NO_PUBKEY"),
    ],
)
def test_repository_when_it_cannot_be_trusted_is_refused_and_nothing_is_written(
    cluster: CliUser, mirror: PackageMirror, tmp_path: Path, spoil: object, expected: str
) -> None:
    assert callable(spoil)
    with pytest.raises(StepFailed, match=expected):
        run(cluster, spoil(mirror, tmp_path))
    assert cluster.shell(REPLICA, f"ls {FILES} 2>&- || :") == ""
