"""C8: settings that a standby needs at least as high as its primary, and who moves first."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

from pgprovision.engine.model import Answer, Diff, Probe
from pgprovision.render import render
from pgprovision.resources.postgres.configuration.pending_configuration import PendingConfiguration
from pgprovision.resources.postgres.configuration.postgresql_conf import PostgresqlConf
from pgprovision.resources.postgres.configuration.settings import Upstream
from pgprovision.resources.postgres.configuration.shared_memory import (
    RolloutOrder,
    control_file_probe,
    parse_control_file,
)
from pgprovision.resources.postgres.server.instance import Instance
from pgprovision.resources.postgres.server.snapshot import SnapshotQuery
from tests.support.case_answers import server_row

SNAPSHOT = SnapshotQuery(Instance())
ORDER = RolloutOrder("p", ("r1", "r2"), frozenset({"p", "r1", "r2"}))
OURS = "/etc/postgresql/15/main/postgresql.conf"
GB = 1 << 30
CONTROL = """\
wal_level setting:                    logical
max_connections setting:              {max_connections}
max_worker_processes setting:         8
max_wal_senders setting:              10
max_prepared_xacts setting:           0
max_locks_per_xact setting:           64
"""


@dataclass
class Nodes:
    """What each node runs with, and what the standbys' control files demand."""

    running: Mapping[str, int] = field(default_factory=dict)
    control: int = 200
    file: str = OURS
    pending: Mapping[str, Any] = field(default_factory=dict)

    def get(self, on: str, probe: Probe) -> Answer | None:
        if probe == control_file_probe(SNAPSHOT.instance):
            return Answer(out=f"max_connections {self.control}\n".encode())
        if probe != SNAPSHOT.probe() or on not in self.running:
            return None
        value = {"value": str(self.running[on]), "unit": None, "source": "", "file": self.file}
        server = server_row(in_recovery=on != "p", settings={"max_connections": value})
        server["contexts"] = {"max_connections": "postmaster"}
        return Answer(out=json.dumps({**server, "pending_restart": self.pending}).encode())


def conf(on: str, facts: Nodes, **settings: int) -> PostgresqlConf:
    made = PostgresqlConf(
        on=on,
        snapshot=SNAPSHOT,
        render=partial(render, "postgresql.conf.j2"),
        node=on,
        upstream=None if on == "p" else Upstream("host=p", on),
        overrides=settings,
        memory=GB,
        cores=2,
        disk=80 * GB,
        rollout_order=ORDER,
    )
    return made.resolved(facts)


def diff(resource: PostgresqlConf, **before: int) -> Diff:
    """The file as it was rendered with other settings."""
    was = replace(resource, overrides=before, rollout_order=None)
    return Diff(was.desired(), resource.desired())


def written(resource: PostgresqlConf, found: Diff) -> str:
    """The line that goes into the file now."""
    stdin = next(iter(resource.change(found))).stdin
    assert isinstance(stdin, bytes)
    return next(x for x in stdin.decode().splitlines() if x.startswith("max_connections"))


def why_blocked(resource: PostgresqlConf | PendingConfiguration, found: Diff) -> str:
    blocked = resource.blocked_by(found)
    return blocked.reason if blocked else ""


def test_control_file_when_read_names_them_as_postgresql_conf_does() -> None:
    lines = (line.replace(" setting:", "") for line in CONTROL.splitlines())
    text = "\n".join(line for line in lines if line.startswith("max_"))
    assert parse_control_file(text.format(max_connections=7)) == {
        "max_connections": 7,
        "max_worker_processes": 8,
        "max_wal_senders": 10,
        "max_prepared_transactions": 0,
        "max_locks_per_transaction": 64,
    }


def test_raising_when_a_standby_has_less_then_the_primary_waits_for_it() -> None:
    facts = Nodes({"p": 200, "r1": 300, "r2": 200})
    primary, standby = (conf(on, facts, max_connections=300) for on in ("p", "r2"))
    assert why_blocked(standby, diff(standby)) == ""
    assert why_blocked(primary, diff(primary)) == "r2 first: it runs with max_connections = 200"


def test_raising_when_every_standby_has_it_then_the_primary_is_next() -> None:
    primary = conf("p", Nodes({"p": 200, "r1": 300, "r2": 300}), max_connections=300)
    assert why_blocked(primary, diff(primary)) == ""


def test_raising_when_a_standby_is_down_then_the_primary_does_not_wait_for_it() -> None:
    primary = conf("p", Nodes({"p": 200, "r1": 300}), max_connections=300)
    assert why_blocked(primary, diff(primary)) == ""


def test_lowering_when_the_primary_has_more_then_the_standby_waits_for_it() -> None:
    facts = Nodes({"p": 300, "r1": 300, "r2": 300}, control=300)
    primary, standby = (conf(on, facts, max_connections=100) for on in ("p", "r1"))
    assert why_blocked(primary, diff(primary, max_connections=300)) == ""
    reason = "p first: from it come max_connections = 300"
    assert why_blocked(standby, diff(standby, max_connections=300)) == reason


def test_lowering_when_it_has_been_replayed_then_the_standby_is_next() -> None:
    standby = conf("r1", Nodes({"p": 100, "r1": 300}, control=100), max_connections=100)
    found = diff(standby, max_connections=300)
    assert why_blocked(standby, found) == ""
    assert written(standby, found) == "max_connections = 100  # set in the inventory"


def test_lowering_when_something_else_rises_then_the_standby_takes_a_step_between() -> None:
    facts = Nodes({"p": 300, "r1": 300}, control=300)
    standby = conf("r1", facts, max_connections=100, max_wal_senders=20)
    found = diff(standby, max_connections=300)
    assert why_blocked(standby, found) == ""
    assert written(standby, found).startswith("max_connections = 300 ")
    between = diff(standby, max_connections=300, max_wal_senders=20)
    assert why_blocked(standby, between) == "p first: from it come max_connections = 300"


def test_waiting_when_the_other_is_no_part_of_the_run_then_does_not_wait() -> None:
    facts = Nodes({"p": 200, "r1": 200})
    primary = conf("p", facts, max_connections=300)
    assert primary.rollout_order
    alone = replace(
        primary, rollout_order=replace(primary.rollout_order, in_scope=frozenset({"p"}))
    )
    blocked = alone.blocked_by(diff(alone))
    assert blocked
    assert blocked.timeout == 0
    assert blocked.reason.startswith("r1 first, which is not part of this run")


def test_standby_when_people_raised_the_primary_in_local_conf_then_goes_with_it() -> None:
    local = OURS.replace("postgresql.conf", "local.conf")
    standby = conf("r1", Nodes({"p": 500, "r1": 500}, control=500, file=local))
    assert "max_connections = 500" in standby.text()
    assert not Diff(standby.desired(), standby.desired())


def test_loaded_when_local_conf_raises_the_primary_then_it_waits_for_the_standbys() -> None:
    pending = {"max_connections": {"value": "300", "file": "local.conf"}}
    facts = Nodes({"p": 200, "r1": 200, "r2": 300}, pending=pending)
    resource = PendingConfiguration(on="p", snapshot=SNAPSHOT, rollout_order=ORDER).resolved(facts)
    answer = facts.get("p", SNAPSHOT.probe())
    assert answer
    before = resource.read(answer)
    assert isinstance(before, dict)
    found = Diff(before, resource.desired())
    assert why_blocked(resource, found) == "r1 first: it runs with max_connections = 200"
