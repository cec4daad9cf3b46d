"""A machine from nothing to provisioned, and what could go wrong with the way in: watched from
inside and from the private network."""

import shutil
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from ipaddress import ip_network

import pytest

from pgprovision.lab.command import LabError
from pgprovision.lab.manager import Lab
from pgprovision.lab.network import LabNetwork
from pgprovision.lab.process import wait_until
from pgprovision.quote import sh
from pgprovision.resources.pgbackrest import info
from tests.support.cli_user import CHECKOUT, TOP_LEVEL_KEY, CliUser, new_user
from tests.support.package_mirror import serve_mirror
from tests.support.port_scanner import PortScanner, in_private_network, on_internet

pytestmark = pytest.mark.lab

NODE, PRIVATE = "host-1", "10.0.1.2"
# An undeclared address of the private network, and a declared one.
GATEWAY, CLIENT = "10.0.0.1", "10.0.2.9"
FRIENDS = ("198.51.100.9", "2001:db8:f::9")  # outside, and on the list for SSH
OUTSIDE_ADDRESSES = ("203.0.113.7", "2001:db8:ffff::7")
SCAN = (*range(1, 1025), 5432, 9999)
CONF = "/etc/postgresql/15/main/postgresql.conf"

END = "/run/watched-to-the-end"

DEAD = """[global]
repo1-type=s3
repo1-path=/x
repo1-s3-bucket=x
repo1-s3-endpoint=localhost
repo1-storage-port={port}
repo1-s3-region=x
repo1-s3-key=x
repo1-s3-key-secret=x
repo1-s3-uri-style=path
[main]
pg1-path=/var/lib/postgresql/15/main
"""

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

    person: CliUser
    outside: Mapping[str, PortScanner]
    observed: frozenset[str]

    def shell(self, text: str) -> str:
        return self.person.shell(NODE, text)

    def reaches(self, source: str, *ports: int) -> list[int]:
        """The ports on which a connection from an address of the private network gets in."""
        return in_private_network(*private(self.person), source).open_ports(PRIVATE, ports)

    def doors(self) -> dict[str, object]:
        """Every way in, tried by those who may and those who may not."""
        v4, v6 = addresses(self.person)
        outside = zip(self.outside.values(), (v4, v6) * 2, strict=True)
        scans = [scanner.open_ports(target, SCAN) for scanner, target in outside]
        return {
            "S34": self.shell("ss -Hltn 'sport = :5432' | awk '{print $4}' | sort").split(),
            "S35": scans[:2],
            "S37 outside": scans[2:],
            "S36 and S37 inside": self.reaches(GATEWAY, 22, 5432, 9999),
            "declared": self.reaches(CLIENT, 22, 5432, 9999),
            "drops": self.shell("nft list ruleset | grep -c 'policy drop'"),
        }


DOORS = {
    "S34": [f"{PRIVATE}:5432", "127.0.0.1:5432", "[::1]:5432"],
    "S35": [[22], [22]],
    "S37 outside": [[], []],
    "S36 and S37 inside": [],
    "declared": [22, 5432],
    "drops": "1",
}


def private(person: CliUser) -> tuple[LabNetwork, int]:
    """Where the private network is to be found in the lab."""
    network = person.cloud().networks.get_by_name("host-network")
    assert network is not None
    assert network.id is not None
    return person.lab.config.network, network.id


def addresses(person: CliUser) -> tuple[str, str]:
    """The server's public ones."""
    server = person.cloud().servers.get_by_name(NODE)
    assert server
    assert server.public_net
    assert server.public_net.ipv4
    assert server.public_net.ipv6
    return str(server.public_net.ipv4.ip), str(ip_network(server.public_net.ipv6.ip)[1])


@pytest.fixture(scope="module")
def made(job_lab: Lab, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Made]:
    """`up` on nothing, from a mirror, without backups; 5432 is open to 10.0.2.0/24, SSH to the
    controller, to one address of the private network, and to `FRIENDS`."""
    home = tmp_path_factory.mktemp("host")
    person = new_user(job_lab, home, cluster="host")
    network = job_lab.config.network
    listed = ", ".join(f'"{ip_network(a)}"' for a in (network.host_address, CLIENT, *FRIENDS))
    with ExitStack() as open_till_the_end:
        mirror = open_till_the_end.enter_context(serve_mirror(job_lab, home / "mirror"))
        world = open_till_the_end.enter_context(on_internet(network, *FRIENDS, *OUTSIDE_ADDRESSES))
        shutil.copy(mirror.key, person.inventory / "mirror.asc")
        apt = f"source: pgdg\n  mirror: {mirror.url}\n  mirror_key: !file mirror.asc\n"
        person.rewrite(
            "cluster.yml",
            {
                TOP_LEVEL_KEY.format("backup"): "",
                "source: distribution.*\n": apt,
                r'ssh_source_ips: \[0\.0\.0\.0/0, "::/0"\]': f"ssh_source_ips: [{listed}]",
                r"extra_packages: \[\]": "extra_packages: [pgbackrest]",
                r"addresses: \[10\.0\.0\.0/16\]": "addresses: [10.0.2.0/24]",
            },
        )
        with person.start("up", "--yes") as running, watched(person, running, world[2]) as observed:
            _, output = running.communicate(timeout=300)
        assert running.returncode == 0, output
        yield Made(person, {who.address: who for who in world}, frozenset(observed))


@contextmanager
def watched(
    person: CliUser, running: "subprocess.Popen[str]", scanner: PortScanner
) -> Iterator[set[str]]:
    """Watches from the moment the machine is there, from within, from the private network and from
    outside; what was seen is complete at the end."""
    observed: set[str] = set()
    words: list[str] = []
    while running.poll() is None and not words:
        with suppress(LabError):
            words = person.lab.shell(NODE, ["sh", "-c", WATCH])
        time.sleep(0.05)
    if not words:
        yield observed
        return
    neighbour = in_private_network(*private(person), GATEWAY)
    with (
        neighbour.probing(PRIVATE, 5432) as nearby,
        scanner.probing(addresses(person)[0], 5432) as far,
        subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as watch,
    ):
        try:
            yield observed
        finally:
            person.console(NODE, f"touch {END}")
            assert watch.stdout
            observed.update(watch.stdout.read().split())
    observed.update(
        {f"{word} from nearby" for word in nearby}, {f"{word} from far" for word in far}
    )


@pytest.mark.covers("F57", "S38")
def test_postgres_when_it_first_listens_is_ours_and_behind_the_firewall(
    made: Made,
) -> None:
    assert made.observed == {"listening", "dialled from nearby", "dialled from far"}


@pytest.mark.covers("row:B1")
def test_packages_when_from_a_mirror_are_the_mirrors(made: Made) -> None:
    versions = made.shell("dpkg-query -W -f '${Version}\\n' postgresql-15 pgbackrest")
    assert all(version.endswith(".pgdg12+1") for version in versions.splitlines())
    assert made.shell("runuser -u postgres -- pgbackrest version") == "pgBackRest 2.55.1"


@pytest.mark.covers("row:D2")
@pytest.mark.parametrize("port", [9, 9443], ids=["closed", "silent"])
def test_pgbackrest_2_55_when_its_endpoint_is_dead_ends_with_the_reason(
    made: Made, port: int
) -> None:
    """Left to itself it tries for minutes, longer than the console waits."""
    silent = "import socket, time; s = socket.create_server(('127.0.0.1', 9443)); time.sleep(600)"
    conf = DEAD.format(port=port)
    made.shell(
        f"systemctl -q is-active silent || systemd-run -q --unit=silent python3 -c {sh(silent)}\n"
        f"printf %s {sh(conf)} >/run/dead.conf; chmod 0644 /run/dead.conf"
    )
    output = made.person.console(NODE, info.check_readable("main", "--config=/run/dead.conf"))
    assert output.returncode == 1
    assert ("localhost:9:" in output.stderr) or ("no answer from the repository" in output.stderr)


def test_up_when_repeated_finds_nothing_in_one_trip(made: Made) -> None:
    found = made.person.run_json("up")
    assert (found["changes"], found["remaining"], found["ssh_execs"]) == ([], [], {NODE: 1})


@pytest.mark.covers("S34", "S35", "S36", "S37")
def test_doors_when_tried_from_everywhere_open_as_declared(made: Made) -> None:
    """Something listens on all addresses, so that only a firewall can close it."""
    made.shell("systemd-run -q --unit=open-door python3 -m http.server 9999 --bind ::")
    assert wait_until(lambda: "9999" in made.shell("ss -Hltn"), seconds=10)
    assert made.doors() == DOORS


@pytest.mark.covers("S37")
def test_cloud_firewall_when_the_host_has_none_still_protects(made: Made) -> None:
    made.shell("nft delete table inet pgprovision")
    targets = addresses(made.person)
    reached = [
        made.outside[a].open_ports(targets[":" in a], SCAN) for a in (*FRIENDS, *OUTSIDE_ADDRESSES)
    ]
    assert made.reaches(GATEWAY, 9999) == [9999]
    assert reached == [[22], [22], [], []]
    made.person.run_json("up", "--yes")
    assert made.reaches(GATEWAY, 9999) == []


@pytest.mark.covers("B80")
def test_firewall_when_it_would_lock_out_this_session_is_refused(made: Made) -> None:
    person = made.person
    person.rewrite("cluster.yml", {"# ssh_source_ips:": "ssh_source_ips:"})
    before = made.shell("nft list ruleset")
    run = person.run("up", "--yes")
    person.rewrite("cluster.yml", {"ssh_source_ips: .203": "# ssh_source_ips: [203"})
    assert run.code == 3
    assert "lock out this session" in run.err
    assert "host.ssh_source_ips" in run.err
    assert made.shell("nft list ruleset") == before
    assert person.drift() == {}


def test_firewall_when_no_new_connection_gets_in_takes_itself_back(made: Made) -> None:
    """A template of somebody's own forgets SSH. The run ends, and the host helps itself."""
    person, own = made.person, made.person.inventory / "templates"
    own.mkdir()
    shipped = (CHECKOUT / "templates/nftables.conf.j2").read_text()
    (own / "nftables.conf.j2").write_text(shipped.replace("}} dport", "}} sport"))
    before = made.shell("nft list ruleset")
    run = person.run("up", "--yes")
    (own / "nftables.conf.j2").unlink()
    assert run.code == 5, run.err
    assert wait_until(lambda: made.shell("nft list ruleset") == before, seconds=150)
    assert person.drift() == {}


@pytest.mark.covers("row:B5", "F59")
def test_unattended_upgrade_leaves_postgres_alone_and_the_minor_is_reported(
    made: Made,
) -> None:
    old = "$(apt-cache madison postgresql-15 | awk 'END {print $3}')"
    made.shell(
        "apt-get -qq -y --allow-downgrades --allow-change-held-packages install"
        f" postgresql-15={old} postgresql-client-15={old} && apt-mark hold postgresql-15"
    )
    look = "cat /var/lib/postgresql/15/main/postmaster.pid; dpkg-query -W 'postgresql*'"
    before = made.shell(look)
    output = made.shell("unattended-upgrade -v")
    found = made.person.run_json("up")
    assert "postgresql-15 is marked to be held back" in output
    assert "postgresql-client-15 is blacklisted" in output
    assert made.shell(look) == before
    assert any("an upgrade is pending: postgresql-15" in r["text"] for r in found["notes"])


@pytest.mark.covers("row:B3")
def test_postgres_when_it_crashes_comes_back_and_when_stopped_stays_down(made: Made) -> None:
    active = "systemctl is-active postgresql@15-main || :"
    made.shell("kill -9 $(head -1 /var/lib/postgresql/15/main/postmaster.pid)")
    assert wait_until(lambda: made.shell(active) != "active", seconds=5)
    assert wait_until(lambda: made.shell(active) == "active", seconds=30)
    made.shell("pg_ctlcluster 15 main stop; sleep 6")
    assert made.shell(active) == "inactive"
    made.person.run_json("up", "--yes")


@pytest.mark.covers("F63", "S34", "S39")
def test_host_when_it_reboots_has_firewall_and_postgres_back(made: Made) -> None:
    made.shell("systemctl reboot")
    boots = "systemctl is-system-running --wait"
    assert wait_until(lambda: back(made, boots), seconds=60)
    assert made.reaches(GATEWAY, 22, 5432) == []
    assert wait_until(lambda: made.reaches(CLIENT, 5432) != [], seconds=60)
    assert made.doors() == DOORS
    assert made.person.drift() == {}


def back(made: Made, text: str) -> bool:
    """Whether the machine, off for a while, says it runs."""
    with suppress(LabError, AssertionError, subprocess.TimeoutExpired):
        return made.shell(text) == "running"
    return False
