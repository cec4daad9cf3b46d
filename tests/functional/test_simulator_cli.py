"""Debian's `hcloud` command (an old Go client) against the simulator."""

import json
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.support.hetzner_simulator import SSH_KEY, TOKEN, HetznerSimulator

Cli = Callable[..., str]


@pytest.fixture
def hcloud(sim: HetznerSimulator, tmp_path: Path) -> Iterator[Cli]:
    binary = shutil.which("hcloud")
    if binary is None:
        pytest.skip("no hcloud command: apt-get install hcloud-cli")
    environment = {
        **os.environ,
        "HOME": str(tmp_path),
        "HCLOUD_ENDPOINT": sim.endpoint,
        "HCLOUD_TOKEN": TOKEN,
        "NO_PROXY": "127.0.0.1",
    }

    def run(*words: str, code: int = 0) -> str:
        done = subprocess.run(
            [binary, "--poll-interval", "20ms", *words],
            env=environment,
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert done.returncode == code, done.stdout + done.stderr
        return done.stdout + done.stderr

    yield run


def _cluster(hcloud: Cli, tmp_path: Path) -> None:
    key = tmp_path / "key.pub"
    key.write_text(SSH_KEY)
    subnet = ("--type", "cloud", "--network-zone", "eu-central", "--ip-range", "10.0.1.0/24")
    rule = ("--direction", "in", "--protocol", "tcp", "--port", "22", "--source-ips", "0.0.0.0/0")
    hcloud("network", "create", "--name", "net", "--ip-range", "10.0.0.0/16")
    hcloud("network", "add-subnet", "net", *subnet)
    hcloud("placement-group", "create", "--name", "group", "--type", "spread")
    hcloud("firewall", "create", "--name", "wall")
    hcloud("firewall", "add-rule", "wall", *rule)
    hcloud("ssh-key", "create", "--name", "key", "--public-key-from-file", str(key))
    hcloud(
        *("server", "create", "--name", "one", "--type", "ccx13", "--image", "debian-12"),
        *("--location", "nbg1", "--ssh-key", "key", "--network", "net", "--firewall", "wall"),
        *("--placement-group", "group", "--label", "cluster=main"),
    )


def test_cli_when_a_cluster_is_made_then_everything_is_listed(
    hcloud: Cli, sim: HetznerSimulator, tmp_path: Path
) -> None:
    _cluster(hcloud, tmp_path)
    columns = "name,status,ipv4,private_net,labels,placement_group"
    listed = hcloud("server", "list", "-o", f"columns={columns}", "-l", "cluster=main")
    for text in ("one", "running", "192.0.2.10", "10.0.1.1 (net)", "cluster=main", "group"):
        assert text in listed
    described = json.loads(hcloud("server", "describe", "one", "-o", "json"))
    assert described["public_net"]["firewalls"][0]["status"] == "applied"
    for noun, name in (
        ("network", "net"),
        ("firewall", "wall"),
        ("placement-group", "group"),
        ("ssh-key", "key"),
        ("server-type", "ccx63"),
        ("location", "hel1"),
        ("image", "debian-13"),
    ):
        assert name in hcloud(noun, "list")
        assert name in hcloud(noun, "describe", name)
    for noun in ("primary-ip", "volume", "floating-ip", "load-balancer", "certificate", "iso"):
        hcloud(noun, "list")


def test_cli_when_a_server_is_changed_then_done(
    hcloud: Cli, sim: HetznerSimulator, tmp_path: Path
) -> None:
    _cluster(hcloud, tmp_path)
    hcloud("server", "poweroff", "one")
    hcloud("server", "detach-from-network", "one", "--network", "net")
    hcloud("server", "attach-to-network", "one", "--network", "net", "--ip", "10.0.1.7")
    hcloud("server", "poweron", "one")
    hcloud("server", "add-label", "one", "role=primary")
    hcloud("server", "enable-protection", "one", "delete", "rebuild")
    assert "protected" in hcloud("server", "delete", "one", code=1)
    hcloud("server", "disable-protection", "one", "delete", "rebuild")
    hcloud("server", "rebuild", "one", "--image", "debian-13")
    hcloud("firewall", "remove-from-resource", "wall", "--type", "server", "--server", "one")
    hcloud("server", "delete", "one")
    for noun, name in (("firewall", "wall"), ("network", "net"), ("placement-group", "group")):
        hcloud(noun, "delete", name)
    assert sim.machines.specs == {}
