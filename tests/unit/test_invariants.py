"""Small laws that no other quick test would notice the loss of; see tests/seeded."""

import grp
import os
import pwd
import subprocess
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import ClassVar

import pytest

from pgprovision import quote, report
from pgprovision.engine.loop import MAX_PASSES, converge
from pgprovision.engine.model import Action, Change, Diff, Impact, Report, State, Tier, Waiting
from pgprovision.errors import Locked, NotConverged, Unreachable
from pgprovision.inventory.loader.loader import load
from pgprovision.lock_owner import LockOwner
from pgprovision.record import RecordWriter
from pgprovision.resources.data_directory.initdb import set_aside
from pgprovision.resources.data_directory.standby import primary_conninfo
from pgprovision.resources.postgres.catalog.unmanaged_objects import UnmanagedObjects
from pgprovision.resources.postgres.server.instance import Instance
from pgprovision.resources.postgres.server.snapshot import SnapshotQuery
from pgprovision.resources.system.file import File
from pgprovision.tasks import tiers
from pgprovision.transport.lock import LockRequest, acquire, lock_command
from tests.model.connections import FakeLockChannel
from tests.model.machines import ModelMachine
from tests.support import inventory_folders
from tests.support.fake_resources import FakeResource, FakeTarget, RecordingObserver

OWNER = LockOwner("me", "here", "now", "up", "run")
ME = {"owner": pwd.getpwuid(os.getuid()).pw_name, "group": grp.getgrgid(os.getgid()).gr_name}
gnu = pytest.mark.skipif(sys.platform != "linux", reason="resources speak GNU coreutils")
HOSTILE = ("it's", 'a"b', "$(touch x)", "a\\b", "a b", ";", "`id`", "-rf", "\\'; drop --")


def script() -> str:
    """What runs on a machine while it is held."""
    return lock_command("/hold", 0.0)[2]


@pytest.mark.covers("F11")
@pytest.mark.parametrize(
    ("record", "fence"),
    [("garbage", "3"), ("", "3"), ('{"version": 99}', "3"), (OWNER.text(), "three")],
)
def test_lock_when_its_record_cannot_be_read_then_counts_as_locked(record: str, fence: str) -> None:
    machine = ModelMachine("a", lock_owner=record, fence=fence)
    with pytest.raises(Locked, match="cannot be read") as refused:
        acquire(FakeLockChannel(machine, script()), "a", LockRequest(OWNER))
    assert "pgprovision unlock a " in refused.value.next
    assert (machine.lock_channel, machine.fence) == (None, fence)


def test_lock_when_taken_then_its_number_rises() -> None:
    machine = ModelMachine("a", lock_owner=OWNER.text(), fence="6 stopped")
    lock = acquire(FakeLockChannel(machine, script()), "a", LockRequest(OWNER))
    lock.release()
    assert (lock.fencing_token, machine.fence, machine.lock_channel) == (7, "7", None)


@dataclass(frozen=True, kw_only=True)
class Moving(FakeResource):
    """Differs in another way at each look."""

    kind: ClassVar[str] = "moving"

    def desired(self) -> State:
        return {"a": "never"}

    def change(self, diff: Diff) -> Iterable[Action]:
        was = int(str((diff.before or {}).get("a", 0)))
        yield Action("move", f'{self.object_name} {{"a": "{was + 1}"}}')


@pytest.mark.covers("V20")
def test_loop_when_the_difference_never_ends_then_it_does() -> None:
    world = FakeTarget("h")
    clock = iter(range(10_000))
    with pytest.raises(NotConverged):
        converge(
            [Tier("one", (Moving(on="h", object_name="x"),))],
            {"h": world},
            lambda changes: Impact.RESTART,
            RecordingObserver(),
            clock=lambda: next(clock),
            sleep=lambda seconds: None,
        )
    assert len(world.acts) <= MAX_PASSES


@gnu
def test_file_when_written_then_on_disk_before_it_has_its_name_and_the_name_after(
    tmp_path: Path,
) -> None:
    """The order of a crash-safe write, recorded by stand-ins for sync and mv."""
    log, path = tmp_path / "log", tmp_path / "conf"
    for tool in ("sync", "mv", "chown", "chmod"):
        stand_in = tmp_path / "bin" / tool
        stand_in.parent.mkdir(exist_ok=True)
        stand_in.write_text(f'#!/bin/sh\necho {tool} "$@" >>{log}\nexec /bin/{tool} "$@"\n')
        stand_in.chmod(0o755)
    text = File(on="h", path=str(path), content="", **ME).write_command()
    subprocess.run(
        ["sh", "-c", text],
        input=b"new\n",
        env={"PATH": f"{tmp_path / 'bin'}:/usr/bin:/bin"},
        check=True,
    )
    new = tmp_path / ".conf.pgprovision-new"
    steps = [line for line in log.read_text().splitlines() if line.split()[0] in ("sync", "mv")]
    assert steps == [f"sync {new}", f"mv -fT {new} {path}", f"sync {tmp_path}"]
    owned = log.read_text().splitlines()[:2]
    assert owned == [f"chown {ME['owner']}:{ME['group']} {new}", f"chmod 0644 {new}"], (
        "open before it is its owner's"
    )


@pytest.mark.covers("V9")
@gnu
def test_directory_when_in_the_way_then_everything_in_it_is_still_there(tmp_path: Path) -> None:
    data = tmp_path / "main"
    data.mkdir()
    (data / "PG_VERSION").write_text("15\n")
    subprocess.run(["sh", "-ec", set_aside(str(data))], check=True, stderr=subprocess.DEVNULL)
    (aside,) = tmp_path.glob("main.aside-*")
    assert (aside / "PG_VERSION").read_text() == "15\n"


@pytest.mark.covers("F134")
def test_database_when_not_in_the_inventory_then_nothing_is_done_about_it() -> None:
    snapshot = SnapshotQuery(Instance())
    unmanaged = UnmanagedObjects(
        on="h", snapshot=snapshot, roles=frozenset(), databases=frozenset()
    )
    found: State = {"roles": ("role gone",), "databases": ("database gone",)}
    assert not Diff(found, unmanaged.desired())
    assert list(unmanaged.change(Diff(found, None))) == []


@pytest.mark.covers("V16")
@pytest.mark.parametrize("text", HOSTILE)
def test_word_when_hostile_then_a_shell_reads_it_back(text: str) -> None:
    done = subprocess.run(
        ["sh", "-c", quote.sh("printf", "%s|", text, text)], capture_output=True, text=True
    )
    assert done.stdout == f"{text}|{text}|"


@pytest.mark.covers("V16")
def test_value_when_hostile_then_its_quotes_are_doubled() -> None:
    assert quote.ident('a"b') == '"a""b"'
    assert quote.literal("it's") == "'it''s'"
    assert quote.literal("\\'") == "E'\\\\'''"
    assert quote.conf("it's \\") == "'it''s \\\\'"
    assert quote.conninfo("it's \\") == "'it\\'s \\\\'"
    assert quote.pgpass("a:b\\") == "a\\:b\\\\"


def test_exit_code_when_something_differs_or_a_host_failed_then_says_so() -> None:
    change = Change(FakeResource(on="h", object_name="x"), Diff({}, {"a": "1"}), ())
    assert report.exit_code(Report()) == 0
    assert report.exit_code(Report(remaining=[change])) == 1
    assert report.exit_code(Report(remaining=[change], failed={"h": Unreachable("gone")})) == 5


def test_outcome_when_something_is_under_way_at_the_last_look_then_it_is_named(
    capsys: pytest.CaptureFixture[str],
) -> None:
    waiting = (FakeResource(on="h", object_name="x"), Waiting("the standby to connect"))
    report.show_outcome(Report(waiting=[waiting]), "record")
    assert report.exit_code(Report(waiting=[waiting])) == 1
    assert "h: thing x: in progress: the standby to connect" in capsys.readouterr().out


@pytest.mark.covers("F2")
def test_postgres_when_its_machine_dies_half_way_then_does_not_start_as_debian_made_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    inventory = load(inventory_folders.lab_inventory(tmp_path / "inventory", monkeypatch.setenv))
    all_tiers = tiers(inventory, inventory.nodes, datetime.now(UTC))
    of_primary = [r for t in all_tiers for r in t.resources if r.on == inventory.primary.name]
    (cluster,) = [r for r in of_primary if r.kind == "PostgreSQL cluster"]
    (made,) = cluster.change(Diff(None, {}))
    assert "--start-conf manual" in made.text
    names = [r.name.rpartition("/")[2] for r in of_primary]
    places = [names.index(n) for n in ("pg_hba.conf", "start.conf", "postgresql@15-main.service")]
    assert places == sorted(places)


@pytest.mark.covers("F67")
def test_marker_when_a_node_is_made_then_comes_after_everything_on_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    inventory = load(inventory_folders.lab_inventory(tmp_path / "inventory", monkeypatch.setenv))
    all_tiers = tiers(inventory, inventory.nodes, datetime.now(UTC))
    name = inventory.primary.name
    of_node = [(t.title, r.kind) for t in all_tiers for r in t.resources if r.on == name]
    assert [kind for _, kind in of_node].count("identity marker") == 1
    assert of_node[-1] == ("identity marker", "identity marker")


@pytest.mark.covers("S27")
def test_standby_when_it_connects_then_verifies_its_primary() -> None:
    text = primary_conninfo(
        host="db-1", address="10.0.1.2", port=5432, user="r", passfile="/p", ca="/ca", node="db-2"
    )
    assert "sslmode='verify-full' sslrootcert='/ca'" in text


@pytest.mark.covers("V19")
def test_line_of_the_record_when_written_then_is_on_disk_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    synced: list[str] = []

    record = RecordWriter("lab", "up")
    monkeypatch.setattr(os, "fsync", lambda file: synced.append(record.path.read_text()))
    change = Change(
        FakeResource(on="h", object_name="x"), Diff({}, {"a": "1"}), (Action("set a", "true"),)
    )
    record.acting([change])
    assert '"event": "acting"' in synced[-1]
    record.action_done(change, change.actions[0])
    assert '"event": "done"' in synced[-1]
    record.end("done", 0.0)
