"""The main job on real machines: a plan, a primary with its backup, a replica that streams."""

import json
import shutil
import subprocess
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from pgprovision.lab.process import wait_until
from tests.cluster.conftest import PRIMARY, REPLICA, CommandStep
from tests.support.cli_user import CliUser

pytestmark = pytest.mark.lab


def recorded(step: CommandStep) -> list[dict[str, object]]:
    """The lines of the record that a run kept."""
    lines = Path(step.document["record"]).read_text().splitlines()
    return [json.loads(line) for line in lines]


def test_plan_when_nothing_is_there_shows_all_of_it_as_to_be_made(plan: CommandStep) -> None:
    changes = plan.document["changes"]
    assert plan.run.code == 1
    assert [c["name"] for c in changes if c["before"] is not None] == []
    assert {c["target"] for c in changes} == {"controller", "hetzner", PRIMARY}
    kinds = {c["kind"] for c in changes}
    assert kinds >= {"network", "server", "packages", "role", "first backup", "identity marker"}


def test_plan_when_nothing_is_there_moves_nothing(plan: CommandStep) -> None:
    assert (plan.api_writes, plan.controller_files) == (0, [])


def test_up_primary_when_nothing_is_there_makes_what_was_planned(
    plan: CommandStep, primary: CommandStep
) -> None:
    assert primary.run.code == 0, primary.run.err
    made = {(c["target"], c["kind"], c["name"]) for c in primary.document["changes"]}
    declared = {(c["target"], c["kind"], c["name"]) for c in plan.document["changes"]}
    # What only a machine that is there can tell: who has not read its configuration yet, which
    # host key it took, which database it holds.
    later = {"daemon configuration", "file permissions", "rotated host key pin", "node registry"}
    assert {kind for _, kind, _ in made - declared} <= later
    assert primary.document["remaining"] == []
    kinds = {kind for _, kind, _ in made}
    assert kinds >= {"network", "placement group", "firewall", "ssh key", "server"}
    assert kinds >= {"packages", "PostgreSQL cluster", "role", "database", "extension"}
    assert kinds >= {"stanza", "first backup", "identity marker"}


@pytest.mark.covers("row:A1", "row:A3")
def test_server_when_made_is_of_the_type_and_has_its_private_address(
    person: CliUser, primary: CommandStep
) -> None:
    server = person.cloud().servers.get_by_name(PRIMARY)
    assert server is not None
    assert server.status == "running"
    assert server.server_type is not None
    assert server.server_type.name == "ccx13"
    assert [network.ip for network in server.private_net or ()] == ["10.0.1.2"]
    assert server.protection == {"delete": True, "rebuild": True}
    assert "10.0.1.2/32" in person.shell(PRIMARY, "ip -4 -br addr")


@pytest.mark.covers("row:B2")
def test_cluster_when_made_has_checksums_and_the_declared_locale(
    person: CliUser, primary: CommandStep
) -> None:
    assert person.sql(PRIMARY, "show data_checksums; show server_version_num").split()[0] == "on"
    collations = "select distinct pg_encoding_to_char(encoding), datcollate from pg_database"
    assert person.sql(PRIMARY, collations) == "UTF8|C.UTF-8"


@pytest.mark.covers("row:C4", "row:C6")
def test_roles_and_database_when_made_are_as_declared(
    person: CliUser, primary: CommandStep
) -> None:
    limit = "select rolconnlimit, rolcanlogin, rolsuper from pg_roles where rolname = 'rails'"
    assert person.sql(PRIMARY, limit) == "500|t|f"
    owner = "select datdba::regrole from pg_database where datname = 'hcb_production'"
    assert person.sql(PRIMARY, owner) == "rails"
    extensions = "select extname from pg_extension order by 1"
    names = person.sql(PRIMARY, extensions, "hcb_production").split()
    assert names == ["pg_stat_statements", "pgcrypto", "plpgsql"]


@pytest.mark.covers("row:D4")
def test_first_full_backup_when_up_ends_is_in_the_bucket_encrypted(
    person: CliUser, primary: CommandStep
) -> None:
    bucket = person.lab.home / "s3/data" / person.lab.env()["PGPROVISION_LAB_S3_BUCKET"]
    (backup,) = (bucket / "hcb-lab/backup/main").glob("*F")
    objects = [path for path in backup.rglob("*") if path.is_file()]
    assert sum(path.stat().st_size for path in objects) > 1_000_000
    assert all(path.read_bytes().startswith(b"Salted__") for path in objects)
    assert list((bucket / "hcb-lab/archive/main").rglob("0000000100000000*"))


@pytest.mark.covers("row:D5")
def test_timers_when_up_ends_wait_for_their_hour(person: CliUser, primary: CommandStep) -> None:
    timers = person.shell(PRIMARY, "systemctl list-timers --no-legend 'pgbackrest-*'")
    assert [kind in timers for kind in ("backup-full.timer", "backup-diff.timer")] == [True, True]


def test_marker_when_up_ends_was_written_last_and_names_the_database(
    person: CliUser, primary: CommandStep
) -> None:
    done = [line for line in recorded(primary) if line["event"] == "done"]
    acts = [line for line in done if line["on"] == PRIMARY]
    assert str(acts[-1]["resource"]).startswith("identity marker ")
    marker = json.loads(person.shell(PRIMARY, "cat /etc/pgprovision/marker.json"))
    system = person.sql(PRIMARY, "select system_identifier from pg_control_system()")
    assert marker["system_identifier"] == system


def test_record_when_up_ends_names_each_act_before_it_was_done(primary: CommandStep) -> None:
    begun: set[object] = set()
    for line in recorded(primary):
        if line["event"] == "acting":
            begun.add((line["on"], line["resource"]))
        elif line["event"] == "done":
            assert (line["on"], line["resource"]) in begun
    assert recorded(primary)[-1]["result"] == "done"


def test_up_when_everything_is_there_finds_nothing_in_one_trip(primary_again: CommandStep) -> None:
    found = primary_again.document
    assert primary_again.run.code == 0
    assert (found["changes"], found["remaining"], found["in_progress"]) == ([], [], [])
    assert (found["ssh_execs"], found["api_calls"]) == ({PRIMARY: 1}, 5)


def test_up_when_everything_is_there_writes_nowhere(primary_again: CommandStep) -> None:
    assert primary_again.api_writes == 0
    assert primary_again.controller_files == []
    assert primary_again.host_files == ""


@pytest.mark.covers("row:E2", "row:E4")
def test_add_replica_when_done_streams_and_has_caught_up(cluster: CliUser) -> None:
    receiver = "select status, slot_name from pg_stat_wal_receiver"
    assert cluster.sql(REPLICA, receiver) == "streaming|pgprovision_server_postgres_2"
    assert cluster.sql(REPLICA, "select pg_is_in_recovery()") == "t"
    cluster.sql(PRIMARY, "create table seen as select 42 as answer", "hcb_production")
    there = "select to_regclass('seen') is not null"
    assert wait_until(lambda: cluster.sql(REPLICA, there, "hcb_production") == "t", seconds=10)
    assert cluster.sql(REPLICA, "select answer from seen", "hcb_production") == "42"
    cluster.sql(PRIMARY, "drop table seen", "hcb_production")


@pytest.mark.covers("row:E1")
def test_slot_when_the_replica_streams_is_one_and_capped(cluster: CliUser) -> None:
    slots = "select slot_name, slot_type, active, wal_status from pg_replication_slots"
    assert cluster.sql(PRIMARY, slots) == "pgprovision_server_postgres_2|physical|t|reserved"
    assert cluster.sql(PRIMARY, "show max_slot_wal_keep_size") == "2GB"


@pytest.mark.covers("row:E2")
def test_replica_when_seeded_has_what_we_rendered_and_nothing_over_it(cluster: CliUser) -> None:
    data = "/var/lib/postgresql/15/main"
    assert cluster.shell(REPLICA, f"grep -v '^#' {data}/postgresql.auto.conf", fails=True) == ""
    assert cluster.shell(REPLICA, f"stat -c %a {data}") == "700"
    assert cluster.sql(REPLICA, "show cluster_name") == REPLICA
    assert "verify-full" in cluster.sql(REPLICA, "show primary_conninfo")


def test_up_when_the_replica_streams_finds_nothing_in_one_trip_each(cluster: CliUser) -> None:
    found = cluster.run_json("up")
    assert (found["changes"], found["remaining"]) == ([], [])
    assert (found["ssh_execs"], found["api_calls"]) == ({PRIMARY: 1, REPLICA: 1}, 5)


@pytest.mark.covers("row:D3")
def test_status_when_the_replica_streams_shows_both_the_backup_and_the_archive(
    cluster: CliUser,
) -> None:
    found = cluster.run_json("status")
    assert set(found) >= {"version", "cluster", "nodes", "backups", "archive"}
    first, second = found["nodes"]
    keys = (
        "name address private_ip role reachable lag_bytes lag_seconds slot_wal_status version drift"
    )
    assert set(first) >= set(keys.split())
    assert (first["name"], first["role"], first["private_ip"]) == (PRIMARY, "primary", "10.0.1.2")
    assert (second["name"], second["role"], second["slot_wal_status"]) == (
        REPLICA,
        "replica",
        "reserved",
    )
    assert first["reachable"]
    assert second["reachable"]
    assert (first["drift"], second["drift"]) == ([], [])
    assert second["lag_bytes"] <= 16 * 1024 * 1024
    assert 0 <= second["lag_seconds"] < 60
    assert second["version"].startswith("15.")
    (backup,) = found["backups"]
    assert (backup["type"], backup["size"] > 1_000_000) == ("full", True)
    age = datetime.now(UTC) - datetime.fromisoformat(backup["stop"])
    assert timedelta(0) <= age < timedelta(hours=1)
    assert not found["archive"]["failing"]
    assert found["archive"]["last_segment"].startswith("00000001")


def test_hcloud_when_it_lists_servers_shows_labels_and_private_addresses(cluster: CliUser) -> None:
    hcloud = shutil.which("hcloud")
    if hcloud is None:
        pytest.skip("no hcloud command: apt-get install hcloud-cli")
    columns = ["-o", "columns=name,status,private_net,labels", "-o", "noheader"]
    listed = subprocess.run(
        [hcloud, "server", "list", "-l", "cluster=hcb-lab", *columns],
        env=cluster.environment,
        capture_output=True,
        text=True,
        check=True,
    )
    lines = sorted(" ".join(line.split()) for line in listed.stdout.splitlines())
    for line, name, address in zip(
        lines, (PRIMARY, REPLICA), ("10.0.1.2", "10.0.1.3"), strict=True
    ):
        ours = f"cluster=hcb-lab, managed-by=pgprovision, node={name}"
        assert line == f"{name} running {address} (hcb-network) {ours}"
