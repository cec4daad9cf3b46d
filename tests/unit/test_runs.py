"""`runs`, `runs show`, `runs verify` as a person types them."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import pytest

from pgprovision.cli.app import run as command_line
from pgprovision.engine.model import Impact, Tier
from pgprovision.errors import Refused
from pgprovision.inventory.schema.cluster import Inventory
from pgprovision.record import read_runs
from pgprovision.resources.system.file import Directory
from pgprovision.run.approval import Allowed
from pgprovision.run.operation import Operation, Prepared
from pgprovision.run.options import Options
from pgprovision.run.run import run
from pgprovision.run.targets import Targets
from tests.support.inventory_folders import static_inventory
from tests.support.run_records import CLUSTER, fill_disk, finished_run, small_disk, state

__all__ = ["small_disk", "state"]


class Shell:
    """A command line: exit code, stdout and stderr of each command."""

    def __init__(self, patch: pytest.MonkeyPatch, capture: pytest.CaptureFixture[str]) -> None:
        self._patch, self._capture = patch, capture

    def __call__(self, *words: str) -> tuple[int, str, str]:
        self._patch.setattr("sys.argv", ["pgprovision", *words])
        code = command_line()
        out, err = self._capture.readouterr()
        return code, out, err

    def json(self, *words: str) -> Any:
        code, out, err = self("runs", *words, "--cluster", CLUSTER, "--json")
        assert code == 0, err
        return json.loads(out)


@pytest.fixture
def shell(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Shell:
    return Shell(monkeypatch, capsys)


def test_runs_when_there_are_some_then_the_newest_is_last(shell: Shell) -> None:
    first, second = finished_run("x", "y"), finished_run(result="left")
    code, out, _ = shell("runs", "--cluster", CLUSTER)
    rows = out.splitlines()
    assert code == 0
    assert [row.split()[0] for row in rows] == ["run", first.id, second.id]
    assert rows[1].split()[-3:] == ["done", "2", "1.5s"]
    document = shell.json()
    assert (document["version"], document["cluster"]) == (2, CLUSTER)
    assert [run["result"] for run in document["runs"]] == ["done", "left"]


def test_runs_when_no_cluster_is_named_then_it_is_the_inventorys(
    shell: Shell, tmp_path: Path
) -> None:
    record = finished_run()
    prod = static_inventory(tmp_path / "prod").path
    code, out, _ = shell("-i", str(prod), "runs", "show", "latest")
    assert (code, out) == (0, record.text_path.read_text())


@pytest.mark.parametrize("words", [(), ("show", "latest"), ("verify",)])
@pytest.mark.parametrize("rest", ["", "hetzner: {token: !env NOBODY_SETS_THIS}\npostgras: 1\n"])
def test_runs_when_the_inventory_lacks_all_but_its_name_then_they_are_shown(
    words: tuple[str, ...], rest: str, shell: Shell, tmp_path: Path
) -> None:
    record = finished_run()
    (tmp_path / "cluster.yml").write_text(f"cluster: {CLUSTER}\n{rest}")
    code, out, err = shell("-i", str(tmp_path), "runs", *words)
    assert (code, err) == (0, "")
    assert record.id in out


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (None, "cluster.yml:1:1: cannot be read"),
        ("", "empty; expected a mapping"),
        ("nodes: 1\n", "cluster.yml:1:1: cluster: missing; expected the cluster's name"),
        ("cluster: ../x\n", "cluster.yml:1:10: cluster:"),
        ("cluster: !env NAME\n", "expected the name itself in cluster.yml"),
        ("cluster: [a\n", "cluster.yml:"),
    ],
)
def test_runs_when_the_name_cannot_be_read_then_bad_input(
    text: str | None, expected: str, shell: Shell, tmp_path: Path
) -> None:
    if text is not None:
        (tmp_path / "cluster.yml").write_text(text)
    code, _, err = shell("-i", str(tmp_path), "runs")
    assert code == 2
    assert expected in err


@pytest.mark.parametrize("words", [(), ("verify",)])
def test_runs_when_there_are_no_records_then_it_says_so(
    words: tuple[str, ...], shell: Shell, state: Path
) -> None:
    code, out, _ = shell("runs", *words, "--cluster", CLUSTER)
    assert (code, out) == (0, f"no records yet in {state}\n")


@pytest.mark.parametrize("cut", [None, 17], ids=["whole", "beginning"])
def test_show_when_a_run_is_named_then_its_readable_file_is_printed(
    cut: int | None, shell: Shell
) -> None:
    record = finished_run()
    code, out, _ = shell("runs", "show", record.id[:cut], "--cluster", CLUSTER)
    assert (code, out) == (0, record.text_path.read_text())
    assert shell("runs", "show", "latest", "--cluster", CLUSTER)[1] == out


def test_show_when_json_then_the_whole_record_is_the_document(shell: Shell) -> None:
    record = finished_run()
    document = shell.json("show", "latest")
    assert (document["version"], document["id"]) == (2, record.id)
    assert [event["event"] for event in document["events"]][-1] == "end"


def test_show_when_mistyped_then_the_nearest_is_named(shell: Shell) -> None:
    record = finished_run()
    code, _, err = shell("runs", "show", record.id[:-1] + "_", "--cluster", CLUSTER)
    assert code == 2
    assert f"one of: {record.id}" in err
    code, _, err = shell("runs", "show", "2", "--cluster", CLUSTER)
    assert code == 0
    finished_run()
    code, _, err = shell("runs", "show", "2", "--cluster", CLUSTER)
    assert (code, "2 runs begin with '2'" in err) == (2, True)


def test_show_when_there_are_no_records_then_it_says_so(shell: Shell) -> None:
    code, _, err = shell("runs", "show", "latest", "--cluster", CLUSTER)
    assert (code, "no records yet" in err) == (2, True)


def test_cluster_when_mistyped_then_the_nearest_is_named(shell: Shell) -> None:
    finished_run()
    code, _, err = shell("runs", "--cluster", "hcb-lap")
    assert (code, f"one of: {CLUSTER}" in err) == (2, True)


def test_verify_when_whole_then_exit_0_and_when_broken_3_with_the_run_named(shell: Shell) -> None:
    record = finished_run()
    code, out, _ = shell("runs", "verify", "--cluster", CLUSTER)
    assert (code, out) == (0, f"{record.id}  ok\n1 runs, all records are intact\n")
    assert shell.json("verify")["valid"] is True
    record.path.write_bytes(record.path.read_bytes().replace(b'"tier"', b'"tear"'))
    code, out, err = shell("runs", "verify", "--cluster", CLUSTER)
    assert (code, out) == (3, "")
    assert f"{record.id}  modified: line 2" in err
    code, out, _ = shell("runs", "verify", "--cluster", CLUSTER, "--json")
    assert (code, json.loads(out)["runs"][0]["state"]) == (3, "modified")


@dataclass(frozen=True)
class MakeDirectory(Operation):
    """A small verb: a directory on the controller."""

    command: ClassVar[str] = "up"
    path: Path

    def prepare(self, inventory: Inventory, targets: Targets) -> Prepared:
        tier = Tier("here", (Directory(on="controller", path=str(self.path)),))
        return Prepared(tiers=[tier], confirmation=Allowed(Impact.NONE))


@pytest.mark.covers("F13")
def test_disk_when_full_then_the_command_is_refused_and_nothing_was_made(
    small_disk: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    inventory, marker = static_inventory(tmp_path / "prod").path, tmp_path / "wish"

    def up() -> int:
        return run(MakeDirectory(marker), Options(inventory=inventory, json=True))

    ballast = fill_disk(small_disk)
    with pytest.raises(Refused, match="No space left"):
        up()
    assert not marker.exists()
    assert json.loads(capsys.readouterr().out)["record"] is None
    ballast.unlink()
    assert (up(), marker.is_dir()) == (0, True)
    [record] = read_runs(small_disk)
    begin, end = record.begin, record.ended or {}
    assert [change["resource"] for change in begin["plan"]] == [f"directory {marker}"]
    assert (end["result"], end["left"]) == ("done", [])
