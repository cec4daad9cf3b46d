"""V10: at no moment do two nodes of a cluster accept writes."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.cluster.conftest import PRIMARY, REPLICA
from tests.support.cli_user import CliUser

pytestmark = pytest.mark.lab

IN_RECOVERY = "runuser -u postgres -- psql -XAtqc 'select pg_is_in_recovery()'"


@contextmanager
def sampled(person: CliUser) -> Iterator[list[frozenset[str]]]:
    """Which nodes accept writes, asked again and again."""
    over, observed = threading.Event(), list[frozenset[str]]()

    def sample() -> None:
        while not over.wait(0.1):
            nodes = (PRIMARY, REPLICA)
            observed.append(
                frozenset(n for n in nodes if person.console(n, IN_RECOVERY).stdout == "f\n")
            )

    sampler = threading.Thread(target=sample)
    sampler.start()
    try:
        yield observed
    finally:
        over.set()
        sampler.join()


@pytest.mark.covers("V10")
def test_writable_nodes_when_a_replica_is_cloned_again_and_the_run_killed_are_never_two(
    cluster: CliUser,
) -> None:
    with sampled(cluster) as observed:
        killed = cluster.run("re-clone", REPLICA, "--confirm", REPLICA, kill="2:after")
        again = cluster.run("up", REPLICA, "--yes")
    assert killed.code == -9, killed.err
    assert again.code == 0, again.err
    assert len(observed) > 20
    assert set(observed) == {frozenset({PRIMARY})}
    assert cluster.drift() == {}
