"""Rotation of a password: which role is meant, and what is in its files at each step."""

import json
from pathlib import Path

import pytest

from pgprovision.engine.model import Answer
from pgprovision.errors import InventoryError, Refused
from pgprovision.inventory.schema.cluster import Inventory
from pgprovision.operations import rotate_password
from pgprovision.resources.postgres.server.instance import Instance
from pgprovision.resources.postgres.server.snapshot import ServerSnapshot, SnapshotQuery
from tests.support.case_answers import server_row
from tests.support.inventory_folders import InventoryFolder, static_inventory

SPLIT = """\
cluster: books
roles:
  owner: {login: false}
  app_a: {password: !file secrets/app_a.password}
  app_b: {password: !file secrets/app_b.password}
  alone: {password: !env ALONE}
databases:
  books: {owner: owner, access: {application: {group: app, logins: [app_a, app_b]}}}
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> InventoryFolder:
    monkeypatch.setenv("ALONE", "correct horse battery")
    folder = static_inventory(tmp_path, SPLIT)
    for name in ("app_a", "app_b"):
        folder.write(f"secrets/{name}.password", f"password of {name}\n")
    return folder


def server(**sessions: int) -> ServerSnapshot:
    roles = {name: {"sessions": n} for name, n in sessions.items()}
    found = server_row(roles=roles)
    parsed = SnapshotQuery(Instance()).parse(Answer(out=json.dumps(found).encode()))
    assert isinstance(parsed, ServerSnapshot)
    return parsed


def rotation_step(
    inventory: Inventory, name: str = "app", **sessions: int
) -> rotate_password.PasswordRotation:
    return rotate_password.plan_rotation(inventory, name, server(**sessions))


@pytest.mark.parametrize(
    ("sessions", "role"),
    [({"app_a": 3, "app_b": 0}, "app_b"), ({"app_a": 0, "app_b": 2}, "app_a"), ({}, "app_a")],
)
def test_group_when_rotated_means_the_login_that_is_not_in_use(
    folder: InventoryFolder, sessions: dict[str, int], role: str
) -> None:
    assert rotation_step(folder.load(), "app", **sessions).role == role


def test_group_when_all_its_logins_are_in_use_is_refused(folder: InventoryFolder) -> None:
    with pytest.raises(Refused, match=r"app_a \(3 sessions\), app_b \(1 sessions\)"):
        rotation_step(folder.load(), app_a=3, app_b=1)


def test_group_when_one_of_its_logins_was_begun_goes_on_with_that_one(
    folder: InventoryFolder,
) -> None:
    rotation_step(folder.load(), app_a=1).begin()
    assert rotation_step(folder.load(), app_b=9).role == "app_b"


def test_login_when_named_is_meant_in_use_or_not(folder: InventoryFolder) -> None:
    assert rotation_step(folder.load(), "app_a", app_a=5).role == "app_a"


def test_name_when_nobody_has_it_is_bad_input(folder: InventoryFolder) -> None:
    with pytest.raises(InventoryError, match="neither a role with a password nor a group") as wrong:
        rotation_step(folder.load(), "rails")
    assert wrong.value.next == "one of: app_a, app_b, alone, replicator"


def test_password_when_stored_elsewhere_is_refused(folder: InventoryFolder) -> None:
    with pytest.raises(Refused, match="the secret comes from !env ALONE"):
        rotation_step(folder.load(), "alone")


def test_files_when_begun_and_finished_contain_the_old_password_as_long_as_it_may_be_needed(
    folder: InventoryFolder,
) -> None:
    file = folder.path / "secrets/app_a.password"
    previous = folder.path / "secrets/app_a.password.previous"
    first = rotation_step(folder.load())
    assert file.read_text() == "password of app_a\n"
    first.begin()
    assert previous.read_text() == "password of app_a\n"
    assert [path.stat().st_mode & 0o777 for path in (file, previous)] == [0o600, 0o600]
    made = folder.load().roles["app_a"].password
    assert made == first.password
    again = rotation_step(folder.load())
    again.begin()
    assert (again.started, again.password, previous.exists()) == (True, made, True)
    again.finish()
    assert (folder.load().roles["app_a"].password, previous.exists()) == (made, False)


def test_files_when_interrupted_between_the_two_then_begins_again(folder: InventoryFolder) -> None:
    first = rotation_step(folder.load())
    first.previous.hardlink_to(first.file)
    assert not rotation_step(folder.load()).started


def test_role_that_may_connect_nowhere_is_refused(folder: InventoryFolder) -> None:
    cluster = (folder.path / "cluster.yml").read_text().replace("[app_a, app_b]", "[app_a]")
    folder.write("cluster.yml", cluster)
    inventory = folder.load()
    with pytest.raises(Refused, match="may connect to no database"):
        rotate_password.tiers(inventory, rotation_step(inventory, "app_b"), ())


def test_steps_when_the_replication_role_is_meant_end_with_a_login_of_each_replica(
    folder: InventoryFolder,
) -> None:
    replica = "role: replica\nprivate_ip: 10.0.1.3\naddress: 192.0.2.3\n"
    folder.write("nodes/db-2.yml", replica)
    inventory = folder.load()
    steps = rotate_password.tiers(inventory, rotation_step(inventory, "replicator"), ())
    assert [[f"{resource.on}: {resource}" for resource in tier.resources] for tier in steps] == [
        ["db-1: identity books/db-1", "db-2: identity books/db-2"],
        ["db-1: split-brain check db-1 and 1 replicas"],
        ["db-1: role replicator"],
        ["db-2: file /etc/pgprovision/replication.pgpass"],
        ["db-2: verified login replicator on db-1"],
    ]
