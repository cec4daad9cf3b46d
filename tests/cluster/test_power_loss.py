"""F80: what a run reported as done is there after the power fails in the very next moment.

The machine's /etc, PostgreSQL's data and our own folder are put on a disk of their own (an ext4
image behind a loop device). When the run has ended, the image is copied as it is: what its kernel
had not yet written is not in the copy, as after a power cut. A file that nobody synced shows that.
"""

import json
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from pgprovision.lab.config import lab_home
from pgprovision.lab.machines.machine_folder import LabEnvironment
from pgprovision.lab.machines.supervisor import init_pid
from tests.cluster.conftest import PRIMARY, REPLICA
from tests.support.cli_user import CliUser

pytestmark = pytest.mark.lab

FOLDERS = ("/etc", "/var/lib/postgresql", "/var/lib/pgprovision")
SERVICE = "postgresql@15-main.service"
SLOT = "pgprovision_server_postgres_2"
CONF = "/etc/postgresql/15/main/postgresql.conf"
MARKER, CLAIM = "/etc/pgprovision/marker.json", "/etc/pgprovision/claim.json"
DISK = "/run/disk"
DEVICE = "/dev/of-the-test"  # /run allows none


def here(*words: str) -> str:
    return subprocess.run(words, check=True, capture_output=True, text=True).stdout.strip()


@contextmanager
def mounted(image: Path, on: Path) -> Iterator[Path]:
    """An image's files, once its journal was replayed."""
    on.mkdir()
    here("mount", "-o", "loop", str(image), str(on))
    try:
        yield on
    finally:
        here("umount", str(on))


@contextmanager
def on_a_disk(person: CliUser, image: Path) -> Iterator[None]:
    """The folders on this image, with PostgreSQL running from it; afterwards back in their places,
    with what became of them."""
    machines = LabEnvironment.load(lab_home(person.lab.name)).machines()
    (pid,) = [init_pid(m) for m in machines if m.spec().name == PRIMARY]
    inside = ("nsenter", "-t", str(pid), "-m", "-p", "sh", "-ec")
    with image.open("wb") as file:
        file.truncate(1 << 30)
    here("mkfs.ext4", "-q", str(image))
    device = here("losetup", "-f", "--show", str(image))
    number = device.removeprefix("/dev/loop")
    flat = {folder: f"{DISK}/{folder.replace('/', '_')}" for folder in FOLDERS}
    there = [f"mkdir -p {DISK}; mknod {DEVICE} b 7 {number}; mount {DEVICE} {DISK}"]
    there += [f"cp -a {folder} {copied}" for folder, copied in flat.items()]
    there += [f"mount --bind {copied} {folder}" for folder, copied in flat.items()]
    back = [f"mountpoint -q {FOLDERS[-1]} || exit 0"]
    back += [f"umount -l {folder}" for folder in reversed(FOLDERS)]
    back += [f"rm -rf {f}/*; cp -a {flat[f]}/. {f}" for f in FOLDERS[1:]]
    start = f"systemctl reset-failed {SERVICE}; systemctl start {SERVICE}"
    person.shell(PRIMARY, f"systemctl stop {SERVICE}")
    try:
        here(*inside, "\n".join(there))
        person.shell(PRIMARY, start)
        yield
    finally:
        person.shell(PRIMARY, f"systemctl stop {SERVICE}")
        here(*inside, "\n".join(back))
        here(*inside, f"umount -l {DISK} || :; rm -f {DEVICE}")
        here("losetup", "-d", device)
        person.shell(PRIMARY, start)


@pytest.mark.covers("F80")
def test_run_when_the_power_fails_right_after_its_end_then_what_it_did_is_on_disk(
    cluster: CliUser, tmp_path: Path
) -> None:
    image, cut = tmp_path / "disk.img", tmp_path / "cut.img"
    with ExitStack() as stack:
        stack.enter_context(on_a_disk(cluster, image))
        cluster.shell(REPLICA, f"systemctl stop {SERVICE}")
        cluster.sql(PRIMARY, f"select pg_drop_replication_slot('{SLOT}')")
        claim = json.dumps({"cluster": "hcb-lab", "node": PRIMARY})
        by_hand = f"echo '# by hand' >>{CONF}; cat >{CLAIM}; rm {MARKER}; sync"
        cluster.shell(PRIMARY, by_hand, claim)
        run = cluster.run("up", "--yes")
        cluster.shell(PRIMARY, "echo never synced >/etc/unsynced")
        here("cp", "--sparse=always", str(image), str(cut))
        live = cluster.shell(PRIMARY, f"cat {MARKER} {CONF}")
        cluster.shell(PRIMARY, "rm /etc/unsynced")
    assert run.code == 0, run.err
    with mounted(cut, tmp_path / "cut") as disk:
        etc, data, ours = (disk / folder.replace("/", "_") for folder in FOLDERS)
        contents = [(etc / path.removeprefix("/etc/")).read_text() for path in (MARKER, CONF)]
        assert "".join(contents).strip() == live
        assert not (etc / CLAIM.removeprefix("/etc/")).exists()
        assert (data / f"15/main/pg_replslot/{SLOT}/state").stat().st_size > 0
        newest = max((ours / "runs").glob("*.jsonl"), key=lambda path: path.stem)
        events = [json.loads(line) for line in newest.read_text().splitlines()]
        assert (events[0]["event"], events[-1]["event"]) == ("begin", "end")
        assert newest.stem == max(path.stem for path in cluster.home.rglob("runs/*.jsonl"))
        unsynced = etc / "unsynced"
        assert not unsynced.exists() or unsynced.read_text() == ""
    assert cluster.run_json("up", "--yes")["remaining"] == []
    assert cluster.drift() == {}
