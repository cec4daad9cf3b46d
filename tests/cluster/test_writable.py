"""V10: at no moment do two nodes of a cluster accept writes."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.cluster.conftest import PRIMARY, REPLICA
from tests.support.cli_user import CliUser

pytestmark = pytest.mark.lab

ASK = "runuser -u postgres -- psql -XAtqc 'select pg_is_in_recovery()'"


@contextmanager
def sampled(person: CliUser) -> Iterator[list[frozenset[str]]]:
    """Which nodes accept writes, asked again and again."""
    over, seen = threading.Event(), list[frozenset[str]]()

    def ask() -> None:
        while not over.wait(0.1):
            nodes = (PRIMARY, REPLICA)
            seen.append(frozenset(n for n in nodes if person.console(n, ASK).stdout == "f\n"))

    asking = threading.Thread(target=ask)
    asking.start()
    try:
        yield seen
    finally:
        over.set()
        asking.join()


@pytest.mark.covers("V10")
def test_writable_nodes_when_a_replica_is_cloned_again_and_the_run_killed_are_never_two(
    cluster: CliUser,
) -> None:
    with sampled(cluster) as seen:
        killed = cluster.run("re-clone", REPLICA, "--confirm", REPLICA, kill="2:after")
        again = cluster.run("up", REPLICA, "--yes")
    assert killed.code == -9, killed.err
    assert again.code == 0, again.err
    assert len(seen) > 20
    assert set(seen) == {frozenset({PRIMARY})}
    assert cluster.drift() == {}
