"""The main job, done once by each test process for all the tests in this folder.

Each step hangs on the one before, so whichever test runs first, they happen in this order.
"""

from dataclasses import dataclass, field
from typing import Any

import pytest

from pgprovision.lab.manager import Lab
from tests.support.cli_user import Person, Run, newcomer, tree

PRIMARY, REPLICA = "server-postgres-1", "server-postgres-2"
FOLDERS = "/etc /usr /opt /root /home /var/lib/pgbackrest /var/lib/dpkg /var/lib/pgprovision"


@dataclass(frozen=True)
class Step:
    """One command: how it ended, what it asked of the API, which files it wrote."""

    run: Run
    api_writes: int = 0
    written_here: list[str] = field(default_factory=list)
    written_there: str = ""

    @property
    def document(self) -> dict[str, Any]:
        return self.run.document


@pytest.fixture(scope="session")
def person(job_lab: Lab, tmp_path_factory: pytest.TempPathFactory) -> Person:
    """Somebody with the lab's inventory and nothing else yet."""
    return newcomer(job_lab, tmp_path_factory.mktemp("home"))


@pytest.fixture(scope="session")
def planned(person: Person) -> Step:
    """`plan`, when there is nothing."""
    return _step(person, "plan", "--json")


@pytest.fixture(scope="session")
def primary(person: Person, planned: Step) -> Step:
    """`up primary`, from nothing."""
    return _step(person, "up", "primary", "--yes", "--json")


@pytest.fixture(scope="session")
def primary_again(person: Person, primary: Step) -> Step:
    """`up`, when everything is there."""
    assert primary.run.code == 0, primary.run.err
    return _step(person, "up", "--json", watched=PRIMARY)


@pytest.fixture(scope="session")
def replica(person: Person, primary_again: Step) -> Step:
    """`add-replica server-postgres-2`."""
    return _step(person, "add-replica", REPLICA, "--yes", "--json")


@pytest.fixture(scope="session")
def cluster(person: Person, replica: Step) -> Person:
    """The person, with primary and replica as the inventory says."""
    assert replica.run.code == 0, replica.run.err
    return person


def _step(person: Person, *words: str, watched: str = "") -> Step:
    person.api_requests("DELETE")
    before = tree(person.home)
    if watched:
        person.shell(watched, "touch /run/before")
    run = person.run(*words)
    after = tree(person.home)
    there = f"find {FOLDERS} -newer /run/before"
    return Step(
        run,
        person.api_requests()["writes"],
        sorted(name for name in after if after[name] != before.get(name)),
        person.shell(watched, there) if watched else "",
    )
