"""What `up` made on Vagrant's machines, and what comes back by itself after a real reboot."""

import pytest

from pgprovision.resources.postgres.server import huge_pages, kernel_parameters
from tests.vagrant.conftest import PRIMARY, REPLICA, Cluster, eventually

NODES = (PRIMARY, REPLICA)
CLOCK = "systemd-timesyncd.service"

pytestmark = pytest.mark.vagrant


@pytest.fixture
def own_kernel(cluster: Cluster) -> Cluster:
    """The machines, where they have a kernel to set."""
    return with_kernel(cluster)


def with_kernel(cluster: Cluster) -> Cluster:
    if cluster.shell(PRIMARY, "systemd-detect-virt --container || :") != "none":
        pytest.skip("a container has its host's kernel; `make vagrant PROVIDER=libvirt` shows this")
    return cluster


def test_boot_when_provisioned_ends_with_no_failed_unit(cluster: Cluster) -> None:
    for node in NODES:
        assert cluster.shell(node, "systemctl --failed --no-legend --plain") == ""


@pytest.mark.covers("row:E4")
def test_replica_when_provisioned_streams_what_the_primary_writes(cluster: Cluster) -> None:
    streaming = "select count(*) from pg_stat_replication where state = $$streaming$$"
    assert eventually(lambda: cluster.sql(PRIMARY, streaming) == "1")
    assert cluster.sql(REPLICA, "select pg_is_in_recovery()") == "t"
    cluster.sql(PRIMARY, "create table if not exists seen (at timestamptz)", "hcb_production")
    cluster.sql(PRIMARY, "insert into seen values (now())", "hcb_production")
    written = cluster.sql(PRIMARY, "select count(*) from seen", "hcb_production")
    rows = "select count(*) from seen"
    assert eventually(lambda: cluster.sql(REPLICA, rows, "hcb_production") == written)


def test_up_when_nothing_differs_is_one_trip_per_machine(cluster: Cluster) -> None:
    found = cluster.run("up", "--yes", "--json")
    document = found.document
    assert (document["changes"], document["remaining"], document["in_progress"]) == ([], [], [])
    assert document["ssh_execs"] == {PRIMARY: 1, REPLICA: 1}
    assert found.code == 0, found.err


def test_status_when_provisioned_shows_roles_slot_and_backup(cluster: Cluster) -> None:
    document = cluster.run("status", "--json").document
    roles = {node["name"]: (node["role"], node["slot_wal_status"]) for node in document["nodes"]}
    assert roles == {PRIMARY: ("primary", None), REPLICA: ("replica", "reserved")}
    assert [backup["type"] for backup in document["backups"]] == ["full"]
    assert not document["archive"]["failing"]
    assert document["problems"] == []


@pytest.mark.covers("row:B7", "row:D5")
def test_timers_and_firewall_when_provisioned_are_there(cluster: Cluster) -> None:
    for node in NODES:
        assert cluster.shell(node, "systemctl is-active pgbackrest-backup-full.timer") == "active"
        assert "5432" in cluster.shell(node, "nft list table inet pgprovision")


@pytest.mark.covers("row:B4")
def test_kernel_settings_when_provisioned_are_what_is_saved_for_the_next_boot(
    own_kernel: Cluster,
) -> None:
    for node in NODES:
        output = own_kernel.shell(
            node, f"sed -n 's/^-//p' {kernel_parameters.SYSCTL_FILE} {huge_pages.SYSCTL_FILE}"
        )
        declared = dict(line.split(" = ") for line in output.splitlines())
        live = own_kernel.shell(node, f"sysctl --ignore {' '.join(declared)}").splitlines()
        assert dict(line.split(" = ") for line in live).items() <= declared.items()
        for name in ("vm.swappiness", "vm.dirty_bytes", "vm.overcommit_memory", "vm.nr_hugepages"):
            assert f"{name} = {declared[name]}" in live


@pytest.mark.covers("row:B4")
def test_transparent_huge_pages_when_provisioned_are_off(own_kernel: Cluster) -> None:
    for node in NODES:
        assert "[never]" in own_kernel.shell(node, f"cat {kernel_parameters.THP_FILE}")


@pytest.mark.covers("row:B4")
def test_huge_pages_when_provisioned_cover_postgres_shared_memory(own_kernel: Cluster) -> None:
    for node in NODES:
        pages = own_kernel.shell(node, "sed -n 's/^HugePages_[TF].*: *//p' /proc/meminfo")
        total, free = map(int, pages.split())
        assert 0 <= free < total
        maps = "/proc/$(head -n 1 /var/lib/postgresql/15/main/postmaster.pid)/maps"
        assert own_kernel.shell(node, f"grep -c anon_hugepage {maps}") != "0"


@pytest.mark.covers("row:B4")
def test_data_when_provisioned_are_mounted_without_access_times(own_kernel: Cluster) -> None:
    for node in NODES:
        options = own_kernel.shell(node, "findmnt -no OPTIONS -T /var/lib/postgresql/15/main")
        assert "noatime" in options.split(",")
    assert "noatime" not in own_kernel.shell(PRIMARY, "cat /etc/fstab")


@pytest.mark.covers("row:B4", "row:B6")
def test_machine_when_changed_by_hand_is_named_key_by_key_and_repaired(
    provisioned: Cluster,
) -> None:
    """What tests/support/manual_changes.py cannot break in a container."""
    machine = with_kernel(provisioned)
    machine.shell(PRIMARY, "sysctl -qw vm.swappiness=60 vm.nr_hugepages=0")
    machine.shell(
        PRIMARY, f"echo always >{kernel_parameters.THP_FILE}; systemctl -q disable --now {CLOCK}"
    )
    machine.shell(PRIMARY, "mount -o remount,relatime /")
    drift = machine.run("drift", "--json")
    named = {(c["target"], c["kind"]): c["differing_keys"] for c in drift.document["changes"]}
    up = machine.run("up", "--yes", "--json")
    assert drift.code == 1
    assert named == {
        (PRIMARY, "kernel parameters"): ["vm.swappiness"],
        (PRIMARY, "huge pages"): ["reserved"],
        (PRIMARY, "transparent huge pages"): ["enabled"],
        (PRIMARY, "clock"): ["daemon"],
        (PRIMARY, "noatime mount"): ["noatime"],
    }
    assert (up.code, up.document["remaining"]) == (0, []), up.err
    assert machine.shell(PRIMARY, f"systemctl is-active {CLOCK}") == "active"
    assert machine.shell(PRIMARY, "sysctl -n vm.swappiness") == "1"
    assert machine.run("drift").code == 0
