"""The way to a machine: it drops, stalls, or the machine behind it dies."""

import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from pgprovision.engine.model import Action, Probe
from pgprovision.engine.observe import Target
from pgprovision.errors import OutcomeUnknown, Unreachable
from pgprovision.inventory.loader.loader import load
from pgprovision.lab.process import wait_until
from pgprovision.run.targets import Targets
from pgprovision.transport import host, ssh
from tests.cluster.conftest import PRIMARY, REPLICA
from tests.cluster.test_lock import BY_HAND, go_on, running, slow, under_way
from tests.support.cli_user import CliUser, wait_for

pytestmark = pytest.mark.lab
__all__ = ["slow"]  # pytest looks for fixtures among a module's names

FOLDERS = "/etc /usr /opt /root /home /var/lib/pgbackrest /var/lib/dpkg /var/lib/pgprovision"
SINCE = "tac /var/log/dpkg.log | sed '/ remove tmux/q'"
CUT = """
table inet cut {
  chain in { type filter hook input priority -300; tcp dport 22 drop; }
  chain out { type filter hook output priority -300; tcp sport 22 drop; }
}
"""


@contextmanager
def unreachable(person: CliUser, node: str) -> Iterator[None]:
    """Not a packet of SSH passes, neither of new connections nor of those that stand."""
    person.shell(node, "nft -f -", CUT)
    try:
        yield
    finally:
        person.shell(node, "nft delete table inet cut")


def power(person: CliUser, node: str, *, on: bool) -> None:
    """As the button on the machine does."""
    server = person.cloud().servers.get_by_name(node)
    assert server
    (server.power_on() if on else server.power_off()).wait_until_finished()
    if on:
        there = "systemctl is-system-running --wait >&2; systemctl is-active ssh"
        assert wait_until(lambda: person.console(node, there).returncode == 0, 60)


@pytest.mark.covers("F17")
def test_host_when_it_cannot_be_reached_then_no_host_is_changed(cluster: CliUser) -> None:
    cluster.shell(PRIMARY, f"{BY_HAND}; touch /run/before")
    with unreachable(cluster, REPLICA):
        run = cluster.run("up", "--yes")
    assert run.code == 5
    assert f"{REPLICA} (" in run.err
    assert "cannot be reached: timed out (a connection to port 22 was tried for 10 s)" in run.err
    assert "already done: nothing on any host" in run.err
    assert "by hand: ssh -p 22 root@" in run.err
    assert cluster.shell(PRIMARY, f"find {FOLDERS} -newer /run/before") == ""
    assert cluster.run_json("up", "--yes")["remaining"] == []
    assert cluster.drift() == {}


@pytest.mark.covers("F17")
def test_host_when_its_power_is_off_then_no_host_is_changed(cluster: CliUser) -> None:
    cluster.shell(PRIMARY, f"{BY_HAND}; touch /run/before")
    power(cluster, REPLICA, on=False)
    try:
        run = cluster.run("up", "--yes")
        written = cluster.shell(PRIMARY, f"find {FOLDERS} -newer /run/before")
    finally:
        power(cluster, REPLICA, on=True)
    assert run.code == 5, run.err
    assert f"{REPLICA} (" in run.err
    assert "already done: nothing on any host" in run.err
    assert "check that the server is running" in run.err
    assert written == ""
    assert cluster.run_json("up", "--yes")["remaining"] == []
    assert cluster.drift() == {}


@pytest.mark.covers("F2")
@pytest.mark.usefixtures("slow")
def test_network_when_it_drops_for_a_moment_in_mid_step_then_the_run_goes_on(
    cluster: CliUser,
) -> None:
    with running(cluster) as process:
        assert under_way(cluster)
        with unreachable(cluster, PRIMARY), unreachable(cluster, REPLICA):
            time.sleep(6)  # less than a line or the lock takes for dead
        go_on(cluster)
        run = wait_for(process)
    assert run.code == 0, run.err
    for node in (PRIMARY, REPLICA):
        assert cluster.shell(node, f"{SINCE} | grep -c ' install tmux'") == "1"


@pytest.mark.covers("F2", "F18")
@pytest.mark.usefixtures("slow")
def test_host_when_lost_in_mid_step_then_the_other_finishes_and_all_is_listed(
    cluster: CliUser,
) -> None:
    with cluster.start("up", "--yes", "--json") as process:
        assert under_way(cluster)
        with unreachable(cluster, REPLICA):
            go_on(cluster)
            run = wait_for(process)
    found = run.document
    assert run.code == 7, run.err
    assert [failed["target"] for failed in found["failed"]] == [REPLICA]
    assert "connection lost during: install tmux" in found["failed"][0]["message"]
    assert "next: run the same command again" in found["failed"][0]["message"]
    done, left = ({change["target"] for change in found[part]} for part in ("changes", "remaining"))
    assert (done, left) == ({PRIMARY}, {REPLICA})


@pytest.mark.covers("F2", "F19")
@pytest.mark.usefixtures("slow")
def test_line_when_cut_on_the_machine_then_the_step_is_not_repeated(
    cluster: CliUser,
) -> None:
    ours = "ps -eo pid,args | awk '/[s]shd: root@notty/ { print $1 }'"
    with running(cluster) as process:
        assert under_way(cluster)
        for node in (PRIMARY, REPLICA):
            cluster.shell(node, f"kill -9 $({ours})")
        go_on(cluster)
        run = wait_for(process)
    assert run.code == 0, run.err
    for node in (PRIMARY, REPLICA):
        assert cluster.shell(node, f"{SINCE} | grep -c ' install tmux'") == "1"


@pytest.mark.covers("F2")
@pytest.mark.usefixtures("slow")
def test_machine_when_its_power_is_cut_in_mid_step_then_the_next_run_finishes(
    cluster: CliUser,
) -> None:
    with running(cluster) as process:
        assert under_way(cluster)
        power(cluster, REPLICA, on=False)
        cluster.shell(PRIMARY, "rm -f /etc/apt/apt.conf.d/99-slow")
        run = wait_for(process)
        power(cluster, REPLICA, on=True)
    assert run.code == 7, run.err
    assert f"{REPLICA}: connection lost during: install tmux" in run.err


@pytest.fixture
def impatient(cluster: CliUser, monkeypatch: pytest.MonkeyPatch) -> Iterator[Target]:
    """The replica with less patience than people have."""
    for name, value in cluster.environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(ssh, "TCP_TIMEOUT_SECONDS", 3)
    monkeypatch.setattr(ssh, "KEEPALIVE_SECONDS", 1)
    monkeypatch.setattr(ssh, "CONNECT_SECONDS", 2)
    monkeypatch.setattr(host, "PROBE_SECONDS", 2.0)
    monkeypatch.setattr(host, "RECONNECT_SECONDS", 2.0)
    with Targets(load(cluster.inventory)) as targets:
        assert targets[REPLICA].observe([Probe("true")])
        yield targets[REPLICA]


@pytest.mark.covers("F21")
def test_look_when_the_link_stalls_then_ends_and_says_so(
    cluster: CliUser, impatient: Target
) -> None:
    with unreachable(cluster, REPLICA), pytest.raises(Unreachable) as caught:
        impatient.observe([Probe("true")])
    assert str(caught.value.where).startswith(REPLICA)
    assert impatient.observe([Probe("true")])


@pytest.mark.covers("F21")
def test_look_when_a_probe_hangs_then_ends_within_its_limit(impatient: Target) -> None:
    with pytest.raises(Unreachable, match="no answer within"):
        impatient.observe([Probe("sleep 20")])


@pytest.mark.covers("F21")
@pytest.mark.parametrize("size", [0, 30_000_000])
def test_step_when_the_link_stalls_then_ends_with_its_outcome_unknown(
    cluster: CliUser, impatient: Target, size: int
) -> None:
    step = Action("slow", "cat >/dev/null; sleep 20", b"x" * size, timeout=2)
    with unreachable(cluster, REPLICA), pytest.raises(OutcomeUnknown, match="during: slow"):
        impatient.act([step], lambda action: None)
