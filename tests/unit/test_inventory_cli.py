"""Bad input at the command line: exit code 2, all on stderr, and nobody was asked anything."""

import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from pgprovision.cli.app import run
from pgprovision.engine.loop import Approve
from pgprovision.engine.model import Impact
from pgprovision.errors import InventoryError, Refused
from pgprovision.run.approval import NameConfirmation
from pgprovision.run.options import Options
from tests.support.inventory_folders import STATIC_CLUSTER, InventoryFolder, static_inventory

Line = Callable[..., tuple[int, str, str]]
BAD = "postgres: {prot: 5433, settings: {work_memm: 1MB}}\nssh: {user: -x}\n"
VERBS = [
    ("plan",), ("drift",), ("up", "--yes"), ("explain",), ("status",), ("destroy",),
    ("resize", "db-1"), ("rotate", "rails"), ("remove-replica", "db-2"), ("re-clone", "db-2"),
    ("ca", "show"),
]  # fmt: skip


@pytest.fixture
def line(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Line:
    """A command line that may not open any connection."""

    def connect(*_: object) -> None:
        raise AssertionError("it talks to somebody")

    def run_line(*words: str) -> tuple[int, str, str]:
        monkeypatch.setattr("sys.argv", ["pgprovision", *words])
        code = run()
        printed = capsys.readouterr()
        return code, printed.out, printed.err

    monkeypatch.setattr(socket.socket, "connect", connect)
    return run_line


@pytest.mark.parametrize("words", VERBS, ids=" ".join)
def test_inventory_when_bad_is_refused_by_every_verb_before_any_connection(
    tmp_path: Path, line: Line, words: tuple[str, ...]
) -> None:
    folder = static_inventory(tmp_path, STATIC_CLUSTER + BAD)
    code, out, err = line("-i", str(folder.path), *words)
    assert (code, out) == (2, "")
    assert "Traceback" not in err
    places = [text for text in err.splitlines() if "cluster.yml:" in text]
    assert [text.partition("cluster.yml:")[2][:2] for text in places] == ["6:", "6:", "7:"]
    assert "example: port: 5433" in err


@pytest.mark.covers("B1")
def test_folder_that_is_not_there_is_exit_code_2(tmp_path: Path, line: Line) -> None:
    code, out, err = line("-i", str(tmp_path / "none"), "plan")
    assert (code, out) == (2, "")
    assert "cluster.yml:1:1: cannot be read: No such file or directory" in err


@pytest.mark.covers("B37")
@pytest.mark.parametrize("scope", ["db-7", "replicas", "DB-1", "", "*", "db-1,db-2"])
def test_scope_that_names_no_node_is_bad_input(tmp_path: Path, line: Line, scope: str) -> None:
    folder: InventoryFolder = static_inventory(tmp_path)
    with pytest.raises(InventoryError):
        folder.load().select(scope)
    code, out, err = line("-i", str(folder.path), "plan", scope)
    assert (code, out) == (2, "")
    assert "no node is called" in err and "db-1" in err


def approve(answer: str) -> Approve:
    return NameConfirmation("hcb-lab", "Type hcb-lab", given=answer).approval(
        Options(inventory=Path())
    )


@pytest.mark.covers("B109")
@pytest.mark.parametrize(
    "answer", ["", "y", "yes", "hcb", "HCB-LAB", "hcb-lab ", " hcb-lab", "db-1"]
)
def test_name_when_confirmed_otherwise_or_not_at_all_touches_nothing(answer: str) -> None:
    with pytest.raises(
        Refused, match="the confirmation does not match the cluster's name"
    ) as caught:
        approve(answer)(())
    assert caught.value.exit_code == 3
    assert caught.value.done == "nothing was changed"


@pytest.mark.covers("B109")
def test_name_when_confirmed_in_full_is_taken() -> None:
    assert approve("hcb-lab")(()) is Impact.DESTROY
