"""F133, F134: what leaves the inventory is reported and stays; absence never cascades."""

from dataclasses import replace

import pytest

from pgprovision.errors import Refused
from pgprovision.quote import ident
from pgprovision.resources.postgres.catalog.role import Role
from pgprovision.resources.postgres.catalog.unmanaged_objects import UnmanagedObjects
from pgprovision.resources.postgres.server.instance import Instance
from pgprovision.resources.postgres.server.snapshot import SnapshotQuery
from tests.support.postgres_machine import LOCAL, converge_local, plan_local, sql

LEAVER, SHOP = 'the "old" app', "it's a = \\shop"


@pytest.fixture
def absent_role(instance: Instance) -> Role:
    """A role that is there, and declared absent."""
    resource = Role(on=LOCAL, snapshot=SnapshotQuery(instance), role=LEAVER)
    converge_local(resource)
    return replace(resource, present=False)


@pytest.mark.covers("F133")
def test_role_when_it_owns_and_holds_something_is_refused_with_the_list(
    instance: Instance, absent_role: Role
) -> None:
    role, shop = ident(LEAVER), ident(SHOP)
    sql(instance, f"create database {shop}; grant create on database {shop} to {role}")
    sql(instance, f"create schema s authorization {role}; create table t (); ", SHOP)
    sql(instance, f"grant select on t to {role}", SHOP)
    with pytest.raises(Refused) as refused:
        converge_local(absent_role)
    listed = (f"privileges on database {SHOP}", f"schema s in {SHOP}", "privileges on table t in")
    assert [name for name in listed if name not in refused.value.what] == []
    assert f"reassign owned by {role} to ...; drop owned by {role}" in refused.value.next
    assert sql(instance, "select count(*) from pg_namespace where nspname = 's'", SHOP) == "1"
    sql(instance, f"reassign owned by {role} to postgres; drop owned by {role}", SHOP)
    converge_local(absent_role)
    assert plan_local(absent_role) == []
    sql(instance, f"drop database {shop}")


@pytest.mark.covers("F133")
def test_role_when_it_owns_nothing_is_dropped(instance: Instance, absent_role: Role) -> None:
    (change,) = converge_local(absent_role).changed
    assert change.diff.after is None
    assert plan_local(absent_role) == []


@pytest.mark.covers("F133", "F134")
def test_role_and_database_when_not_in_the_inventory_are_reported_and_left(
    instance: Instance, absent_role: Role
) -> None:
    sql(instance, f"create database shop owner {ident(LEAVER)}")
    unmanaged = UnmanagedObjects(
        on=LOCAL, snapshot=absent_role.snapshot, roles=frozenset({"x"}), databases=frozenset({"y"})
    )
    report = converge_local(unmanaged)
    assert (report.changed, report.remaining) == ([], [])
    assert [text for _, text in report.notes] == [
        f"not in the inventory, left alone: role {LEAVER} (owns 1 objects)",
        "not in the inventory, left alone: database shop",
    ]
    sql(instance, "drop database shop")
