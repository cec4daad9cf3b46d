"""The steps of another passphrase, as the inventory tells them."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from pgprovision.errors import Refused
from pgprovision.inventory.edit.add_node import NewNode, add_node
from pgprovision.inventory.loader.loader import load
from pgprovision.inventory.schema.cluster import Inventory
from pgprovision.operations.rotate_passphrase import RotationStep, next_step, swap_step, tiers
from pgprovision.resources.pgbackrest.configuration import PgbackrestConf
from tests.support.inventory_folders import lab_inventory

NOW = datetime(2026, 11, 29, 7, 0, tzinfo=UTC)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    return lab_inventory(tmp_path / "lab", monkeypatch.setenv)


def places(inventory: Inventory) -> list[tuple[str, str, str]]:
    """Path, passphrase's source and duty of each repository."""
    assert inventory.backup
    return [
        (r.path, r.cipher_pass.source if r.cipher_pass else "", getattr(r, "role", "first"))
        for _, r in inventory.backup.repositories
    ]


OLD = "!file secrets/pgbackrest.passphrase"
FILE = "secrets/pgbackrest-r20261129T070000.passphrase"
NEW, PATH = f"!file {FILE}", "/hcb-lab-r20261129T070000"


def save_step(step: RotationStep) -> None:
    assert step.pending is not None
    step.pending.save()


@pytest.mark.covers("F111")
def test_rotation_when_it_is_looked_at_writes_nothing(folder: Path) -> None:
    before = sorted(folder.rglob("*"))
    step = next_step(load(folder), NOW)
    assert step.phase == "fill"
    assert places(step.inventory) == [
        ("/hcb-lab", OLD, "first"),
        (PATH, NEW, "successor"),
    ]
    assert sorted(folder.rglob("*")) == before


@pytest.mark.covers("F111")
def test_rotation_when_it_goes_on_from_its_file_ends_with_one_repository(folder: Path) -> None:
    save_step(next_step(load(folder), NOW))
    again = next_step(load(folder), NOW)
    assert (again.phase, again.pending) == ("fill", None)
    secret = (folder / FILE).read_text()
    save_step(swap_step(load(folder), NOW))
    both = load(folder)
    assert places(both) == [(PATH, NEW, "first"), ("/hcb-lab", OLD, "former")]
    assert both.backup
    assert both.backup.backup_targets == (1,)
    assert next_step(both, NOW + timedelta(days=29)).phase == "kept"
    end = next_step(both, NOW + timedelta(days=30))
    assert (end.phase, end.removed_path) == ("end", "/hcb-lab")
    save_step(end)
    assert places(load(folder)) == [(PATH, NEW, "first")]
    assert (folder / FILE).read_text() == secret
    later = next_step(load(folder), NOW + timedelta(days=31)).inventory
    assert places(later)[1][0] == "/hcb-lab-r20261230T070000"


@pytest.mark.covers("F111")
def test_rotation_when_begun_again_uses_no_path_and_no_passphrase_of_before(
    folder: Path,
) -> None:
    first = next_step(load(folder), NOW)
    save_step(first)
    (folder / "repositories.yml").unlink()
    again = next_step(load(folder), NOW + timedelta(seconds=1))
    assert again.pending and first.pending
    assert again.pending.passphrase != first.pending.passphrase
    assert places(again.inventory)[1][0] != places(first.inventory)[1][0]


@pytest.mark.covers("F111")
def test_rotation_beside_a_standing_second_repository_is_refused(folder: Path) -> None:
    text = (folder / "cluster.yml").read_text()
    second = "\n  second_repository: {path: /second}\n  retention_days: 30"
    (folder / "cluster.yml").write_text(text.replace("\n  retention_days: 30", second))
    (folder / "secrets/pgbackrest2.passphrase").write_text("q" * 43)
    (folder / "secrets/pgbackrest2.passphrase").chmod(0o600)
    with pytest.raises(Refused, match="standing second repository"):
        next_step(load(folder), NOW)


@pytest.mark.covers("F111")
def test_file_when_written_holds_no_secret(folder: Path) -> None:
    step = next_step(load(folder), NOW)
    save_step(step)
    assert step.pending and step.pending.passphrase
    text = (folder / "repositories.yml").read_text()
    assert step.pending.passphrase.text() not in text
    assert (folder / FILE).stat().st_mode & 0o777 == 0o600


@pytest.mark.covers("F111", "row:D6")
def test_rotation_when_there_is_a_copy_then_it_goes_on_reading_and_backs_nothing_up(
    folder: Path,
) -> None:
    add_node(folder, NewNode(name="copy", role="copy"))
    step = RotationStep("kept", load(folder))
    resources = [r for tier in tiers(step, {}) for r in tier.resources if r.on == "copy"]
    (conf,) = (r for r in resources if isinstance(r, PgbackrestConf))
    assert "pg1-path" not in conf.text
    assert dict(conf.secrets)["repo1-s3-key"].text() == "read-key"
    assert [str(r) for r in resources if "timer" in str(r) or r.kind == "unit"] == []
