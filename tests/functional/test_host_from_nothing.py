"""A machine from nothing to provisioned, and what could go wrong with the way in: watched from
inside and from the private network."""

import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass

import pytest

from pgprovision.lab.command import LabError
from pgprovision.lab.manager import Lab
from pgprovision.lab.process import wait_until
from tests.mirror import serving
from tests.person import BLOCK, CHECKOUT, Person, newcomer

pytestmark = pytest.mark.lab

NODE, PRIVATE = "host-1", "10.0.1.2"
GATEWAY, CLIENT = "10.0.0.1", "10.0.2.9"  # a stranger of the private network, and a declared one
CONF = "/etc/postgresql/15/main/postgresql.conf"

END = "/run/watched-to-the-end"

# Every 50 ms: is anything listening on 5432, and behind what?
WATCH = f"""\
while sleep 0.05; [ ! -e {END} ]; do
  [ -n "$(ss -Hltn 'sport = :5432')" ] || continue
  nft list table inet pgprovision 2>&1 | grep -q 'policy drop' || echo open
  grep -q '^# Written whole by pgprovision' {CONF} || echo early
  echo listening
done
"""


@dataclass(frozen=True)
class Made:
    """The machine, and what was seen on its port 5432 while it was made."""

    person: Person
    seen: frozenset[str]

    def shell(self, text: str) -> str:
        return self.person.shell(NODE, text)

    def reaches(self, source: str, port: int) -> bool:
        """Whether a connection from an address of the private network gets in."""
        network = self.person.cloud().networks.get_by_name("host-network")
        assert network is not None and network.id is not None
        space = self.person.lab.config.network.private(network.id)
        dial = f"import socket; socket.create_connection(('{PRIVATE}', {port}), 1, ('{source}', 0))"
        words = ["ip", "netns", "exec", space]
        subprocess.run([*words, "ip", "addr", "replace", f"{source}/32", "dev", "lo"], check=True)
        done = subprocess.run([*words, "python3", "-c", dial], capture_output=True)
        return done.returncode == 0


@pytest.fixture(scope="module")
def made(job_lab: Lab, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Made]:
    """`up` on nothing, from a mirror, without backups; 5432 is open to 10.0.2.0/24."""
    home = tmp_path_factory.mktemp("host")
    person = newcomer(job_lab, home, cluster="host")
    with serving(job_lab, home / "mirror") as mirror:
        shutil.copy(mirror.key, person.inventory / "mirror.asc")
        apt = f"source: pgdg\n  mirror: {mirror.url}\n  mirror_key: !file mirror.asc\n"
        person.rewrite(
            "cluster.yml",
            {
                BLOCK.format("backup"): "",
                "source: distribution.*\n": apt,
                r"extra_packages: \[\]": "extra_packages: [pgbackrest]",
                r"addresses: \[10\.0\.0\.0/16\]": "addresses: [10.0.2.0/24]",
            },
        )
        with person.begin("up", "--yes") as running, watched(person, running) as seen:
            _, said = running.communicate(timeout=300)
        assert running.returncode == 0, said
        yield Made(person, frozenset(seen))


@contextmanager
def watched(person: Person, running: "subprocess.Popen[str]") -> Iterator[set[str]]:
    """Watches from the moment the machine is there; what was seen is complete at the end."""
    seen: set[str] = set()
    words: list[str] = []
    while running.poll() is None and not words:
        with suppress(LabError):
            words = person.lab.shell(NODE, ["sh", "-c", WATCH])
        time.sleep(0.05)
    with subprocess.Popen(words or ["true"], stdout=subprocess.PIPE, text=True) as watch:
        try:
            yield seen
        finally:
            person.console(NODE, f"touch {END}")
            assert watch.stdout
            seen.update(watch.stdout.read().split())


def test_F57_S38_postgres_when_it_first_listens_is_ours_and_behind_the_firewall(
    made: Made,
) -> None:
    assert made.seen == {"listening"}


def test_B1_packages_when_from_a_mirror_are_the_mirrors(made: Made) -> None:
    versions = made.shell("dpkg-query -W -f '${Version}\\n' postgresql-15 pgbackrest")
    assert all(version.endswith(".pgdg12+1") for version in versions.splitlines())
    assert made.shell("runuser -u postgres -- pgbackrest version") == "pgBackRest 2.55.1"


def test_up_when_repeated_finds_nothing_in_one_trip(made: Made) -> None:
    found = made.person.done("up")
    assert (found["changes"], found["left"], found["trips"]) == ([], [], {NODE: 1})


def test_S36_stranger_on_the_private_network_is_stopped_and_a_declared_range_is_not(
    made: Made,
) -> None:
    assert not made.reaches(GATEWAY, 5432)
    assert made.reaches(CLIENT, 5432)
    assert made.reaches(GATEWAY, 22)


def test_B80_firewall_when_it_would_shut_out_this_session_is_refused(made: Made) -> None:
    person = made.person
    person.rewrite("cluster.yml", {"# ssh_source_ips:": "ssh_source_ips:"})
    before = made.shell("nft list ruleset")
    run = person.run("up", "--yes")
    person.rewrite("cluster.yml", {"ssh_source_ips: .203": "# ssh_source_ips: [203"})
    assert run.code == 3
    assert "shut out this very session" in run.err
    assert "host.ssh_source_ips" in run.err
    assert made.shell("nft list ruleset") == before
    assert person.drift() == {}


def test_firewall_when_no_new_connection_gets_in_takes_itself_back(made: Made) -> None:
    """A template of somebody's own forgets SSH. The run waits, as the machine is young."""
    person, own = made.person, made.person.inventory / "templates"
    own.mkdir()
    shipped = (CHECKOUT / "templates/nftables.conf.j2").read_text()
    (own / "nftables.conf.j2").write_text(shipped.replace("}} dport", "}} sport"))
    before = made.shell("nft list ruleset")
    run = person.run("up", "--yes")
    (own / "nftables.conf.j2").unlink()
    assert run.code == 5, run.err
    assert made.shell("nft list ruleset") == before
    assert person.drift() == {}


def test_F59_unattended_upgrade_leaves_postgres_alone_and_the_minor_is_reported(
    made: Made,
) -> None:
    old = "$(apt-cache madison postgresql-15 | awk 'END {print $3}')"
    made.shell(
        "apt-get -qq -y --allow-downgrades --allow-change-held-packages install"
        f" postgresql-15={old} postgresql-client-15={old} && apt-mark hold postgresql-15"
    )
    look = "cat /var/lib/postgresql/15/main/postmaster.pid; dpkg-query -W 'postgresql*'"
    before = made.shell(look)
    said = made.shell("unattended-upgrade -v")
    found = made.person.done("up")
    assert "postgresql-15 is marked to be held back" in said
    assert "postgresql-client-15 is blacklisted" in said
    assert made.shell(look) == before
    assert any("an upgrade is pending: postgresql-15" in r["text"] for r in found["remarks"])


def test_B3_postgres_when_it_crashes_comes_back_and_when_stopped_stays_down(made: Made) -> None:
    active = "systemctl is-active postgresql@15-main || :"
    made.shell("kill -9 $(head -1 /var/lib/postgresql/15/main/postmaster.pid)")
    assert wait_until(lambda: made.shell(active) != "active", seconds=5)
    assert wait_until(lambda: made.shell(active) == "active", seconds=30)
    made.shell("pg_ctlcluster 15 main stop; sleep 6")
    assert made.shell(active) == "inactive"
    made.person.done("up", "--yes")


def test_F63_S39_host_when_it_reboots_has_firewall_and_postgres_back(made: Made) -> None:
    made.shell("systemctl reboot")
    boots = "systemctl is-system-running --wait"
    assert wait_until(lambda: back(made, boots), seconds=60)
    assert made.shell("nft list ruleset | grep -c 'policy drop'") == "1"
    assert not made.reaches(GATEWAY, 5432)
    assert wait_until(lambda: made.reaches(CLIENT, 5432), seconds=60)
    assert made.person.drift() == {}


def back(made: Made, text: str) -> bool:
    """Whether the machine, off for a while, says it runs."""
    with suppress(LabError, AssertionError, subprocess.TimeoutExpired):
        return made.shell(text) == "running"
    return False
