"""A saved plan is carried out only while it is still the plan."""

import json
from pathlib import Path

import pytest

from pgprovision.engine.model import Change, Diff, Impact, State
from pgprovision.errors import InventoryError, Refused
from pgprovision.operations.converge import Up
from pgprovision.run import saved_plan
from pgprovision.run.options import Options
from tests.support.fake_resources import FakeResource
from tests.support.inventory_folders import static_inventory


def change(name: str = "x", before: State | None = None, **desired: str) -> Change:
    thing = FakeResource(on="h", object_name=name, declared=tuple(desired.items()) or (("a", "1"),))
    diff = Diff(before, thing.desired())
    return Change(thing, diff, tuple(thing.change(diff)))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """An inventory's files."""
    inventory = tmp_path / "inventory"
    for name in ("cluster.yml", "known_hosts", "nodes/db-1.yml", "secrets/rails.password"):
        (inventory / name).parent.mkdir(parents=True, exist_ok=True)
        (inventory / name).write_text(name)
    return inventory


@pytest.fixture
def plan(folder: Path, tmp_path: Path) -> saved_plan.SavedPlan:
    path = tmp_path / "plan.json"
    saved_plan.save_plan(path, folder, "c", "all", [change("x"), change("y", {"a": "0"})])
    assert path.stat().st_mode & 0o77 == 0
    return saved_plan.load_plan(path)


def test_plan_when_nothing_moved_then_holds(plan: saved_plan.SavedPlan, folder: Path) -> None:
    (folder / "known_hosts").write_text("a new pin")
    plan.check_inventory(folder, "c")
    plan.check_steps([change("x"), change("y", {"a": "0"})])


@pytest.mark.covers("F14")
@pytest.mark.parametrize("file", ["cluster.yml", "nodes/db-1.yml", "secrets/rails.password"])
def test_plan_when_the_inventory_changed_then_stale_and_says_which_file(
    plan: saved_plan.SavedPlan, folder: Path, file: str
) -> None:
    (folder / file).write_text("something else")
    with pytest.raises(Refused, match=f"the inventory has changed: {file}"):
        plan.check_inventory(folder, "c")


@pytest.mark.covers("F14")
@pytest.mark.parametrize(
    ("now", "expected"),
    [
        ([change("x")], "- h: thing y: no longer"),
        ([change("x"), change("y", {"a": "0"}), change("z")], r"\+ h: thing z: now also"),
        ([change("x"), change("y", {"a": "2"})], "~ h: thing y: before differ"),
        ([change("x", None, a="2"), change("y", {"a": "0"})], "~ h: thing x: after, actions"),
    ],
)
def test_plan_when_the_world_moved_then_stale_and_says_how(
    plan: saved_plan.SavedPlan, now: list[Change], expected: str
) -> None:
    with pytest.raises(Refused, match=expected):
        plan.check_steps(now)


def test_plan_when_of_another_cluster_then_refused(
    plan: saved_plan.SavedPlan, folder: Path
) -> None:
    with pytest.raises(Refused, match="for cluster c, the inventory for d"):
        plan.check_inventory(folder, "d")


def test_plan_when_it_holds_digests_then_none_that_can_be_looked_up(folder: Path) -> None:
    first, second = folder.parent / "1", folder.parent / "2"
    for path in (first, second):
        saved_plan.save_plan(path, folder, "c", "all", [])
    one, two = (json.loads(path.read_text())["files"] for path in (first, second))
    assert set(one) == {"cluster.yml", "nodes/db-1.yml", "secrets/rails.password"}
    assert not set(one.values()) & set(two.values())


@pytest.mark.parametrize("text", ["", "{}", "[]", "\x00", '{"version": 1}', "null"])
def test_file_when_it_is_no_plan_then_says_so(tmp_path: Path, text: str) -> None:
    (tmp_path / "p").write_text(text)
    with pytest.raises(InventoryError, match="not a saved plan"):
        saved_plan.load_plan(tmp_path / "p")
    with pytest.raises(InventoryError, match="not a saved plan"):
        saved_plan.load_plan(tmp_path / "missing")


@pytest.mark.covers("V23")
def test_file_when_of_a_newer_release_then_says_so(
    plan: saved_plan.SavedPlan, tmp_path: Path
) -> None:
    (tmp_path / "p").write_text(json.dumps({**vars(plan), "version": 2, "signed": "x"}))
    with pytest.raises(InventoryError, match="version 2, of another release; this release reads 1"):
        saved_plan.load_plan(tmp_path / "p")


def test_plan_when_carried_out_then_allowed_only_as_it_was_saved(
    plan: saved_plan.SavedPlan, folder: Path
) -> None:
    confirmation = saved_plan.AsSaved(plan, Impact.RESTART)
    approve = confirmation.approval(Options(inventory=folder))
    assert approve([change("x"), change("y", {"a": "0"})]) is Impact.RESTART
    with pytest.raises(Refused, match="no longer"):
        approve([change("x")])


def test_up_when_it_has_a_saved_plan_then_of_its_scope_alone(tmp_path: Path) -> None:
    inventory, path = static_inventory(tmp_path / "inventory").load(), tmp_path / "plan.json"
    saved_plan.save_plan(path, inventory.folder, inventory.cluster, "db-1", [])
    up = Up("all", path)
    up.check(inventory)
    assert up.effective_scope == "db-1"
    with pytest.raises(InventoryError, match="the saved plan is for db-1, not for primary"):
        Up("primary", path).check(inventory)
