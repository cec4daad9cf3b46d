"""What `run` and `run_query` do for every verb: JSON or text, exit code, and in which order."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from pgprovision import report
from pgprovision.engine.model import Impact
from pgprovision.errors import Refused
from pgprovision.inventory.schema.cluster import Inventory
from pgprovision.run.approval import Allowed
from pgprovision.run.operation import Operation, Prepared, Run
from pgprovision.run.options import Options
from pgprovision.run.query import Document, Query, run_query
from pgprovision.run.run import run
from pgprovision.run.targets import Targets
from tests.support.inventory_folders import static_inventory


class Census(Query[Document]):
    def look(self, options: Options) -> Document:
        return {**report.envelope(cluster="shop"), "folder": options.inventory.name}

    def show(self, found: Document) -> None:
        report.print_line(f"folder {found['folder']}")

    def exit_code(self, found: Document) -> int:
        return 1


@dataclass
class Stages(Operation):
    """A verb that fails, or has a second part; it keeps what was called."""

    command = "stages"
    parts: int = 1
    fails: bool = False
    called: list[str] = field(default_factory=list)

    def prepare(self, inventory: Inventory, targets: Targets) -> Prepared:
        return Prepared(tiers=(), confirmation=Allowed(Impact.NONE))

    def carry_out(self, run: Run) -> None:
        self.called.append("carry_out")
        if self.fails:
            raise Refused("no")

    def following(self, run: Run) -> Operation | None:
        return Stages(self.parts - 1, called=self.called) if self.parts > 1 else None

    def ended(self, run: Run) -> None:
        self.called.append("ended")

    def document(self, run: Run) -> Mapping[str, Any]:
        self.called.append("document")
        return report.envelope(command=self.command, cluster=run.inventory.cluster)

    def show(self, run: Run) -> None:
        self.called.append("show")

    def show_failure(self, run: Run) -> None:
        self.called.append("show_failure")

    def finished(self, run: Run) -> int:
        self.called.append("finished")
        return 0


@pytest.mark.parametrize(
    ("about", "document"),
    [
        ({}, {"version": 2}),
        ({"cluster": "shop"}, {"version": 2, "cluster": "shop"}),
        (
            {"cluster": "shop", "command": "up"},
            {"version": 2, "command": "up", "cluster": "shop"},
        ),
    ],
)
def test_envelope_when_made_then_has_what_is_known_in_this_order(
    about: dict[str, str], document: dict[str, Any]
) -> None:
    assert list(report.envelope(**about).items()) == list(document.items())


@pytest.mark.parametrize("as_json", [False, True])
def test_query_when_run_then_is_text_or_one_document_and_its_own_exit_code(
    capsys: pytest.CaptureFixture[str], as_json: bool
) -> None:
    assert run_query(Census(), Options(inventory=Path("prod"), json=as_json)) == 1
    out, err = capsys.readouterr()
    assert err == ""
    if as_json:
        assert json.loads(out) == {"version": 2, "cluster": "shop", "folder": "prod"}
    else:
        assert out == "folder prod\n"


@pytest.mark.parametrize(
    ("as_json", "fails", "called"),
    [
        (False, False, ["carry_out", "ended", "show", "finished"]),
        (False, True, ["carry_out", "ended", "show_failure", "finished"]),
        (True, False, ["carry_out", "ended", "document", "finished"]),
        (True, True, ["carry_out", "ended", "document", "finished"]),
    ],
)
def test_operation_when_it_ended_then_tells_others_before_it_is_reported(
    tmp_path: Path, as_json: bool, fails: bool, called: list[str]
) -> None:
    folder = static_inventory(tmp_path / "prod").path
    verb, options = Stages(fails=fails), Options(inventory=folder, json=as_json)
    if fails:
        with pytest.raises(Refused, match="no"):
            run(verb, options)
    else:
        assert run(verb, options) == 0
    assert verb.called == called


def test_operation_when_it_has_two_parts_then_the_last_one_alone_is_reported(
    tmp_path: Path,
) -> None:
    verb = Stages(parts=2)
    assert run(verb, Options(inventory=static_inventory(tmp_path / "prod").path)) == 0
    assert verb.called == ["carry_out", "carry_out", "ended", "show", "finished"]
