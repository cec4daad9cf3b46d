"""What all tests share: a simulator of the API, a lab with real machines."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from pgprovision.lab.manager import Lab
from tests.support.covers import (
    pytest_addoption,
    pytest_collection_modifyitems,
    pytest_configure,
    pytest_make_collect_report,
)
from tests.support.hetzner_simulator import HetznerSimulator, serve_simulator
from tests.support.temporary_lab import SshLogin, missing_prerequisite, temporary_lab

__all__ = [  # hooks
    "pytest_addoption",
    "pytest_collection_modifyitems",
    "pytest_configure",
    "pytest_make_collect_report",
]


@pytest.fixture
def sim(tmp_path: Path) -> Iterator[HetznerSimulator]:
    """A Hetzner API of the test's own, with machines that exist only in memory."""
    with serve_simulator(tmp_path / "cloud") as running:
        yield running


@pytest.fixture(scope="session")
def lab() -> Iterator[Lab]:
    """A lab with real machines, one per test process."""
    if reason := missing_prerequisite():
        pytest.skip(reason)
    with temporary_lab() as running:
        yield running


@pytest.fixture(scope="session")
def job_lab() -> Iterator[Lab]:
    """Another one, for whole clusters: those who count what their lab has stay alone."""
    if reason := missing_prerequisite():
        pytest.skip(reason)
    with temporary_lab("-job") as running:
        yield running


@pytest.fixture(scope="session")
def login(tmp_path_factory: pytest.TempPathFactory) -> SshLogin:
    """The key pair the tests' machines know."""
    ssh_login = SshLogin(tmp_path_factory.mktemp("login"))
    ssh_login.public_key()
    return ssh_login
