"""F91: what is sent to one database in a pass goes through one psql; each step is named all the
same."""

import pytest

from pgprovision.engine.model import Action, Diff
from pgprovision.errors import StepFailed
from pgprovision.resources.postgres.catalog.role import Role
from pgprovision.resources.postgres.server.instance import Instance
from pgprovision.resources.postgres.server.snapshot import SnapshotQuery
from pgprovision.secret import Secret
from pgprovision.transport.host import Host
from pgprovision.transport.local import LocalConnection
from tests.support.postgres_machine import LOCAL, sql


def say(instance: Instance, *statements: str) -> list[Action]:
    """Each statement as a step of its own."""
    anybody = Role(on=LOCAL, snapshot=SnapshotQuery(instance), role="anybody")
    return [anybody.sql(text, [text]) for text in statements]


@pytest.mark.covers("F91")
def test_steps_when_on_one_database_are_sent_to_one_server_process(instance: Instance) -> None:
    sql(instance, "create table public.seen (at serial, pid int)")
    look = "insert into public.seen (pid) values (pg_backend_pid())"
    done: list[Action] = []
    Host(LOCAL, LocalConnection).act(say(instance, *[look] * 20), done.append)
    assert len(done) == 20
    assert sql(instance, "select count(*), count(distinct pid) from public.seen") == "20|1"


@pytest.mark.covers("F91")
def test_step_when_it_fails_among_others_is_named_and_none_follows(instance: Instance) -> None:
    steps = say(instance, "create role one", "create role two in role nobody", "create role three")
    done: list[Action] = []
    with pytest.raises(StepFailed) as failure:
        Host(LOCAL, LocalConnection).act(steps, done.append)
    assert failure.value.what.startswith("create role two in role nobody failed (exit 3)")
    assert 'role "nobody" does not exist' in failure.value.what
    assert done == steps[:1]
    there = "select string_agg(rolname, ' ') from pg_roles where rolname in ('one', 'two', 'three')"
    assert sql(instance, there) == "one"


@pytest.mark.covers("F91")
def test_password_when_others_are_sent_after_it_then_their_activity_is_shown(
    instance: Instance,
) -> None:
    role = Role(
        on=LOCAL, snapshot=SnapshotQuery(instance), role="hidden", password=Secret("p", "here")
    )
    statement = "create table public.shown as select current_setting('track_activities') as now"
    steps = [*role.change(Diff(None, role.desired())), *say(instance, statement)]
    Host(LOCAL, LocalConnection).act(steps, lambda _: None)
    assert sql(instance, "select now from public.shown") == "on"
