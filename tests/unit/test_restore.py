"""Restored data: what a look means, what is refused, what stays out of a copy."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from pgprovision.engine.model import (
    Action,
    Answer,
    Diff,
    Impact,
    Probe,
    State,
    Tier,
    Waiting,
    needs_of,
)
from pgprovision.engine.observe import Observation, observe_tiers
from pgprovision.errors import InventoryError, Refused, Unreachable
from pgprovision.inventory.edit.add_node import NewNode, add_node
from pgprovision.inventory.loader.loader import load
from pgprovision.inventory.schema.cluster import Inventory
from pgprovision.operations.reclone import ExistingData
from pgprovision.operations.restore import rebuild, restore
from pgprovision.recovery_target import END_OF_WAL, recovery_target
from pgprovision.report import PhaseTimer
from pgprovision.resources.data_directory import recovery
from pgprovision.resources.data_directory.empty_host import EmptyHostCheck
from pgprovision.resources.data_directory.restore import RESTORE_UNIT, RestoredDataDirectory
from pgprovision.resources.data_directory.standby import Standby
from pgprovision.resources.pgbackrest.configuration import PgbackrestConf
from pgprovision.resources.postgres.configuration.postgresql_conf import PostgresqlConf
from pgprovision.resources.postgres.server.instance import Instance
from pgprovision.resources.system.transient_unit import NOT_PROBED, JobState
from pgprovision.tasks import tiers
from tests.support.inventory_folders import static_inventory
from tests.unit.test_pgbackrest_info import FULL, STANZA

NOW = datetime(2026, 11, 29, tzinfo=UTC)
HERE = Instance()
RESTORED = RestoredDataDirectory(on="copy", instance=HERE, stanza="main")
SYSTEM = "7710200676590158511"
SEGMENT = {f"000000010000000000000021-{'a' * 40}.zst": {"type": "file", "time": 1795171100}}
LISTED = f"segments 0000000100000000\n{json.dumps(SEGMENT)}\n"
ABSENT = Answer(4)
BACKUP = """\
backup:
  repository:
    {endpoint: s3.example.com, region: eu, bucket: backups, path: /past,
     key: !file key, key_secret: !file key_secret}
"""
COPY = "role: copy\nprivate_ip: 10.0.1.9\naddress: 192.0.2.9\n"
REPLICA = "role: replica\nprivate_ip: 10.0.1.3\naddress: 192.0.2.3\n"


def observation(
    resource: RestoredDataDirectory = RESTORED,
    *,
    data: Answer = ABSENT,
    job: str = "inactive",
    account: str = "",
    free: int = 1 << 40,
) -> Observation:
    """What a look at the copy finds: a repository with a backup, and this."""
    one = {**STANZA, "backup": [FULL]}
    load_state = "not-found" if job == "inactive" else "loaded"
    under_way = f"LoadState={load_state}\nActiveState={job}\n\n50%"
    outputs = [under_way, json.dumps([one]), LISTED, str(free), account]
    answers = [Answer(out=text.encode()) for text in outputs]
    if job == "active":
        answers[1:3] = [Answer(NOT_PROBED)] * 2
    elif data is not ABSENT and not resource.former_inode:
        answers[2] = Answer(NOT_PROBED)
    probes = [need.probe for need in resource.needs()]
    return Observation(
        {"copy": {resource.probe(): data, **dict(zip(probes, answers, strict=True))}}
    )


def state(
    resource: RestoredDataDirectory, look: Observation
) -> tuple[RestoredDataDirectory, State | Waiting | None]:
    resolved = resource.resolved(look)
    answer = look.get("copy", resource.probe())
    assert answer is not None
    return resolved, resolved.read(answer)


def differs(resource: RestoredDataDirectory, found: State | Waiting | None) -> Diff:
    assert not isinstance(found, Waiting)
    return Diff(found, resource.desired())


def data_directory(identifier: str = SYSTEM, role: str = "primary") -> Answer:
    return Answer(out=f"{role}\n42\n{identifier}\n".encode())


def test_restored_when_nothing_is_there_starts_the_chosen_backup() -> None:
    resolved, found = state(RESTORED, observation())
    (do,) = resolved.change(Diff(None, resolved.desired()))
    assert found is None
    assert (do.impact, RESTORE_UNIT in do.text) == (Impact.NONE, True)
    assert f"--set={FULL['label']}" in do.text
    assert "archive_mode=off" in do.text


def test_restored_when_data_are_to_be_replaced_is_a_loss_that_must_be_allowed() -> None:
    resource = replace(RESTORED, former_inode="42")
    resolved, found = state(resource, observation(resource, data=data_directory()))
    (do,) = resolved.change(Diff(None, resolved.desired()))
    assert found is None
    assert do.impact is Impact.DESTROY


def test_restored_when_it_is_under_way_is_waited_for() -> None:
    _, found = state(RESTORED, observation(job="active"))
    assert isinstance(found, Waiting)


@pytest.mark.covers("F5")
def test_restored_when_a_restore_begins_during_the_look_begins_none_of_its_own() -> None:
    """What was skipped because it runs is no repository without backups."""
    idle, skipped = RESTORED.job.probe(), observation(job="active")
    answers = {
        probe: skipped.get("copy", probe) for probe in (need.probe for need in RESTORED.needs())
    }
    answers |= {idle: observation().get("copy", idle), RESTORED.probe(): ABSENT}
    resolved, found = state(
        RESTORED, Observation({"copy": {a: b for a, b in answers.items() if b}})
    )
    (do,) = resolved.change(differs(resolved, found))
    assert "systemd-run" not in do.text
    assert "cannot be read from here yet" in do.text


class ProbedTarget:
    """A machine that tells in which order it was asked."""

    name = "copy"

    def __init__(self) -> None:
        self.probes: list[Probe] = []

    def observe(self, probes: Sequence[Probe]) -> Mapping[Probe, Answer]:
        self.probes += probes
        return {probe: Answer() for probe in probes}

    def act(self, actions: Sequence[Action], done: Callable[[Action], None]) -> None:
        raise AssertionError(actions)


@pytest.mark.covers("F5")
def test_restored_when_it_ends_during_the_look_is_never_taken_for_missing() -> None:
    """The unit is asked for first: what ends later is seen as under way, or whole."""
    machine = ProbedTarget()
    observe_tiers((Tier("restored data", (RESTORED,)),), {"copy": machine})
    assert machine.probes[0] == RESTORED.job.probe()
    assert machine.probes[-1] == RESTORED.probe()


def test_restored_when_complete_is_as_declared_whatever_the_window_is_now() -> None:
    late = replace(RESTORED, target=recovery_target({"time": "2020-01-01 00:00Z"}))
    resolved, found = state(late, observation(data=data_directory()))
    assert not differs(resolved, found)


@pytest.mark.covers("F117")
@pytest.mark.parametrize("data", [data_directory("99"), data_directory(role="standby")])
def test_restored_when_the_data_are_anothers_is_refused(data: Answer) -> None:
    with pytest.raises(Refused):
        state(RESTORED, observation(data=data))


@pytest.mark.covers("F118")
def test_restored_when_the_target_is_outside_is_bad_input() -> None:
    with pytest.raises(InventoryError, match="before the end of the first backup"):
        state(
            replace(RESTORED, target=recovery_target({"time": "2020-01-01 00:00Z"})), observation()
        )


@pytest.mark.covers("F120")
def test_restored_when_the_disk_is_too_small_is_refused_before_the_first_byte() -> None:
    with pytest.raises(Refused, match=r"the restore takes 0.51 GB and 0.40 GB are free"):
        state(RESTORED, observation(free=400_000_000))


@pytest.mark.covers("F118")
def test_restored_when_the_target_was_not_met_says_which_backup_may_help() -> None:
    target = replace(RESTORED, target=recovery_target({"xid": "745"}))
    missed = f"target=xid 745\nbackup={FULL['label']}\nmissed=recovery ended\n"
    resolved, found = state(target, observation(job="failed", account=missed))
    (do,) = resolved.change(differs(resolved, found))
    assert do.unmet_exit_code == 65
    assert "xid 745 was not reached" in do.text
    _, again = state(
        replace(RESTORED, target=END_OF_WAL), observation(job="failed", account=missed)
    )
    assert again is None


@pytest.mark.covers("F118")
def test_restored_when_the_time_is_after_the_last_transaction_says_so() -> None:
    done = f"target=time 2026-11-29T03:00:00+00:00\nbackup={FULL['label']}\nbeyond=yes\nlsn=0/5\n"
    account = recovery.parse_result(Answer(out=done.encode()))
    note, *_ = replace(RESTORED, result=account).notes({"role": "restored"})
    assert "time 2026-11-29T03:00:00+00:00 is later than the last transaction" in note
    assert note.endswith("if anything, had not been archived")


def test_restored_when_it_failed_reports_the_message() -> None:
    resolved, found = state(RESTORED, observation(job="failed"))
    (do,) = resolved.change(differs(resolved, found))
    assert "journalctl" in do.text
    assert do.unmet_exit_code == 0


@pytest.mark.covers("F117")
@pytest.mark.parametrize(
    ("expected", "refused"),
    [
        ("", False),
        (f"data {HERE.data_directory}", False),
        (f"running {HERE.data_directory}\ndata {HERE.data_directory}.aside-1", False),
        ("data /var/lib/postgresql/14/main", True),
        ("running /srv/other", True),
    ],
)
def test_empty_host_check_when_foreign_data_are_there_is_refused(
    expected: str, refused: bool
) -> None:
    check = EmptyHostCheck(on="copy", instance=HERE)
    if refused:
        with pytest.raises(Refused):
            check.read(Answer(out=expected.encode()))
    else:
        assert not Diff(check.read(Answer(out=expected.encode())), check.desired())


# --- a copy is no part of the cluster ---


@pytest.fixture
def past(tmp_path: Path) -> Inventory:
    """A primary, a replica and a copy, with backups."""
    from tests.support.inventory_folders import STATIC_CLUSTER

    folder = static_inventory(tmp_path, STATIC_CLUSTER + BACKUP)
    folder.write("key", "AKIAEXAMPLE")
    folder.write("key_secret", "a-secret-key-of-the-store")
    folder.write("secrets/pgbackrest.passphrase", "p" * 43)
    folder.write("nodes/db-2.yml", REPLICA)
    folder.write("nodes/copy.yml", f"{COPY}restore: {{xid: 745, exclusive: true}}\n")
    return folder.load()


def names(inventory: Inventory, on: str) -> set[str]:
    all_tiers = tiers(inventory, inventory.nodes, NOW)
    return {str(r) for tier in all_tiers for r in tier.resources if r.on == on}


@pytest.mark.covers("row:D6")
def test_copy_when_made_probes_and_touches_nobody_else(past: Inventory) -> None:
    all_tiers = tiers(past, (past.node("copy"),), NOW)
    resources = [resource for tier in all_tiers for resource in tier.resources]
    assert {resource.on for resource in resources} == {"copy"}
    assert {n.on for resource in resources for n in needs_of(resource)} <= {"copy", "controller"}


@pytest.mark.covers("row:D6")
def test_copy_when_made_never_archives_and_cannot_be_backed_up(past: Inventory) -> None:
    all_tiers = tiers(past, (past.node("copy"),), NOW)
    resources = [resource for tier in all_tiers for resource in tier.resources]
    conf = next(r for r in resources if isinstance(r, PostgresqlConf)).text()
    reading = next(r for r in resources if isinstance(r, PgbackrestConf)).text
    assert "archive_mode = off" in conf
    for word in ("archive_command", "primary_conninfo", "restore_command"):
        assert word not in conf
    assert "pg1-path" not in reading
    assert not [r for r in resources if "timer" in str(r) or r.kind in ("slot", "stanza", "role")]
    (restored,) = (r for r in resources if isinstance(r, RestoredDataDirectory))
    assert (str(restored.target), restored.archiving) == ("right before xid 745", False)


@pytest.mark.covers("row:D6")
def test_copy_when_there_is_let_in_nowhere(past: Inventory) -> None:
    assert [node.name for node in past.replicas] == ["db-2"]
    assert "slot pgprovision_copy" not in names(past, "db-1")
    hba = [r for t in tiers(past, past.nodes, NOW) for r in t.resources if r.kind == "pg_hba.conf"]
    text = {r.on: str(vars(r)) for r in hba}
    assert "10.0.1.9" not in text["db-1"] + text["db-2"]
    assert "10.0.1.2" not in text["copy"]


def test_copy_when_added_twice_with_another_target_is_refused(past: Inventory) -> None:
    same = NewNode(name="copy", role="copy", restore={"xid": "745", "exclusive": True})
    assert add_node(past.folder, same).path == past.folder / "nodes/copy.yml"
    with pytest.raises(InventoryError, match="its restore is"):
        add_node(past.folder, replace(same, restore={"xid": "746"}))


def test_copy_when_added_writes_what_it_was_given(past: Inventory) -> None:
    target = recovery_target({"time": "2026-11-29 03:00+01:00"})
    from pgprovision.inventory.schema.restore import RestoreSpec

    new = NewNode(
        name="later",
        role="copy",
        private_ip="10.0.1.10",
        address="192.0.2.10",
        restore=RestoreSpec.as_yaml(target),
    )
    add_node(past.folder, new)
    loaded = load(past.folder).node("later").restore
    assert loaded is not None
    assert loaded.recovery_target() == target


@pytest.mark.covers("F118")
def test_restore_onto_the_primary_clones_its_replicas_again(past: Inventory) -> None:
    formers = {"db-1": ExistingData("1", False), "db-2": ExistingData("2", True)}
    all_tiers = restore.tiers(past, past.primary, END_OF_WAL, formers, NOW)
    resources = [resource for tier in all_tiers for resource in tier.resources]
    (restored,) = (r for r in resources if isinstance(r, RestoredDataDirectory))
    (standby,) = (r for r in resources if isinstance(r, Standby))
    assert (restored.on, restored.former_inode, restored.archiving) == ("db-1", "1", True)
    assert (standby.on, standby.former_inode) == ("db-2", "2")
    assert "copy" not in {resource.on for resource in resources}
    order = [tier.title for tier in all_tiers]
    assert (
        order.index("restored data directory")
        < order.index("PostgreSQL service")
        < order.index("standby")
    )


def test_restore_onto_a_replica_is_refused(past: Inventory) -> None:
    with pytest.raises(Refused, match="is a replica"):
        restore.in_place_node(past, "db-2")


# --- F119 ---


class Machine:
    """One that answers with this, or not at all."""

    def __init__(self, name: str, output: str | None) -> None:
        self.name, self._output = name, output

    def observe(self, probes: Sequence[Probe]) -> Mapping[Probe, Answer] | None:
        if self._output == "silent":
            raise Unreachable("no answer", where=self.name)
        if self._output is None:
            return None
        return {probe: Answer(out=self._output.encode()) for probe in probes}

    def act(self, actions: object, done: object) -> None:
        raise AssertionError


@pytest.mark.covers("F119")
@pytest.mark.parametrize(
    ("primary", "replica", "error"),
    [
        (None, None, None),
        ("", None, None),
        ('claim {"cluster": "x"}\nmaking\ndata\n', None, None),
        (None, "silent", None),
        ("data\n", None, Refused),
        ("marker {}\n", None, Refused),
        (None, "marker {}\ndata\n", Refused),
        ("silent", None, Unreachable),
    ],
)
def test_rebuild_when_anybody_has_the_data_is_refused(
    past: Inventory, primary: str | None, replica: str | None, error: type[Exception] | None
) -> None:
    machines = {"db-1": Machine("db-1", primary), "db-2": Machine("db-2", replica)}
    if error is None:
        output = rebuild.check(past, machines)
        assert len(output) == (replica == "silent")
    else:
        with pytest.raises(error):
            rebuild.check(past, machines)


@pytest.mark.covers("F119")
def test_rebuild_makes_no_empty_cluster(past: Inventory) -> None:
    kinds = {r.kind for tier in rebuild.tiers(past, NOW) for r in tier.resources}
    assert "restored data" in kinds
    assert "PostgreSQL cluster" not in kinds


@pytest.mark.covers("F119")
def test_figures_tell_what_was_lost_and_every_phase() -> None:
    moments = iter([0.0, 10.0, 30.0, 50.0, 58.0])
    phases = PhaseTimer(lambda: next(moments))
    for phase in ("machine", "packages", "data", ""):
        phases.tier_started(Tier("whatever it is called", (), phase))
    account = {
        "last_transaction": "2026-11-28T23:59:00+00:00",
        "newest_wal": "2026-11-28 23:59:30+00:00",
        "restore_seconds": 12.0,
        "recovery_seconds": 3.0,
    }
    found = rebuild.rebuild_document(account, phases.seconds_by_phase(rebuild.PHASES), NOW)
    assert found["data_loss"] == {
        "committed_after": "2026-11-28T23:59:00+00:00",
        "newest_wal": "2026-11-28 23:59:30+00:00",
        "seconds": 60.0,
    }
    assert found["phases"] == {
        "machine": 10.0,
        "packages": 20.0,
        "other": 13.0,
        "restore": 12.0,
        "recovery": 3.0,
    }


def test_restored_state_when_failed_names_the_unit() -> None:
    assert replace(RESTORED, job_state=JobState("failed")).read_data_directory(Answer(4)) == {
        "role": "restore failed"
    }
