"""`access` of a database: what it makes of the roles, and what is wrong with it."""

from pathlib import Path

import pytest

from tests.support.inventory_folders import STATIC_CLUSTER, static_inventory

SPLIT = """\
cluster: books
roles:
  rails: {password: !file secrets/rails.password}
  owner: {login: false}
  gone: {present: false}
postgres:
  hba: [{databases: [books], users: [%(user)s], addresses: [10.0.0.0/16]}]
databases:
  books:
    owner: owner
    access: %(access)s
    grants: %(grants)s
"""


def split(access: str, grants: str = "[]", user: str = "rails") -> str:
    return SPLIT % {"access": access, "grants": grants, "user": user}


def test_groups_when_nobody_declared_them_are_made_before_their_members(tmp_path: Path) -> None:
    access = "{application: {group: app, logins: [rails]}, read_only: {group: readers}}"
    folder = static_inventory(tmp_path, split(access))
    roles = folder.load().roles
    assert list(roles) == ["app", "rails", "owner", "gone", "readers"]
    assert roles["rails"].member_of == ("app",)
    assert (roles["app"].login, roles["app"].password) == (False, None)
    assert roles["readers"].comment == "reads books; its members log in"


def test_migration_when_declared_acts_as_the_owner(tmp_path: Path) -> None:
    roles = static_inventory(tmp_path, split("{migration: [rails]}")).load().roles
    assert roles["rails"].member_of == ("owner",)


@pytest.mark.parametrize(
    ("access", "expected"),
    [
        ("{migration: [rials]}", "role rials is not declared under roles"),
        ("{migration: [owner]}", "owner cannot log in; expected a role with login: true"),
        ("{application: {group: rails}}", "rails can log in; expected login: false"),
        ("{application: {group: owner}}", "the owner can do everything; expected a role of its"),
        (
            "{application: {group: app}, read_only: {group: app}}",
            "the application's group; expected another group",
        ),
        ("{application: {group: app, logins: [app]}}", "app is a group; expected a role that"),
        ("{migration: [gone]}", "role gone is declared absent (present: false)"),
    ],
)
def test_access_when_its_names_do_not_fit_is_refused(
    tmp_path: Path, access: str, expected: str
) -> None:
    problems = static_inventory(tmp_path, split(access)).problems()
    assert [c for c in problems if expected in c], problems


def test_grant_when_access_gives_it_already_is_refused(tmp_path: Path) -> None:
    access = "{application: {group: app, logins: [rails]}}"
    folder = static_inventory(tmp_path, split(access, "[{to: app, privileges: [CONNECT]}]"))
    assert folder.only_problem().endswith(
        "databases.books.grants[0].to: app has its privileges from access; "
        "expected them in one place"
    )


@pytest.mark.parametrize(
    ("access", "grants"),
    [("{migration: [rails]}", "[]"), ("{}", "[{to: rails, privileges: [CONNECT]}]")],
)
def test_user_of_hba_when_it_may_connect_is_fine(tmp_path: Path, access: str, grants: str) -> None:
    assert static_inventory(tmp_path, split(access, grants)).problems() == []


def test_user_of_hba_when_it_may_not_connect_is_pointed_out(tmp_path: Path) -> None:
    assert (
        static_inventory(tmp_path, split("{}"))
        .only_problem()
        .endswith(
            "postgres.hba[0].users[0]: rails may not connect to books; expected it in "
            "databases.books.access, or a grant of CONNECT"
        )
    )


def test_owner_when_it_logs_in_needs_no_access(tmp_path: Path) -> None:
    hba = (
        "postgres: {hba: [{databases: [hcb_production], users: [rails], addresses: [10.0.0.0/8]}]}"
    )
    assert static_inventory(tmp_path, STATIC_CLUSTER + hba).problems() == []
