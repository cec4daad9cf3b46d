"""V14: two inventories that differ only in their secrets are shown, planned and recorded alike."""

import json
import re
import shutil
from datetime import UTC, datetime
from pathlib import Path

import pytest

from pgprovision import report
from pgprovision.engine.loop import converge, observe_only
from pgprovision.engine.model import Change, Diff, Report, State
from pgprovision.explain import CloudApi, HostShell, runbook
from pgprovision.inventory.edit.add_node import NewNode, add_node
from pgprovision.inventory.loader.loader import load
from pgprovision.inventory.schema.cluster import Inventory
from pgprovision.record import RecordWriter
from pgprovision.resources.system.file import File
from pgprovision.run.observers import RunObservers
from pgprovision.secret import Secret
from pgprovision.tasks import tiers
from tests.support import inventory_folders
from tests.unit.test_runbook import Nowhere

VARIABLES = {
    "HCLOUD_TOKEN": "token",
    "PGPROVISION_LAB_S3_KEY": "key",
    "PGPROVISION_LAB_S3_SECRET": "s3",
    "PGPROVISION_LAB_S3_READ_KEY": "read-key",
    "PGPROVISION_LAB_S3_READ_SECRET": "read-s3",
}
NOW = datetime(2026, 1, 1, tzinfo=UTC)


def another(folder: Path, copy: Path) -> None:
    """The same inventory with other passwords. Of keys the public half is seen: they stay."""
    shutil.copytree(folder, copy)
    for path in (copy / "secrets").iterdir():
        if path.is_file() and re.fullmatch(r"[A-Za-z0-9]{20,}\n?", path.read_text()):
            path.write_text(path.read_text().swapcase()[::-1].strip() + "\n")


def secrets_of(folder: Path, flavour: str) -> list[str]:
    paths = [p for p in (folder / "secrets").iterdir() if p.suffix not in (".pub", ".crt")]
    texts = [path.read_text().strip() for path in paths if path.is_file()]
    return [*(t for t in texts if t and t != "*"), *(f"{v}-{flavour}" for v in VARIABLES.values())]


def outputs(found: Inventory) -> dict[str, str]:
    """Everything a run says of a plan: text, JSON, runbook, record."""
    all_tiers = tiers(found, found.nodes, NOW)
    names = {resource.on for tier in all_tiers for resource in tier.resources}
    outcome = converge(
        all_tiers, {name: Nowhere(name) for name in names}, observe_only, RunObservers()
    )
    outcome.seconds = 0.0
    places = {
        name: CloudApi("http://x") if name == "hetzner" else HostShell("ssh") for name in names
    }
    record = RecordWriter(found.cluster, "up", plan=outcome.remaining)
    record.acting(outcome.remaining)
    record.end("done", 0.0, left=outcome.remaining)
    document = report.run_document("plan", "x", outcome, changes=outcome.remaining, record=None)
    actions = [(a.why, a.text) for change in outcome.remaining for a in change.actions]
    return {
        "runbook": runbook(found.cluster, all_tiers, outcome, places),
        "document": json.dumps(document, indent=1),
        "record": record.path.read_text() + record.text_path.read_text(),
        "actions": "\n".join(f"{why}: {text}" for why, text in actions),
        "reprs": repr(found) + repr(all_tiers),
    }


MOVING = (
    r'"(at|run|prev|readable|after|pid)": "[^"]*"',
    r"\d{8}T\d{6}Z-[0-9a-f]{6}",
    r"\d{4}-\d\d-\d\d[ T][\d:.]+(\+00:00)?( UTC)?",
    r"\d\d:\d\d:\d\d\.\d{3}",
    r"/\S*/(?=secrets|inventory)\S*",
)


def masked(text: str, folder: Path) -> str:
    for pattern in MOVING:
        text = re.sub(pattern, "(moving)", text)
    return text.replace(str(folder), "(folder)")


@pytest.mark.covers("V14")
def test_everything_shown_when_only_secrets_differ_then_is_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    printed: dict[str, dict[str, str]] = {}
    for flavour in ("one", "other"):
        folder = tmp_path / flavour / "inventory"
        if flavour == "one":
            inventory_folders.lab_inventory(folder, monkeypatch.setenv)
            add_node(folder, NewNode(name="server-postgres-2"))
        else:
            another(tmp_path / "one" / "inventory", folder)
        monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / flavour / "state"))
        for name, value in VARIABLES.items():
            monkeypatch.setenv(name, f"{value}-{flavour}")
        printed[flavour] = outputs(load(folder))
        known = secrets_of(folder, flavour)
        assert len(known) > 6
        for where, text in printed[flavour].items():
            assert [s for s in known if s in text] == [], f"a secret is in the {where}"
    for where in ("runbook", "document", "record", "actions"):
        left, right = (masked(printed[f][where], tmp_path / f) for f in printed)
        assert left.splitlines() == right.splitlines(), f"the {where} depends on a secret"


@pytest.mark.covers("V14")
def test_difference_when_of_a_secret_then_is_masked_in_the_document() -> None:
    file = File(on="h", path="/x", content=Secret("new"))
    state: State = {"content": "sha256:old", "mode": "0600", "owner": "root", "group": "root"}
    diff = Diff(state, file.desired())
    change = Change(file, diff, tuple(file.change(diff)))
    shown = report.run_document("plan", "x", Report(), changes=[change], record=None)["changes"][0]
    assert (shown["before"]["content"], shown["after"]["content"]) == ("***", "***")
