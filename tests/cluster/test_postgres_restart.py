"""C8: who restarts when, on a primary and a streaming replica."""

from collections.abc import Iterator

import pytest

from tests.cluster.conftest import PRIMARY, REPLICA
from tests.support.cli_user import CliUser, CommandResult

pytestmark = pytest.mark.lab

LOG = "/var/log/postgresql/postgresql-15-main.log"


@pytest.fixture
def operator(cluster: CliUser) -> Iterator[CliUser]:
    """Whatever the test declares is taken back, and the cluster with it."""
    file = cluster.inventory / "cluster.yml"
    before = file.read_text()
    yield cluster
    file.write_text(before)
    run = cluster.run("up", "--yes", "--allow", "restart")
    assert run.code == 0, run.err


def declare(person: CliUser, **settings: object) -> None:
    lines = "".join(f"\n    {name}: {value}" for name, value in settings.items())
    person.rewrite("cluster.yml", {r"(?m)^  settings:.*$": rf"\g<0>{lines}"})


def started(person: CliUser) -> dict[str, str]:
    query = "select pg_postmaster_start_time() at time zone 'utc'"
    return {node: person.sql(node, query) for node in (PRIMARY, REPLICA)}


def show(person: CliUser, name: str) -> tuple[str, str]:
    return person.sql(PRIMARY, f"show {name}"), person.sql(REPLICA, f"show {name}")


def up(person: CliUser) -> CommandResult:
    return person.run("up", "--yes", "--json", "--allow", "restart")


def restarts(run: CommandResult) -> list[str]:
    assert run.code == 0, run.out + run.err
    return [change["target"] for change in run.document["changes"] if change["impact"] == "restart"]


def count_warnings(person: CliUser) -> str:
    """What a standby says when its primary has more than it."""
    return person.shell(REPLICA, f"grep -cE 'insufficient|recovery has paused' {LOG} || true")


@pytest.mark.covers("row:C8", "F84")
def test_restart_when_not_allowed_is_shown_and_nothing_is_done(operator: CliUser) -> None:
    before = started(operator)
    declare(operator, max_connections=230)
    plan = operator.run("plan", "--json").document["changes"]
    assert {(c["target"], c["impact"]) for c in plan} == {
        (PRIMARY, "restart"),
        (REPLICA, "restart"),
    }
    run = operator.run("up", "--yes")
    assert run.code == 3
    assert "needs a restart that was not allowed" in run.err
    assert started(operator) == before
    assert "230" not in operator.shell(PRIMARY, "cat /etc/postgresql/15/main/postgresql.conf")


@pytest.mark.covers("row:C8", "F87")
def test_shared_memory_when_raised_and_lowered_moves_standby_and_primary_one_after_the_other(
    operator: CliUser,
) -> None:
    before = count_warnings(operator)
    declare(
        operator,
        max_connections=230,
        max_worker_processes=12,
        max_wal_senders=12,
        max_prepared_transactions=5,
        max_locks_per_transaction=80,
    )
    assert restarts(up(operator)) == [REPLICA, PRIMARY]
    raised = started(operator)
    assert raised[REPLICA] < raised[PRIMARY]
    assert show(operator, "max_locks_per_transaction") == ("80", "80")

    operator.rewrite("cluster.yml", {r"\n    max_(worker|prepared|locks|wal)\w+: \d+": ""})
    operator.rewrite("cluster.yml", {"max_connections: 230": "max_connections: 210"})
    assert restarts(up(operator)) == [PRIMARY, REPLICA]
    lowered = started(operator)
    assert raised[PRIMARY] < lowered[PRIMARY] < lowered[REPLICA]
    assert show(operator, "max_connections") == ("210", "210")
    assert show(operator, "max_prepared_transactions") == ("0", "0")

    assert count_warnings(operator) == before
    streaming = "select state from pg_stat_replication"
    assert operator.sql(PRIMARY, streaming) == "streaming"
    assert operator.drift() == {}


@pytest.mark.covers("F85")
def test_restart_when_it_fails_puts_the_file_back_and_leaves_the_primary(
    operator: CliUser,
) -> None:
    before = started(operator)
    conf = "sha256sum </etc/postgresql/15/main/postgresql.conf"
    files = [operator.shell(node, conf) for node in (PRIMARY, REPLICA)]
    declare(operator, shared_preload_libraries="none_such")
    run = operator.run("up", "--yes", "--allow", "restart")
    assert run.code == 5
    assert "the previous configuration is back and the server runs with it" in run.err
    assert [operator.shell(node, conf) for node in (PRIMARY, REPLICA)] == files
    assert started(operator)[PRIMARY] == before[PRIMARY]
    assert operator.sql(REPLICA, "select pg_is_in_recovery()") == "t"
