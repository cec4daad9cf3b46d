"""What `up` made on Vagrant's machines, and what comes back by itself after a real reboot."""

import pytest

from tests.vagrant.conftest import PRIMARY, REPLICA, Cluster, eventually

pytestmark = pytest.mark.vagrant


def test_boot_when_provisioned_ends_with_no_failed_unit(cluster: Cluster) -> None:
    for node in (PRIMARY, REPLICA):
        assert cluster.shell(node, "systemctl --failed --no-legend --plain") == ""


def test_E4_replica_when_provisioned_streams_what_the_primary_writes(cluster: Cluster) -> None:
    streaming = "select count(*) from pg_stat_replication where state = $$streaming$$"
    assert eventually(lambda: cluster.sql(PRIMARY, streaming) == "1")
    assert cluster.sql(REPLICA, "select pg_is_in_recovery()") == "t"
    cluster.sql(PRIMARY, "create table if not exists seen (at timestamptz)", "hcb_production")
    cluster.sql(PRIMARY, "insert into seen values (now())", "hcb_production")
    written = cluster.sql(PRIMARY, "select count(*) from seen", "hcb_production")
    rows = "select count(*) from seen"
    assert eventually(lambda: cluster.sql(REPLICA, rows, "hcb_production") == written)


def test_up_when_nothing_differs_is_one_trip_per_machine(cluster: Cluster) -> None:
    found = cluster.run("up", "--json")
    document = found.document
    assert (document["changes"], document["left"], document["waiting"]) == ([], [], [])
    assert document["trips"] == {PRIMARY: 1, REPLICA: 1}
    assert found.code == 0


def test_status_when_provisioned_shows_roles_slot_and_backup(cluster: Cluster) -> None:
    document = cluster.run("status", "--json").document
    roles = {node["name"]: (node["role"], node["slot"]) for node in document["nodes"]}
    assert roles == {PRIMARY: ("primary", None), REPLICA: ("replica", "reserved")}
    assert [backup["type"] for backup in document["backups"]] == ["full"]
    assert not document["archive"]["failing"]
    assert document["troubles"] == []


def test_B7_D5_timers_and_firewall_when_provisioned_are_there(cluster: Cluster) -> None:
    for node in (PRIMARY, REPLICA):
        assert cluster.shell(node, "systemctl is-active pgbackrest-backup-full.timer") == "active"
        assert "5432" in cluster.shell(node, "nft list table inet pgprovision")
