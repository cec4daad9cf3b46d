"""The main job, done once by each test process for all the tests in this folder.

Each step hangs on the one before, so whichever test runs first, they happen in this order.
"""

from dataclasses import dataclass, field
from typing import Any

import pytest

from pgprovision.lab.manager import Lab
from tests.support.cli_user import CliUser, CommandResult, file_states, new_user

PRIMARY, REPLICA = "server-postgres-1", "server-postgres-2"
WATCHED_FOLDERS = (
    "/etc /usr /opt /root /home /var/lib/pgbackrest /var/lib/dpkg /var/lib/pgprovision"
)


@dataclass(frozen=True)
class CommandStep:
    """One command: how it ended, what it asked of the API, which files it wrote."""

    run: CommandResult
    api_writes: int = 0
    controller_files: list[str] = field(default_factory=list)
    host_files: str = ""

    @property
    def document(self) -> dict[str, Any]:
        return self.run.document


@pytest.fixture(scope="session")
def person(job_lab: Lab, tmp_path_factory: pytest.TempPathFactory) -> CliUser:
    """Somebody with the lab's inventory and nothing else yet."""
    return new_user(job_lab, tmp_path_factory.mktemp("home"))


@pytest.fixture(scope="session")
def plan(person: CliUser) -> CommandStep:
    """`plan`, when there is nothing."""
    return _step(person, "plan", "--json")


@pytest.fixture(scope="session")
def primary(person: CliUser, plan: CommandStep) -> CommandStep:
    """`up primary`, from nothing."""
    return _step(person, "up", "primary", "--yes", "--json")


@pytest.fixture(scope="session")
def primary_again(person: CliUser, primary: CommandStep) -> CommandStep:
    """`up`, when everything is there."""
    assert primary.run.code == 0, primary.run.err
    return _step(person, "up", "--json", watched_node=PRIMARY)


@pytest.fixture(scope="session")
def replica(person: CliUser, primary_again: CommandStep) -> CommandStep:
    """`add-replica server-postgres-2`."""
    return _step(person, "add-replica", REPLICA, "--yes", "--json")


@pytest.fixture(scope="session")
def cluster(person: CliUser, replica: CommandStep) -> CliUser:
    """The person, with primary and replica as the inventory says."""
    assert replica.run.code == 0, replica.run.err
    return person


def _step(person: CliUser, *words: str, watched_node: str = "") -> CommandStep:
    person.api_requests("DELETE")
    before = file_states(person.home)
    if watched_node:
        person.shell(watched_node, "touch /run/before")
    run = person.run(*words)
    after = file_states(person.home)
    find_command = f"find {WATCHED_FOLDERS} -newer /run/before"
    return CommandStep(
        run,
        person.api_requests()["writes"],
        sorted(name for name in after if after[name] != before.get(name)),
        person.shell(watched_node, find_command) if watched_node else "",
    )
