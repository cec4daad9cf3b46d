"""Labs as a whole: up, down, killed, destroyed, side by side."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from hcloud import Client
from hcloud.images import Image
from hcloud.networks import NetworkSubnet
from hcloud.server_types import ServerType
from hcloud.servers import BoundServer

from pgprovision.lab import console
from pgprovision.lab.machines.machine_folder import LabEnvironment
from pgprovision.lab.manager import Lab, destroy_abandoned_labs
from pgprovision.lab.packages import PackageCache
from pgprovision.lab.process import wait_until
from pgprovision.lab.s3 import rclone_path
from tests.support.temporary_lab import SshLogin, temporary_lab

pytestmark = pytest.mark.lab


def api(lab: Lab) -> Client:
    env = lab.env()
    return Client(env["HCLOUD_TOKEN"], api_endpoint=env["HCLOUD_ENDPOINT"], poll_interval=0.1)


def server_of(lab: Lab, name: str) -> BoundServer:
    server = api(lab).servers.get_by_name(name)
    assert server
    return server


def create_server(lab: Lab, name: str, key: str) -> str:
    """A server with a private card, through the API; returns its public address."""
    client = api(lab)
    ssh_key = client.ssh_keys.get_by_name("tests") or client.ssh_keys.create("tests", key)
    subnet = NetworkSubnet(type="cloud", ip_range="10.0.1.0/24", network_zone="eu-central")
    network = client.networks.get_by_name("tests") or client.networks.create(
        "tests", "10.0.0.0/16", subnets=[subnet]
    )
    made = client.servers.create(
        name,
        ServerType(name="ccx13"),
        Image(name="debian-12"),
        ssh_keys=[ssh_key],
        networks=[network],
    )
    for action in (made.action, *made.next_actions):
        action.wait_until_finished()
    server = server_of(lab, name)
    assert server.status == "running"
    assert server.public_net
    assert server.public_net.ipv4
    return str(server.public_net.ipv4.ip)


def traces(lab_number: int) -> list[str]:
    """Namespaces, routes, links and control groups of a lab."""
    shown = (["ip", "netns"], ["ip", "route"], ["ip", "-br", "link"], ["mount"])
    lines = [
        line
        for command in shown
        for line in subprocess.run(command, capture_output=True, text=True).stdout.splitlines()
    ]
    marks = (f"pglab{lab_number} ", f"pglab{lab_number}-", f"198.18.{lab_number}.")
    groups = [str(p) for p in Path("/sys/fs/cgroup").glob(f"**/pglab{lab_number}-*")]
    return [line for line in lines if any(mark in f"{line} " for mark in marks)] + groups


def s3(lab: Lab, *words: str, **other: str) -> subprocess.CompletedProcess[str]:
    """rclone as a client of the lab's storage."""
    remote = {"RCLONE_S3_PROVIDER": "Other", "RCLONE_S3_ENV_AUTH": "true", "RCLONE_CONFIG": ""}
    env = {**os.environ, **lab.env(), **remote, **other}
    env.setdefault("RCLONE_S3_ENDPOINT", env["AWS_ENDPOINT_URL"])
    env["RCLONE_CA_CERT"] = env["AWS_CA_BUNDLE"]
    command = [rclone_path(), "--retries=1", "--low-level-retries=1", *words]
    return subprocess.run(command, env=env, capture_output=True, text=True, input="hello")


def s3_read(lab: Lab, *words: str, **other: str) -> subprocess.CompletedProcess[str]:
    """The same with the pair that only reads, at its own server."""
    env = lab.env()
    read = {
        "AWS_ACCESS_KEY_ID": env["PGPROVISION_LAB_S3_READ_KEY"],
        "AWS_SECRET_ACCESS_KEY": env["PGPROVISION_LAB_S3_READ_SECRET"],
        "RCLONE_S3_ENDPOINT": f"https://{env['PGPROVISION_LAB_S3_READ_ADDRESS']}",
    }
    return s3(lab, *words, **{**read, **other})


def test_server_when_created_through_the_api_is_a_real_machine(lab: Lab, login: SshLogin) -> None:
    address = create_server(lab, "through-api", login.public_key())
    assert login.answers(address)
    assert login.run(address, "hostname").stdout.strip() == "through-api"
    listed = {machine.name: machine for machine in lab.machines()}
    assert listed["through-api"].public_ipv4 == address
    inside = subprocess.run(lab.shell("through-api", ["hostname"]), capture_output=True, text=True)
    assert inside.stdout.strip() == "through-api"
    server_of(lab, "through-api").delete().wait_until_finished()
    assert "through-api" not in {machine.name for machine in lab.machines()}


def test_lab_when_up_again_keeps_its_processes(lab: Lab) -> None:
    before = lab.services()
    lab.up(print)
    assert lab.services() == before


def test_storage_when_signed_rightly_keeps_objects_as_files(lab: Lab) -> None:
    bucket = lab.env()["PGPROVISION_LAB_S3_BUCKET"]
    assert s3(lab, "rcat", f":s3:{bucket}/some/object").returncode == 0
    assert s3(lab, "cat", f":s3:{bucket}/some/object").stdout == "hello"
    assert (lab.home / "s3/data" / bucket / "some/object").read_text() == "hello"


def test_storage_when_signed_wrongly_refuses(lab: Lab) -> None:
    bucket = lab.env()["PGPROVISION_LAB_S3_BUCKET"]
    assert s3(lab, "lsf", f":s3:{bucket}", AWS_SECRET_ACCESS_KEY="wrong").returncode != 0


@pytest.mark.covers("S55")
def test_reading_pair_when_used_to_write_is_denied_and_changes_nothing(lab: Lab) -> None:
    bucket = lab.env()["PGPROVISION_LAB_S3_BUCKET"]
    assert s3(lab, "rcat", f":s3:{bucket}/read/object").returncode == 0
    data = lab.home / "s3/data" / bucket
    before = {path: path.stat().st_mtime_ns for path in data.rglob("*")}
    assert s3_read(lab, "cat", f":s3:{bucket}/read/object").stdout == "hello"
    for words in (
        ("rcat", f":s3:{bucket}/read/other"),
        ("rcat", f":s3:{bucket}/read/object"),
        ("deletefile", f":s3:{bucket}/read/object"),
        ("purge", f":s3:{bucket}/read"),
        ("mkdir", ":s3:another"),
    ):
        assert s3_read(lab, *words).returncode != 0, words
    assert {path: path.stat().st_mtime_ns for path in data.rglob("*")} == before
    assert not (lab.home / "s3/data/another").exists()


@pytest.mark.covers("S55")
def test_pairs_when_taken_to_the_other_server_are_refused(lab: Lab) -> None:
    env = lab.env()
    bucket = env["PGPROVISION_LAB_S3_BUCKET"]
    read = {"AWS_ACCESS_KEY_ID": env["PGPROVISION_LAB_S3_READ_KEY"]}
    read["AWS_SECRET_ACCESS_KEY"] = env["PGPROVISION_LAB_S3_READ_SECRET"]
    assert s3(lab, "lsf", f":s3:{bucket}", **read).returncode != 0
    write = {key: env[key] for key in read}
    assert s3_read(lab, "lsf", f":s3:{bucket}", **write).returncode != 0


def test_storage_secret_when_serving_is_in_no_process_list(lab: Lab) -> None:
    listed = subprocess.run(["ps", "axww"], capture_output=True, text=True).stdout
    assert lab.env()["PGPROVISION_LAB_S3_SECRET"] not in listed
    assert lab.env()["PGPROVISION_LAB_S3_READ_SECRET"] not in listed
    assert lab.env()["HCLOUD_TOKEN"] not in listed


def test_packages_when_requested_by_a_machine_come_through_the_cache(
    lab: Lab, login: SshLogin
) -> None:
    address = create_server(lab, "packages", login.public_key())
    assert login.answers(address)
    done = login.run(address, "apt-get update && apt-get install -qy --download-only tree")
    assert done.returncode == 0, done.stderr
    assert list((PackageCache.for_user().home / "cache").rglob("tree_*.deb"))


def test_lab_when_all_its_processes_are_killed_comes_up_again(login: SshLogin) -> None:
    with temporary_lab("-killed") as lab:
        address = create_server(lab, "survivor", login.public_key())
        assert login.answers(address)
        login.run(address, "touch /root/kept; sync")
        supervisors = [f.supervisor.pid() for f in LabEnvironment.load(lab.home).machines()]
        pids = [s.pid for s in lab.services() if s.name != "packages"]
        for pid in (*pids, *supervisors):
            assert pid
            os.kill(pid, signal.SIGKILL)
        assert wait_until(lambda: not lab.running, seconds=10)
        lab.up(print)
        assert login.answers(address)
        assert "kept" in login.run(address, "ls /root").stdout
        assert [server.status for server in api(lab).servers.get_all()] == ["running"]


def test_lab_when_down_has_no_trace_on_the_host_and_resumes(login: SshLogin) -> None:
    with temporary_lab("-down") as lab:
        address = create_server(lab, "resumed", login.public_key())
        assert login.answers(address)
        lab.down(print)
        assert traces(lab.config.number) == []
        assert all(s.pid is None for s in lab.services() if s.name != "packages")
        lab.up(print)
        assert login.answers(address)
        number, home = lab.config.number, lab.home
    assert traces(number) == []
    assert not home.exists()


def test_labs_when_side_by_side_share_ranges_and_do_not_meet(lab: Lab, login: SshLogin) -> None:
    with temporary_lab("-other") as other:
        here = create_server(lab, "here", login.public_key())
        there = create_server(other, "there", login.public_key())
        assert login.answers(here)
        assert login.answers(there)
        assert "Unreachable" in login.run(here, f"ping -c1 -W1 {there}").stdout
        listed = {m.name: m.private_ipv4[0] for x in (lab, other) for m in x.machines()}
        assert listed["here"].startswith("10.0.1.")
        assert listed["there"].startswith("10.0.1.")
        assert [s.name for s in api(other).servers.get_all()] == ["there"]


def test_temporary_lab_when_its_process_is_killed_is_cleared_by_the_next() -> None:
    script = """
import sys, os, time
from pgprovision.lab.manager import Lab
lab = Lab(f"test-{os.getpid()}", temporary=True)
lab.up(lambda line: None)
print(lab.name, lab.config.number, flush=True)
time.sleep(600)
"""
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True) as run:
        assert run.stdout
        name, number = run.stdout.readline().split()
        run.kill()
    assert Lab(name).running
    destroy_abandoned_labs(print)
    assert not Lab(name).home.exists()
    assert traces(int(number)) == []


def test_shell_when_the_machine_is_off_says_so(lab: Lab, login: SshLogin) -> None:
    create_server(lab, "sleeper", login.public_key())
    server_of(lab, "sleeper").power_off().wait_until_finished()
    folder = next(f for f in LabEnvironment.load(lab.home).machines() if f.spec().name == "sleeper")
    with pytest.raises(Exception, match="sleeper is off"):
        console.enter_command(folder, [])
