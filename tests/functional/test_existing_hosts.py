"""Hosts that exist already: given by address, through a sudo user and a jump host, without a cloud.

`old-1` is reached directly, `old-2` only by its private address, over `old-1`. `old-3` has the
release after theirs.
"""

import os
import re
import subprocess
from dataclasses import dataclass, replace
from functools import partial
from ipaddress import ip_network
from pathlib import Path

import pytest
from hcloud.images import Image
from hcloud.networks import NetworkSubnet
from hcloud.server_types import ServerType

from pgprovision.lab.manager import Lab
from pgprovision.lab.process import wait_until
from tests.support.cli_user import TOP_LEVEL_KEY, CliUser, new_user

pytestmark = pytest.mark.lab

PRIMARY, REPLICA, NEWER = "old-1", "old-2", "old-3"
PRIVATE = {PRIMARY: "10.0.7.11", REPLICA: "10.0.7.12", NEWER: "10.0.7.13"}
WRITTEN = "/etc /usr /opt /root /home /var/lib/dpkg"
HOST_KEY = "/etc/ssh/ssh_host_ed25519_key"
USERS = """\
#cloud-config
users:
- {{name: deploy, shell: /bin/bash, ssh_authorized_keys: ["{key}"], sudo: "ALL=(ALL) NOPASSWD:ALL"}}
- {{name: asked, shell: /bin/bash, ssh_authorized_keys: ["{key}"], sudo: "ALL=(ALL) ALL"}}
"""
SSH = """\
ssh:
  user: deploy
  identity_file: secrets/id_ed25519

"""


@dataclass(frozen=True)
class Old:
    """Two hosts somebody else made, and a person who was given their addresses."""

    person: CliUser
    public: dict[str, str]

    def pin(self, node: str, key: str = "") -> None:
        """Writes a host key down, as a person does who has read it on the console."""
        key = key or " ".join(self.person.shell(node, f"cat {HOST_KEY}.pub").split()[:2])
        names = f"{node},{self.public[node]}" if node == PRIMARY else node
        file = self.person.inventory / "secrets/known_hosts"
        others = file.read_text().splitlines() if file.exists() else []
        remaining = [line for line in others if not line.startswith(node)]
        file.write_text("".join(f"{line}\n" for line in [*remaining, f"{names} {key}"]))

    def describe(self, node: str, text: str) -> None:
        (self.person.inventory / "nodes" / f"{node}.yml").write_text(text)


@pytest.fixture(scope="module")
def old(job_lab: Lab, tmp_path_factory: pytest.TempPathFactory) -> Old:
    person = new_user(job_lab, tmp_path_factory.mktemp("old"), "old")
    person.rewrite(
        "cluster.yml", {TOP_LEVEL_KEY.format("hetzner"): "", TOP_LEVEL_KEY.format("ssh"): SSH}
    )
    made = Old(person, _servers(person))
    made.describe(PRIMARY, _node(made, "primary", PRIMARY, made.public[PRIMARY]))
    return made


@pytest.fixture(scope="module")
def primary(old: Old) -> Old:
    """With PostgreSQL on the first."""
    old.pin(PRIMARY)
    old.person.run_json("up", "--yes")
    return old


@pytest.fixture(scope="module")
def cluster(primary: Old) -> Old:
    """With a replica on the second."""
    jump = f"ssh: {{jump: deploy@{primary.public[PRIMARY]}}}\n"
    primary.describe(REPLICA, _node(primary, "replica", REPLICA, PRIVATE[REPLICA]) + jump)
    primary.pin(REPLICA)
    primary.person.run_json("add-replica", REPLICA, "--yes")
    return primary


@pytest.mark.covers("B103")
def test_host_key_when_unknown_is_refused_before_a_login(old: Old) -> None:
    run = old.person.run("up", "--yes")
    assert run.code == 3, run.err
    assert "the host key of old-1 is not known" in run.err
    assert f"{PRIMARY} ssh-ed25519" in run.err
    assert "Accepted publickey" not in old.person.shell(PRIMARY, "journalctl -u ssh -o cat")


@pytest.mark.covers("B104")
def test_sudo_when_it_needs_a_password_is_reported_and_nothing_written(old: Old) -> None:
    old.pin(PRIMARY)
    old.describe(
        PRIMARY, _node(old, "primary", PRIMARY, old.public[PRIMARY]) + "ssh: {user: asked}\n"
    )
    run = old.person.run("up", "--yes")
    old.describe(PRIMARY, _node(old, "primary", PRIMARY, old.public[PRIMARY]))
    assert run.code == 5
    assert "asked does not become root: sudo: a password is required" in run.err
    assert "NOPASSWD" in run.err


OURS = "ls -d /etc/pgprovision /var/lib/pgprovision /etc/postgresql-common 2>/dev/null || :"


@pytest.mark.parametrize(
    ("node", "shell", "back", "expected"),
    [
        pytest.param(
            "ssh: {user: stranger}\n",
            ":",
            ":",
            "login as stranger was refused",
            marks=pytest.mark.covers("B104"),
        ),
        pytest.param(
            "",
            "chmod 0 /usr/bin/sudo",
            "chmod 4755 /usr/bin/sudo",
            "does not become root",
            marks=pytest.mark.covers("B104"),
        ),
        pytest.param(
            "",
            "chmod 700 /home/deploy/.ssh; mv /home/deploy/.ssh /home/deploy/gone",
            "mv /home/deploy/gone /home/deploy/.ssh",
            "login as deploy was refused",
            marks=pytest.mark.covers("B103"),
        ),
    ],
    ids=["wrong user", "no sudo", "key that is not let in"],
)
def test_login_when_it_is_not_right_is_named_and_nothing_written(
    old: Old, node: str, shell: str, back: str, expected: str
) -> None:
    old.pin(PRIMARY)
    old.describe(PRIMARY, _node(old, "primary", PRIMARY, old.public[PRIMARY]) + node)
    old.person.shell(PRIMARY, shell)
    run = old.person.run("up", "--yes")
    old.person.shell(PRIMARY, back)
    old.describe(PRIMARY, _node(old, "primary", PRIMARY, old.public[PRIMARY]))
    assert run.code == 5, run.err
    assert expected in run.err
    assert "next: " in run.err
    assert old.person.shell(PRIMARY, OURS) == ""


@pytest.mark.covers("B103")
def test_key_when_it_has_a_passphrase_is_reported_without_a_prompt(old: Old) -> None:
    old.pin(PRIMARY)
    key = old.person.inventory / "secrets/id_ed25519"
    plain = key.read_bytes()
    change = ["ssh-keygen", "-q", "-p", "-P", "", "-N", "a passphrase", "-f", str(key)]
    subprocess.run(change, check=True)
    run = old.person.run("up", "--yes")
    key.write_bytes(plain)
    assert run.code == 5, run.err
    assert "the key for deploy has a passphrase" in run.err
    assert "ssh-add" in run.err


@pytest.mark.covers("B103")
def test_host_when_nobody_answers_there_is_named_and_nothing_written(old: Old) -> None:
    old.describe(PRIMARY, _node(old, "primary", PRIMARY, PRIVATE[PRIMARY]))
    run = old.person.run("up", "--yes")
    old.describe(PRIMARY, _node(old, "primary", PRIMARY, old.public[PRIMARY]))
    assert run.code in (3, 5), run.err
    assert f"{PRIMARY} ({PRIVATE[PRIMARY]}:22)" in run.err


@pytest.mark.covers("B76", "B79", "B95", "B107")
def test_host_when_it_does_not_fit_says_all_at_once_and_nothing_is_written(
    old: Old, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The two clocks are one in a lab: the controller's `date` says that it is an hour ago."""
    person = old.person
    old.pin(PRIMARY)
    old.describe(REPLICA, _node(old, "replica", REPLICA, PRIVATE[REPLICA]))
    config = person.inventory / "cluster.yml"
    before = config.read_text()
    person.rewrite("cluster.yml", {"locale: C.UTF-8": "locale: de_DE.UTF-8"})
    late = tmp_path / "date"
    late.write_text('#!/bin/sh\nexec /bin/date -d "1 hour ago" "$@"\n')
    late.chmod(0o755)
    bridge = "ip link add docker0 type bridge; ip addr add 10.0.7.9/28 dev docker0"
    squat = "systemd-run -q --unit=squatter systemd-socket-activate -l 5432 cat"
    person.shell(PRIMARY, f"{bridge}; ip link set docker0 up; {squat}")
    with monkeypatch.context() as patch:
        patch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
        runs = [person.run(*words) for words in (("plan", "primary"), ("up", "primary", "--yes"))]
    person.shell(PRIMARY, "ip link del docker0; systemctl stop squatter")
    config.write_text(before)
    (person.inventory / "nodes" / f"{REPLICA}.yml").unlink()
    for run in runs:
        assert run.code == 2, run.err
        assert "old-1: 4 problems" in run.err
        assert re.search(r"port 5432 is in use on \S+ by systemd-socket- \(pid \d+\)", run.err)
        assert re.search(r"its clock is 3\d\d\d s ahead of the controller's", run.err)
        assert "10.0.7.0/28 on interface docker0 overlaps with the node 10.0.7.12" in run.err
        assert "it has no locale de_DE.UTF-8; it has c, c.utf8" in run.err
    assert person.shell(PRIMARY, OURS) == ""


@pytest.mark.covers("row:A9")
def test_up_when_the_host_exists_already_needs_no_cloud(primary: Old) -> None:
    found = primary.person.run_json("up")
    assert (found["changes"], found["ssh_execs"], found["api_calls"]) == ([], {PRIMARY: 1}, 0)


@pytest.mark.covers("row:A9")
def test_add_replica_when_it_is_behind_a_jump_host_streams(cluster: Old) -> None:
    receiver = "select status, slot_name from pg_stat_wal_receiver"
    assert cluster.person.sql(REPLICA, receiver) == "streaming|pgprovision_old_2"
    logins = cluster.person.shell(REPLICA, "journalctl -u ssh -o cat | grep 'Accepted publickey'")
    assert set(re.findall(r"for (\w+) from (\S+)", logins)) == {("deploy", PRIVATE[PRIMARY])}


@pytest.mark.covers("row:A9")
def test_up_when_both_exist_finds_nothing_in_one_trip_each(cluster: Old) -> None:
    found = cluster.person.run_json("up")
    assert (found["changes"], found["remaining"]) == ([], [])
    assert found["ssh_execs"] == {PRIMARY: 1, REPLICA: 1}


@pytest.mark.covers("F103")
def test_host_when_of_the_next_release_is_refused_and_not_written_to(cluster: Old) -> None:
    person = cluster.person
    public = _server(person, NEWER, "debian-13")
    assert wait_until(partial(_ready, person, NEWER), seconds=120)
    cluster.describe(NEWER, _node(cluster, "replica", NEWER, public))
    cluster.pin(NEWER)
    person.shell(NEWER, "touch /run/before")
    run = person.run("add-replica", NEWER, "--yes")
    written = person.shell(NEWER, f"find {WRITTEN} -newer /run/before")
    (person.inventory / f"nodes/{NEWER}.yml").unlink()
    assert run.code == 3, run.err
    assert "a replica must be the same as its primary" in run.err
    assert "system: here debian 13, primary debian 12; libc: here 2.41, primary 2.36" in run.err
    assert f"use the primary's image for {NEWER}, or upgrade the older one" in run.err
    assert written == ""
    assert person.run_json("up")["changes"] == []


SUDOERS = "/etc/sudoers.d/90-cloud-init-users"
HOOK = "/etc/apt/apt.conf.d/99-of-the-test"


@pytest.mark.covers("F25")
@pytest.mark.parametrize(
    ("taken", "given_back"),
    [
        (
            f"sed -i '/^deploy/s/NOPASSWD://' {SUDOERS}",
            f"sed -i '/^deploy/s/ALL$/NOPASSWD:ALL/' {SUDOERS}",
        ),
        ("chmod 0 /usr/bin/sudo", "chmod 4755 /usr/bin/sudo"),
    ],
    ids=["asks for a password", "gone"],
)
def test_sudo_when_lost_midway_is_named_and_the_rerun_is_fine(
    cluster: Old, taken: str, given_back: str
) -> None:
    person = cluster.person
    hook = f'DPkg::Pre-Invoke {{"{taken}"}};'
    person.shell(PRIMARY, f"apt-get -qy remove unattended-upgrades >&2; cat >{HOOK}", hook)
    run = person.run("up", "--yes")
    person.shell(PRIMARY, f"rm {HOOK}; {given_back}")
    assert run.code == 5, run.err
    assert f"{PRIMARY} (" in run.err
    assert "deploy does not become root: " in run.err
    assert "next: let sudo ask deploy for no password" in run.err
    assert person.run_json("up", "--yes")["remaining"] == []
    assert person.run_json("up")["changes"] == []


# How a login is odd, and how it is mended.
ODD = {
    "homeless": (
        "install -m 644 /home/deploy/.ssh/authorized_keys /etc/ssh/deploy.keys\n"
        "printf 'Match User deploy\\nAuthorizedKeysFile /etc/ssh/deploy.keys\\n'"
        " >/etc/ssh/sshd_config.d/99-test.conf; mv /home/deploy /home/gone; systemctl reload ssh",
        "mv /home/gone /home/deploy; rm /etc/ssh/sshd_config.d/99-test.conf; systemctl reload ssh",
    ),
    "noisy, umask 000": (
        "sed -i '1i echo hello; echo oh >&2; printf half; umask 000' /home/deploy/.bashrc",
        "sed -i 1d /home/deploy/.bashrc",
    ),
    "umask 077, noexec /tmp": (
        "sed -i '1i umask 077' /home/deploy/.bashrc; mount -t tmpfs -o noexec,mode=1777 test /tmp",
        "sed -i 1d /home/deploy/.bashrc; umount -l /tmp",
    ),
}


@pytest.mark.covers("F27")
@pytest.mark.parametrize("way", ODD)
def test_login_when_it_is_odd_then_up_works_all_the_same(cluster: Old, way: str) -> None:
    person, (made, mended) = cluster.person, ODD[way]
    look = "stat -c '%n %a %U %G' /etc/postgresql/15/main/* /etc/apt/apt.conf.d/5*"
    before = person.shell(PRIMARY, look)
    person.shell(PRIMARY, "echo '# by hand' >>/etc/postgresql/15/main/postgresql.conf")
    person.shell(PRIMARY, f"apt-get -qy remove unattended-upgrades >&2; {made}")
    run = person.run("up", "--yes")
    again = person.run("up", "--json")
    person.shell(PRIMARY, mended)
    assert run.code == 0, run.err
    assert again.document["changes"] == []
    assert person.shell(PRIMARY, look) == before


@pytest.mark.covers("F22")
def test_host_key_when_changed_is_refused_with_both_fingerprints(cluster: Old) -> None:
    person = cluster.person
    fingerprint = f"ssh-keygen -lf {HOST_KEY}.pub | cut -d' ' -f2"
    expected = person.shell(PRIMARY, fingerprint)
    keys = f"{HOST_KEY} {HOST_KEY}.pub"
    person.shell(
        PRIMARY, f"mkdir /root/k; mv {keys} /root/k; ssh-keygen -qt ed25519 -N '' -f {HOST_KEY}"
    )
    person.shell(PRIMARY, "systemctl restart ssh")
    got = person.shell(PRIMARY, fingerprint)
    run = person.run("up", "--yes")
    person.shell(PRIMARY, "mv /root/k/* /etc/ssh/; rmdir /root/k; systemctl restart ssh")
    assert run.code == 3
    assert expected in run.err
    assert got in run.err


@pytest.mark.covers("F23", "B34")
def test_host_when_another_inventory_names_it_is_refused_and_not_written_to(
    cluster: Old,
) -> None:
    person = cluster.person
    foreign = replace(cluster, person=new_user(person.lab, person.home / "stranger", "stranger"))
    foreign.person.rewrite(
        "cluster.yml", {TOP_LEVEL_KEY.format("hetzner"): "", TOP_LEVEL_KEY.format("ssh"): SSH}
    )
    (foreign.person.inventory / "nodes/stranger-1.yml").unlink()
    secrets = foreign.person.inventory / "secrets"
    for name in ("id_ed25519", "id_ed25519.pub"):
        (secrets / name).write_bytes((person.inventory / "secrets" / name).read_bytes())
    foreign.describe(PRIMARY, _node(cluster, "primary", PRIMARY, cluster.public[PRIMARY]))
    foreign.pin(PRIMARY)
    person.shell(PRIMARY, "touch /run/before")
    run = foreign.person.run("up", "--yes")
    written = person.shell(PRIMARY, f"find {WRITTEN} -newer /run/before")
    assert run.code == 3
    assert "this machine is old-1 of cluster old, not old-1 of stranger" in run.err
    assert written == ""


def _node(old: Old, role: str, node: str, address: str) -> str:
    return f"role: {role}\nprivate_ip: {PRIVATE[node]}\naddress: {address}\n"


def _servers(person: CliUser) -> dict[str, str]:
    """Two machines in a network, made by another tool; their public addresses."""
    subnet = NetworkSubnet(type="cloud", ip_range="10.0.7.0/24", network_zone="us-east")
    person.cloud().networks.create("old", str(ip_network("10.0.0.0/16")), subnets=[subnet])
    public = {name: _server(person, name) for name in (PRIMARY, REPLICA)}
    for name in public:
        assert wait_until(partial(_ready, person, name), seconds=60)
    return public


def _server(person: CliUser, name: str, image: str = "debian-12") -> str:
    """One more in that network; its public address."""
    client = person.cloud()
    key = (person.inventory / "secrets/id_ed25519.pub").read_text().strip()
    network = client.networks.get_by_name("old")
    assert network
    made = client.servers.create(
        name,
        ServerType(name="ccx13"),
        Image(name=image),
        user_data=USERS.format(key=key),
        start_after_create=False,
    )
    for action in (made.action, *made.next_actions):
        action.wait_until_finished()
    made.server.attach_to_network(network, ip=PRIVATE[name]).wait_until_finished()
    made.server.power_on().wait_until_finished()
    found = client.servers.get_by_name(name)
    assert found
    assert found.public_net
    assert found.public_net.ipv4
    return str(found.public_net.ipv4.ip)


def _ready(person: CliUser, node: str) -> bool:
    done = "cloud-init status --wait >/dev/null; test -d /home/deploy"
    return person.console(node, done).returncode == 0
