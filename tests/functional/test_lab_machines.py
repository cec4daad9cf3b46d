"""The hypervisor on real machines: what it does to power, disk, cards and the public side."""

import json
import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from pgprovision.lab.console import enter_command
from pgprovision.lab.hypervisor import LabFirewallRule, MachineSpec, PrivateInterface
from pgprovision.lab.machines.machine_folder import LabEnvironment
from pgprovision.lab.machines.nspawn import NspawnHypervisor
from pgprovision.lab.manager import Lab
from pgprovision.lab.network import private_interface_name
from pgprovision.lab.process import wait_until
from tests.support.temporary_lab import SshLogin

pytestmark = pytest.mark.lab

FIRST, SECOND = 901, 902
SSH_ONLY = (LabFirewallRule("in", "tcp", "22", ("0.0.0.0/0", "::/0")),)
USER_DATA = """\
#cloud-config
runcmd:
- [touch, /root/user-data-ran]
"""


def seat(machine: int, network: int = 1, index: int = 0) -> PrivateInterface:
    return PrivateInterface(
        network_id=network,
        ip=f"10.{network}.1.{machine - 900}",
        network_range=f"10.{network}.0.0/16",
        gateway=f"10.{network}.0.1",
        mac=f"86:00:00:00:0{network}:0{machine - 900}",
        index=index,
    )


class Pair:
    """Two machines in one network, and how to talk to them."""

    def __init__(self, lab: Lab, login: SshLogin) -> None:
        self.site = LabEnvironment.load(lab.home)
        self.hypervisor = NspawnHypervisor(self.site, print)
        self.login = login
        self.addresses = dict(
            zip((FIRST, SECOND), reversed(self.hypervisor.public_addresses()), strict=False)
        )

    def spec(self, machine: int, user_data: str = USER_DATA) -> MachineSpec:
        key = self.login.public_key()
        address = self.addresses[machine]
        return MachineSpec(machine, f"node-{machine}", "debian-12", address, (key,), user_data)

    def boot(self, machine: int) -> None:
        self.hypervisor.start(machine, (seat(machine),))
        assert self.answers(machine)

    def answers(self, machine: int, seconds: float = 60) -> bool:
        return self.login.answers(self.addresses[machine], seconds)

    def run(self, machine: int, command: str) -> str:
        done = self.login.run(self.addresses[machine], command)
        return done.stdout + done.stderr

    def pings(self, machine: int, address: str) -> bool:
        return "1 received" in self.run(machine, f"ping -c1 -W1 {address}")

    def stops(self, machine: int) -> bool:
        return wait_until(lambda: not self.hypervisor.is_running(machine), seconds=30)


@pytest.fixture(scope="module")
def both(lab: Lab, login: SshLogin) -> Iterator[Pair]:
    made = Pair(lab, login)
    for machine in (FIRST, SECOND):
        made.hypervisor.create(made.spec(machine))
        made.hypervisor.start(machine, (seat(machine),))
    yield made
    for machine in (FIRST, SECOND):
        made.hypervisor.delete(machine)


@pytest.fixture
def pair(both: Pair) -> Pair:
    """Both on, with one card and no firewall, whatever the last test did."""
    for machine in (FIRST, SECOND):
        both.hypervisor.set_firewall(machine, None)
        both.hypervisor.detach(machine, 2)
        if not both.hypervisor.is_running(machine):
            both.hypervisor.start(machine, (seat(machine),))
        assert both.answers(machine)
    return both


def test_machine_when_booted_has_name_and_user_data(pair: Pair) -> None:
    observed = pair.run(
        FIRST, "cloud-init status --wait >&2; hostname; ls /root; systemctl --failed"
    )
    assert f"node-{FIRST}" in observed
    assert "user-data-ran" in observed
    assert "0 loaded units" in observed


def test_cards_when_booted_look_as_at_hetzner(pair: Pair) -> None:
    cards = {card["ifname"]: card for card in json.loads(pair.run(FIRST, "ip -j -4 addr"))}
    routes = pair.run(FIRST, "ip route")
    public, private = cards["eth0"], cards[private_interface_name(seat(FIRST))]
    assert (public["mtu"], private["mtu"]) == (1500, 1450)
    assert private["ifname"] == "enp7s0"
    assert all(card["addr_info"][0]["prefixlen"] == 32 for card in (public, private))
    assert "default via 172.31.1.1 dev eth0" in routes
    assert "10.1.0.0/16 via 10.1.0.1 dev enp7s0" in routes
    mac = json.loads(pair.run(FIRST, "ip -j link show enp7s0"))[0]["address"]
    assert mac == seat(FIRST).mac


def test_machine_when_it_pings_the_internet_is_refused_at_once(pair: Pair) -> None:
    assert "Net Unreachable" in pair.run(FIRST, "ping -c1 -W1 192.0.32.8")


def test_machine_when_it_resolves_the_storage_knows_its_name(pair: Pair, lab: Lab) -> None:
    assert lab.config.network.host_address in pair.run(FIRST, "getent hosts s3.lab.internal")


def test_firewall_when_set_drops_on_the_public_side_only(pair: Pair) -> None:
    pair.hypervisor.set_firewall(FIRST, SSH_ONLY)
    assert pair.answers(FIRST)
    assert not pair.pings(SECOND, pair.addresses[FIRST])
    assert pair.pings(SECOND, seat(FIRST).ip)


def test_firewall_when_empty_lets_nothing_in_and_everything_out(pair: Pair) -> None:
    pair.hypervisor.set_firewall(FIRST, ())
    assert not pair.answers(FIRST, seconds=1)
    ping = ["ping", "-c1", "-W1", pair.addresses[SECOND]]
    assert subprocess.run(enter_command(pair.site.machine(FIRST), ping)).returncode == 0
    pair.hypervisor.set_firewall(FIRST, None)
    assert pair.pings(SECOND, pair.addresses[FIRST])


def test_firewall_when_outbound_is_ruled_lets_only_that_out(pair: Pair) -> None:
    rules = (*SSH_ONLY, LabFirewallRule("out", "icmp", None, (f"{pair.addresses[SECOND]}/32",)))
    pair.hypervisor.set_firewall(FIRST, rules)
    assert pair.pings(FIRST, pair.addresses[SECOND])
    assert not pair.pings(FIRST, pair.site.network.host_address)


def test_networks_when_two_cannot_see_each_other(pair: Pair) -> None:
    pair.hypervisor.attach(FIRST, seat(FIRST, network=2, index=1))
    assert "enp8s0" in pair.run(FIRST, "ip -br link")
    assert not pair.pings(SECOND, seat(FIRST, network=2).ip)
    pair.hypervisor.attach(SECOND, seat(SECOND, network=2, index=1))
    assert pair.pings(SECOND, seat(FIRST, network=2).ip)
    pair.hypervisor.detach(FIRST, 2)
    assert "enp8s0" not in pair.run(FIRST, "ip -br link")


def test_reboot_when_requested_keeps_the_disk_and_forgets_the_kernel_state(pair: Pair) -> None:
    pair.run(FIRST, "touch /root/kept; nft add table inet forgotten; sync")
    pair.hypervisor.reboot(FIRST)
    command = "nft list tables && echo asked"
    assert wait_until(lambda: pair.run(FIRST, command) == "asked\n", seconds=60)
    assert "kept" in pair.run(FIRST, "ls /root")
    assert pair.pings(FIRST, seat(SECOND).ip)


def test_shutdown_when_requested_stays_off_until_started(pair: Pair) -> None:
    pair.hypervisor.shutdown(FIRST)
    assert pair.stops(FIRST)
    assert wait_until(lambda: not pair.site.machine(FIRST).should_be_on, seconds=10)
    pair.hypervisor.resume_all()
    assert not pair.hypervisor.is_running(FIRST)
    pair.boot(FIRST)


def test_power_when_cut_leaves_no_process(pair: Pair) -> None:
    pair.run(FIRST, "setsid sleep 4711 >/dev/null 2>&1 &")
    pair.hypervisor.power_off(FIRST)
    pair.hypervisor.power_off(FIRST)
    assert not pair.hypervisor.is_running(FIRST)
    assert "sleep 4711" not in subprocess.run(["ps", "ax"], capture_output=True, text=True).stdout
    pair.boot(FIRST)


def test_supervisor_when_killed_takes_the_machine_down_and_resume_brings_it_back(
    pair: Pair,
) -> None:
    pid = pair.site.machine(FIRST).supervisor.pid()
    assert pid
    os.kill(pid, signal.SIGKILL)
    assert pair.stops(FIRST)
    pair.hypervisor.resume_all()
    assert pair.answers(FIRST)


def test_rebuild_when_done_has_a_new_disk_and_new_user_data(pair: Pair, tmp_path: Path) -> None:
    key = tmp_path / "host"
    subprocess.run(["ssh-keygen", "-qt", "ed25519", "-N", "", "-C", "ours", "-f", key], check=True)
    private = "".join(f"    {line}\n" for line in key.read_text().splitlines())
    public = key.with_suffix(".pub").read_text().strip()
    data = f"#cloud-config\nssh_keys:\n  ed25519_private: |\n{private}  ed25519_public: {public}\n"
    pair.run(FIRST, "touch /root/old")
    pair.hypervisor.rebuild(pair.spec(FIRST, data))
    assert not pair.hypervisor.is_running(FIRST)
    pair.boot(FIRST)
    assert "old" not in pair.run(FIRST, "ls /root")
    offered = subprocess.run(
        ["ssh-keyscan", "-t", "ed25519", pair.addresses[FIRST]], capture_output=True, text=True
    )
    assert public.split()[1] in offered.stdout


def test_machine_when_deleted_leaves_nothing(pair: Pair) -> None:
    folder = pair.site.machine(FIRST)
    pair.hypervisor.delete(FIRST)
    pair.hypervisor.delete(FIRST)
    assert not folder.path.exists()
    assert not Path(f"/run/netns/{folder.name}").exists()
    pair.hypervisor.create(pair.spec(FIRST))
