"""The snapshot of a primary and of its standby, streaming on this machine."""

from collections.abc import Iterator

import pytest

from pgprovision.quote import sh
from pgprovision.resources.postgres.replication.slot import Slot
from pgprovision.resources.postgres.server.instance import Instance, as_postgres
from pgprovision.resources.postgres.server.snapshot import ServerSnapshot, SnapshotQuery
from pgprovision.transport.host import Host
from pgprovision.transport.local import LocalConnection
from tests.support.postgres_machine import (
    LOCAL,
    converge_local,
    plan_local,
    shell,
    sql,
    temporary_cluster,
)


def look(snapshot: SnapshotQuery) -> ServerSnapshot:
    answers = Host(LOCAL, LocalConnection).observe([snapshot.probe()])
    assert isinstance(answers, dict)
    server = snapshot.parse(answers[snapshot.probe()])
    assert isinstance(server, ServerSnapshot)
    return server


@pytest.fixture(scope="module")
def slot(instance: Instance) -> Slot:
    slot = Slot(on=LOCAL, snapshot=SnapshotQuery(instance), slot="standby")
    converge_local(slot)
    return slot


@pytest.fixture(scope="module")
def standby(instance: Instance, slot: Slot) -> Iterator[Instance]:
    with temporary_cluster("standby") as standby:
        cluster = (str(standby.version), standby.name)
        data = standby.data_directory
        shell(sh("pg_ctlcluster", *cluster, "stop") + f" && find {sh(data)} -mindepth 1 -delete")
        words = ("pg_basebackup", "-p", str(instance.port), "-D", data, "-R", "-S", slot.slot)
        shell(as_postgres(*words, "-c", "fast", "--no-sync"))
        shell(sh("pg_ctlcluster", *cluster, "start"))
        yield standby
    sql(instance, f"select pg_drop_replication_slot('{slot.slot}')")


def test_snapshot_when_a_standby_streams_then_both_sides_say_so(
    instance: Instance, standby: Instance, slot: Slot
) -> None:
    above, below = look(SnapshotQuery(instance)), look(SnapshotQuery(standby, ("postgres",)))
    assert (above.in_recovery, below.in_recovery) == (False, True)
    assert above.system_identifier == below.system_identifier
    assert above.timeline == below.timeline == 1
    assert [row["state"] for row in above.replication] == ["streaming"]
    assert above.slots[slot.slot]["active"] is True
    assert below.receiver is not None
    assert below.receiver["slot_name"] == slot.slot
    assert below.lsn["replayed"] is not None
    assert set(below.auto_conf) == {"primary_conninfo", "primary_slot_name"}
    assert below.database_snapshots == {}


def test_slot_when_its_replica_streams_then_nothing_differs(standby: Instance, slot: Slot) -> None:
    assert plan_local(slot) == []
