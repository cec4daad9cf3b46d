"""What a drill judges: listings, WAL, probes, its record, its age. Values only."""

import json
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from pgprovision import record
from pgprovision.engine.model import Answer, Diff, Probe, needs_of
from pgprovision.errors import InventoryError, Locked
from pgprovision.inventory.schema.cluster import Inventory
from pgprovision.operations.drill import checks as drill_judged
from pgprovision.operations.drill import drill
from pgprovision.operations.drill.age import drill_problems
from pgprovision.operations.drill.drill import DrillCheck, DrillResult
from pgprovision.quote import systemd_exec
from pgprovision.record import RecordWriter
from pgprovision.recovery_target import END_OF_WAL
from pgprovision.report.drills import data_loss, last_proven_restore
from pgprovision.resources.data_directory.drill_cleanup import DrillCleanup
from pgprovision.resources.data_directory.integrity import Integrity
from pgprovision.resources.hetzner.deleted_resource import DeletedResource
from pgprovision.resources.pgbackrest import repository_files, unarchived_wal
from pgprovision.resources.pgbackrest.info import BackupInfo
from pgprovision.resources.pgbackrest.unarchived_wal import RecoveryPoint
from pgprovision.resources.postgres.server import scalar_query
from pgprovision.resources.postgres.server.instance import Instance
from pgprovision.resources.system.transient_unit import JobState
from pgprovision.tasks import drill as tasks
from tests.support.inventory_folders import InventoryFolder, hetzner_inventory

WAL = "archive/main/15-1/0000000100000000"
NOW = datetime(2026, 11, 29, 12, tzinfo=UTC)
BACKUP = """\
backup:
  repository:
    {bucket: hcb-backups, endpoint: s3.example.org, region: lab, key: !file key,
     key_secret: !file key_secret, path: /hcb-lab}
"""


@pytest.fixture
def folder(tmp_path: Path) -> InventoryFolder:
    made = hetzner_inventory(tmp_path)
    made.write("key", "AKIAEXAMPLE")
    made.write("key_secret", "a-secret-key-of-the-store")
    made.write("secrets/pgbackrest.passphrase", "p" * 43)
    return made


def inventory(folder: InventoryFolder, drill: str = "") -> Inventory:
    more = f"  drill: {drill}\n" if drill else ""
    roles = "roles:\n  rails: {password: !file secrets/rails.password}\n"
    folder.write("secrets/rails.password", "a-password-of-rails")
    databases = "databases:\n  app: {owner: rails, extensions: [pgcrypto]}\n"
    text = (folder.path / "cluster.yml").read_text() + roles + databases + BACKUP + more
    folder.write("cluster.yml", text)
    return folder.load()


# --- F116: what became of the repository ---


def listed(*paths: str, **times: int) -> dict[str, tuple[int, int]]:
    return {path: (1, times.get(path, 1)) for path in paths}


OLD = listed(f"{WAL}/000000010000000000000001-a.zst", "backup/main/backup.info")


@pytest.mark.covers("F116")
def test_listing_when_nothing_moved_says_nothing() -> None:
    assert not repository_files.compare_files(OLD, dict(OLD))


@pytest.mark.covers("F116")
def test_listing_when_production_archived_meanwhile_names_no_foreign_file() -> None:
    now = {**OLD, **listed(f"{WAL}/000000010000000000000002-b.zst")}
    found = repository_files.compare_files(OLD, now)
    assert (bool(found), found.foreign) == (True, ())


@pytest.mark.covers("F116")
def test_listing_when_a_new_timeline_arrived_names_it() -> None:
    path = "archive/main/15-1/00000002.history"
    assert repository_files.compare_files(OLD, {**OLD, **listed(path)}).foreign == (f"new: {path}",)


@pytest.mark.covers("F116")
def test_listing_when_a_file_is_missing_without_a_backup_names_it() -> None:
    (wal,) = (path for path in OLD if path.startswith("archive"))
    now = {path: state for path, state in OLD.items() if path != wal}
    assert repository_files.compare_files(OLD, now).foreign == (f"gone: {wal}",)


@pytest.mark.covers("F116")
def test_listing_when_a_backup_expired_an_older_one_is_productions_doing() -> None:
    now = {"backup/main/backup.info": (2, 2), **listed("backup/main/20261129F/manifest")}
    assert repository_files.compare_files(OLD, now).foreign == ()


@pytest.mark.covers("F116")
def test_listing_when_wal_was_overwritten_names_it() -> None:
    (wal,) = (path for path in OLD if path.startswith("archive"))
    assert repository_files.compare_files(OLD, {**OLD, wal: (1, 9)}).foreign == (f"changed: {wal}",)


@pytest.mark.covers("F116")
def test_repository_when_it_cannot_be_listed_is_not_called_untouched() -> None:
    check = drill_judged.check_repository(Answer(1), Answer(0, b"{}"), reads_only=True)
    assert not check.passed


def test_listing_when_read_holds_files_only() -> None:
    out = json.dumps({".": {"type": "path"}, "a": {"type": "file", "size": 3, "time": 5}})
    assert repository_files.parse(Answer(0, out.encode())) == {"a": (3, 5)}


# --- the seconds of data lost ---


def standing(text: str) -> RecoveryPoint:
    found = unarchived_wal.parse(Answer(0, text.encode()))
    assert found is not None
    return found


def test_lost_when_everything_is_archived_is_nothing_however_idle() -> None:
    assert standing("1764417600.5 00000001000000000000000A\n").data_loss_seconds == 0.0


def test_lost_when_a_commit_waits_counts_from_the_oldest_one() -> None:
    at = datetime(2026, 11, 29, 12, 0, 42, tzinfo=UTC).timestamp()
    output = f"{at} 00000001000000000000000A\nCOMMIT 2026-11-29 12:00:00.000000 UTC\n"
    assert standing(output).data_loss_seconds == pytest.approx(42.0)


def test_lost_when_the_primary_is_a_standby_is_not_known() -> None:
    assert unarchived_wal.parse(Answer(3, b"", b"recovery is in progress")) is None


@pytest.mark.parametrize(
    ("lsn", "complete"), [("0/A000000", True), ("0/9000028", True), ("0/8FFFFF8", False)]
)
def test_archived_wal_when_the_copy_ends_before_it_is_reported(lsn: str, complete: bool) -> None:
    assert standing("1.0 00000001000000000000000A\n").covered_by(lsn) is complete


def beat(folder: InventoryFolder, newest: str, archived: str) -> DrillResult:
    declared = inventory(folder, "{heartbeat: {database: app, query: select max(at) from beats}}")
    (_, probe) = drill_judged.primary_probes(declared)
    proof = DrillResult("the end of the WAL", "drill")
    there = {probe: Answer(0, newest.encode())} if newest else {}
    drill_judged.measure_data_loss(
        declared,
        proof,
        RecoveryPoint(100.0, "0" * 24, 10.0),
        there,
        {probe: Answer(0, archived.encode())},
    )
    return proof


def test_heartbeat_when_both_have_it_measures_what_is_between(folder: InventoryFolder) -> None:
    proof = beat(folder, "1764417642.0\n", "1764417600.0\n")
    assert (proof.lost_seconds, proof.lost_by) == (42.0, "heartbeat")


def test_heartbeat_when_the_primary_is_silent_leaves_it_to_the_wal(folder: InventoryFolder) -> None:
    proof = beat(folder, "", "1764417600.0\n")
    assert (proof.lost_seconds, proof.lost_by) == (90.0, "wal")


def test_heartbeat_when_the_copy_has_no_row_fails(folder: InventoryFolder) -> None:
    proof = beat(folder, "1764417642.0\n", "\n")
    assert proof.checks == [DrillCheck("heartbeat", False, "no row")]


def test_lost_when_no_host_answers_is_at_most_the_last_commit() -> None:
    expected = {"data_loss_seconds": 90.0, "data_loss_measured_by": "last commit"}
    assert data_loss(expected) == "at most 90 s of data lost"


# --- probes ---


def probed(folder: InventoryFolder, judgement: str, answer: Answer) -> DrillCheck:
    declared = inventory(folder, f"{{probes: [{{database: app, query: select 1, {judgement}}}]}}")
    probe = scalar_query.scalar_probe(Instance(), "app", "select 1")
    (check,) = drill_judged.check_queries(declared, {probe: answer})
    return check


@pytest.mark.parametrize(
    ("judgement", "expected", "ok"),
    [
        ("at_least: 10", "10\n", True),
        ("at_least: 10", "9\n", False),
        ("at_least: 10", "\n", False),
        ("at_least: 10", "ten\n", False),
        ("equals: true", "true\n", True),
        ("equals: free", "free\n", True),
        ("equals: free", "paid\n", False),
        ("equals: 3", "3\n", True),
    ],
)
def test_probe_when_answered_is_judged(
    folder: InventoryFolder, judgement: str, expected: str, ok: bool
) -> None:
    assert probed(folder, judgement, Answer(0, expected.encode())).passed is ok


def test_probe_when_the_table_is_missing_reports_the_message_of_postgresql(
    folder: InventoryFolder,
) -> None:
    output = b'ERROR:  relation "orders" does not exist\nLINE 1: ...'
    check = probed(folder, "at_least: 1", Answer(3, b"", output))
    assert (check.passed, check.detail) == (False, 'ERROR:  relation "orders" does not exist')


@pytest.mark.covers("S62")
def test_probe_when_sent_is_read_only_and_no_superusers() -> None:
    text = scalar_query.scalar_probe(Instance(), "app", "select 1").text
    assert "begin transaction read only" in text
    assert "set local role pg_read_all_data" in text
    assert "statement_timeout" in text


# --- the machine: ours, another's, none ---


@pytest.mark.covers("F120")
def test_server_when_another_controllers_drill_made_it_is_left() -> None:
    item = {"name": "x-drill", "created": "now", "labels": {"drill": "laptop"}}
    drill.check_leftover(item, "laptop")
    with pytest.raises(Locked, match="from laptop"):
        drill.check_leftover(item, "tower")


@pytest.mark.covers("F120")
@pytest.mark.parametrize(("marked", "there"), [("drill", False), ("", True)])
def test_removal_when_the_label_is_not_there_takes_nothing(marked: str, there: bool) -> None:
    labels = {"managed-by": "pgprovision", "cluster": "x"}
    item = {"name": "x-drill", "id": 1, "labels": labels}
    removal = DeletedResource(
        cluster="x", collection="servers", object_name="x-drill", required_label=marked
    )
    assert (removal.read(Answer(items=(item,))) is not None) is there


def test_drill_server_when_declared_is_alone_and_unprotected(folder: InventoryFolder) -> None:
    declared = inventory(folder)
    node = tasks.drill_node(declared, None)
    (server,) = tasks.machine_tiers(tasks.drill_inventory(declared, node), node, "me")[1].resources
    desired = server.desired()
    assert desired is not None
    assert (desired["private_ip"], desired["placement_group"], desired["protection"]) == (
        None,
        None,
        False,
    )
    (create, *_) = server.change(Diff(None, desired))
    assert create.body is not None
    assert create.body["labels"] == {
        "managed-by": "pgprovision",
        "cluster": "hcb-lab",
        "node": "hcb-lab-drill",
        "drill": "me",
    }
    assert "placement_group" not in create.body


@pytest.mark.covers("F116")
def test_drill_when_planned_probes_no_production_node(folder: InventoryFolder) -> None:
    declared = inventory(folder)
    node = tasks.drill_node(declared, None)
    drill_inventory = tasks.drill_inventory(declared, node)
    tiers = (
        *tasks.machine_tiers(drill_inventory, node, "me"),
        *tasks.package_tiers(drill_inventory, node),
        *tasks.copy_tiers(drill_inventory, node, END_OF_WAL),
        *tasks.integrity_tiers(drill_inventory, node),
        *tasks.removal_tiers(drill_inventory, node),
    )
    on = {resource.on for tier in tiers for resource in tier.resources}
    on |= {need.on for tier in tiers for one in tier.resources for need in needs_of(one)}
    assert on == {"controller", "hetzner", "hcb-lab-drill"}


@pytest.mark.covers("B101")
def test_host_when_named_on_the_command_line_is_refused(folder: InventoryFolder) -> None:
    declared = inventory(folder)
    with pytest.raises(InventoryError, match="is db-1, a production host"):
        drill.check_host(declared, str(declared.primary.private_ip))


def test_drill_when_there_are_no_backups_is_refused(folder: InventoryFolder) -> None:
    with pytest.raises(InventoryError, match="no backups to practise with"):
        drill.check_possible(folder.load(), None)


@pytest.mark.covers("F117")
def test_drill_cleanup_when_the_host_is_foreign_is_left_alone() -> None:
    resource = DrillCleanup(on="x-drill", cluster="x", node="x-drill", instance=Instance())
    assert resource.read(Answer(0, b'{"cluster": "y", "node": "db-1"}')) is None
    assert resource.read(Answer(0, b"")) is None
    assert resource.read(Answer(0, b'{"cluster": "x", "node": "x-drill"}')) == {"claim": True}


# --- integrity ---


def test_integrity_when_a_page_is_broken_differs_and_has_no_actions() -> None:
    resource = Integrity(on="d", instance=Instance())
    output = b"pg_amcheck clean\npg_checksums exit 1\npg_checksums checksum failed in block 3\n"
    before = resource.read(Answer(0, output))
    assert isinstance(before, dict)
    assert before == {
        "pg_amcheck": "clean",
        "pg_checksums": "exit 1\nchecksum failed in block 3",
    }
    diff = Diff(before, resource.desired())
    assert (diff.keys, tuple(resource.change(diff))) == (("pg_checksums",), ())


def test_integrity_when_the_unit_died_fails_with_its_output() -> None:
    resource = Integrity(on="d", instance=Instance(), job_state=JobState("failed"))
    before = resource.read(Answer(4))
    assert isinstance(before, dict)
    (do,) = resource.change(Diff(before, resource.desired()))
    assert "failed" in do.text


def test_integrity_when_of_postgresql_13_runs_no_amcheck() -> None:
    assert tuple(Integrity(on="d", instance=Instance(version=13)).desired()) == ("pg_checksums",)


# --- the record, and its age ---


def written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, **event: object) -> Path:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    made = RecordWriter("lab", "drill", approved="test")
    if event:
        made.write_event("drill", **event)
    made.end("done", 1.0)
    return record.records_folder("lab")


PROOF = {"result": "proven", "target": "end", "seconds": 840.0, "lost_seconds": 42.0}


def test_record_when_a_drill_proved_it_is_the_last_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    runs = written(tmp_path, monkeypatch, **PROOF)
    last = record.last_proven_drill(runs)
    assert last is not None
    assert (last.summary["seconds"], last.summary["data_loss_seconds"]) == (840.0, 42.0)
    assert all(verdict.valid for verdict in record.verify(runs))
    assert "drill: proven" in last.text


def test_record_when_a_drill_failed_or_was_killed_is_not_proven(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    runs = written(tmp_path, monkeypatch, **{**PROOF, "result": "failed"})
    RecordWriter("lab", "drill", approved="test")  # killed
    found = list(record.drill_records(record.read_runs(runs)))
    assert sorted(one.result for one in found) == ["failed", "unfinished"]
    assert record.last_proven_drill(runs) is None


def test_letter_when_a_drill_proved_nothing_says_what_was_wrong() -> None:
    checks = [DrillCheck("starts", True, "15.20"), DrillCheck("roles", False, "rails is not there")]
    proof = DrillResult(target="the end of the WAL", machine="shop-drill", checks=checks)
    proof.failures.append("removal: the cloud did not answer")
    error = {"type": "DrillFailed", "message": "the restore is not proven"}
    document = {
        "cluster": "shop",
        **record.drill_document(proof.event()),
        "record": "/x.jsonl",
        "error": error,
    }
    subject, text = drill.drill_mail(document)
    assert subject == "[pgprovision] shop: drill failed"
    assert "roles: rails is not there\nremoval: the cloud did not answer\n" in text
    assert "starts" not in text


@pytest.mark.covers("row:D7")
def test_proven_when_read_is_one_line() -> None:
    proof = record.drill_document({**PROOF, "lost_by": "wal"})
    proof["started_at"] = "2026-11-26T12:00:00+00:00"
    assert last_proven_restore(proof, NOW) == "3 days ago, 14 min, 42 s of data lost"


BACKUPS = (
    BackupInfo.from_json(
        {
            "label": "20261001F",
            "type": "full",
            "timestamp": {"start": 1, "stop": int((NOW - timedelta(days=40)).timestamp())},
            "info": {"size": 1, "repository": {"delta": 1}},
            "archive": {"start": "0" * 24, "stop": "0" * 24},
            "database": {"id": 1, "repo-key": 1},
            "lsn": {"start": "0/1000000", "stop": "0/1000100"},
        },
        {},
    ),
)


@pytest.mark.parametrize(
    ("days", "drill", "problems"),
    [(29, "", 0), (30, "", 1), (8, "{period_days: 7}", 1), (None, "", 1), (None, "period", 0)],
)
def test_drill_when_older_than_its_period_is_a_problem(
    folder: InventoryFolder, days: int | None, drill: str, problems: int
) -> None:
    young = drill == "period"
    declared = inventory(folder, "" if young else drill)
    last: Mapping[str, Any] | None = None
    if days is not None:
        last = {"started_at": (NOW - timedelta(days=days)).isoformat()}
    backups = BACKUPS if not young else (replace(BACKUPS[0], stop=int(NOW.timestamp())),)
    found = list(drill_problems(declared, last, backups, NOW))
    assert len(found) == problems
    assert all("next: pgprovision drill" in text for text in found)


def test_units_command_when_it_holds_specifiers_stays_what_it_is() -> None:
    assert systemd_exec("/bin/x", "a b", "50%", "$HOME") == '/bin/x "a b" "50%%" "$$HOME"'


def test_probe_when_equal_is_sent_once() -> None:
    assert isinstance(scalar_query.timestamp_probe(Instance(), "app", "select now()"), Probe)
