"""What psql's end says about the server."""

import pytest

from pgprovision.engine.model import Answer, Waiting
from pgprovision.errors import Refused
from pgprovision.resources.postgres.server.instance import Instance
from pgprovision.resources.postgres.server.snapshot import SnapshotQuery

SNAPSHOT = SnapshotQuery(Instance(15))
SOCKET = 'connection to server on socket "/var/run/postgresql/.s.PGSQL.5432" failed: '


@pytest.mark.parametrize(
    "answer",
    [
        Answer(127, err=b"env: '/usr/lib/postgresql/15/bin/psql': No such file or directory"),
        Answer(1, err=b"setpriv: failed to parse reuid: 'postgres'"),
        Answer(2, err=(SOCKET + "No such file or directory").encode()),
        Answer(2, err=(SOCKET + "Connection refused").encode()),
        Answer(2, err=b"psql: error: could not connect to server: No such file or directory"),
    ],
)
def test_snapshot_when_no_server_runs_then_none(answer: Answer) -> None:
    assert SNAPSHOT.parse(answer) is None


@pytest.mark.parametrize("state", ["starting up", "in recovery mode", "shutting down"])
def test_snapshot_when_the_server_is_on_its_way_then_waiting(state: str) -> None:
    message = f"{SOCKET}FATAL:  the database system is {state}"
    assert isinstance(SNAPSHOT.parse(Answer(2, err=message.encode())), Waiting)


def test_snapshot_when_the_server_turns_us_away_then_refused_with_its_words() -> None:
    message = f"{SOCKET}FATAL:  sorry, too many clients already"
    with pytest.raises(Refused, match="too many clients"):
        SNAPSHOT.parse(Answer(2, err=message.encode()))


def test_snapshot_when_used_by_two_then_the_probes_are_equal() -> None:
    assert (
        SnapshotQuery(Instance(15), ("a",)).probe() == SnapshotQuery(Instance(15), ("a",)).probe()
    )
