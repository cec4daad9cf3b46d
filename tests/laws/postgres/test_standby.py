"""The snapshot of a primary and of its standby, streaming on this machine."""

from collections.abc import Iterator

import pytest

from pgprovision.quote import sh
from pgprovision.resources.postgres.replication.slot import Slot
from pgprovision.resources.postgres.server.instance import Instance, as_postgres
from pgprovision.resources.postgres.server.snapshot import Server, Snapshot
from pgprovision.transport.host import Host
from pgprovision.transport.local import LocalWire
from tests.support.postgres_machine import HERE, plan, run, running, shell, sql


def look(snapshot: Snapshot) -> Server:
    answers = Host(HERE, LocalWire).look([snapshot.ask()])
    assert isinstance(answers, dict)
    server = snapshot.parse(answers[snapshot.ask()])
    assert isinstance(server, Server)
    return server


@pytest.fixture(scope="module")
def slot(instance: Instance) -> Slot:
    slot = Slot(on=HERE, snapshot=Snapshot(instance), slot="standby")
    run(slot)
    return slot


@pytest.fixture(scope="module")
def standby(instance: Instance, slot: Slot) -> Iterator[Instance]:
    with running("standby") as standby:
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
    above, below = look(Snapshot(instance)), look(Snapshot(standby, ("postgres",)))
    assert (above.in_recovery, below.in_recovery) == (False, True)
    assert above.system_identifier == below.system_identifier
    assert above.timeline == below.timeline == 1
    assert [row["state"] for row in above.replication] == ["streaming"]
    assert above.slots[slot.slot]["active"] is True
    assert below.receiver is not None
    assert below.receiver["slot_name"] == slot.slot
    assert below.lsn["replayed"] is not None
    assert set(below.auto_conf) == {"primary_conninfo", "primary_slot_name"}
    assert below.inside == {}


def test_slot_when_its_replica_streams_then_nothing_differs(standby: Instance, slot: Slot) -> None:
    assert plan(slot) == []
