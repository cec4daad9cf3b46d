"""Replicas: who accepts writes, what may be cloned over, what a seed is asked, what stays."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pgprovision.engine.model import Action, Answer, Diff, Impact, Probe, Waiting
from pgprovision.errors import InventoryError, PgprovisionError, Refused, Unreachable
from pgprovision.inventory.edit.add_node import NewNode, add_node
from pgprovision.inventory.loader.loader import load
from pgprovision.inventory.schema.cluster import Inventory
from pgprovision.operations import reclone, remove_replica
from pgprovision.operations.reclone import ExistingData
from pgprovision.operations.slots import slot_problems, slot_statuses
from pgprovision.operations.split_brain import refuse_split_brain
from pgprovision.resources.data_directory.source import BaseBackup, PgbackrestRestore
from pgprovision.resources.data_directory.standby import Standby
from pgprovision.resources.node.identity import NodeIdentity
from pgprovision.resources.node.release_compatibility import ReleaseCompatibility, collation_sources
from pgprovision.resources.postgres.replication.replication_status import StreamingReplication
from pgprovision.resources.postgres.replication.slot import slot_name, slot_node
from pgprovision.resources.postgres.server.instance import Instance
from pgprovision.resources.postgres.server.snapshot import (
    DatabaseSnapshot,
    ServerSnapshot,
    SnapshotQuery,
)
from pgprovision.resources.postgres.server.split_brain import SplitBrainCheck, check_single_writer
from pgprovision.resources.system.transient_unit import JobState
from pgprovision.tasks import tiers
from tests.support.case_answers import answer, server_row
from tests.support.inventory_folders import lab_inventory, static_inventory

NOW = datetime(2026, 11, 20, tzinfo=UTC)
LOOK = SnapshotQuery(Instance())
BASE_BACKUP = BaseBackup("db-1", "host='db-1'", "pgprovision_db_2")
STANDBY = Standby(on="db-2", instance=Instance(), primary="db-1", data_source=BASE_BACKUP)


def server(**given: Any) -> ServerSnapshot:
    return ServerSnapshot(**server_row(**given))


@given(st.from_regex(r"[a-z0-9]([a-z0-9-]{0,49}[a-z0-9])?", fullmatch=True))
def test_slot_when_named_after_a_node_tells_the_node(node: str) -> None:
    assert slot_node(slot_name(node)) == node
    assert len(slot_name(node)) <= 63


def test_slot_when_of_somebody_else_has_no_node() -> None:
    assert slot_node("debezium") is None


# --- F73, F99, F102: who accepts writes ---


@pytest.mark.covers("F99")
def test_two_writable_nodes_are_both_named_with_timeline_and_last_write() -> None:
    writable = {
        "db-1": server(timeline=1, lsn={"written_at": "2026-11-20T10:00:00+00:00"}),
        "db-2": server(timeline=2, lsn={"written_at": "2026-11-20T11:00:00+00:00"}),
    }
    with pytest.raises(Refused) as refused:
        check_single_writer("db-1", writable, "postgresql@15-main.service")
    assert refused.value.what == (
        "2 nodes accept writes: db-1 (timeline 1, last write 2026-11-20T10:00:00+00:00)"
        " and db-2 (timeline 2, last write 2026-11-20T11:00:00+00:00)"
    )


@pytest.mark.parametrize("writable", [{}, {"db-1": server()}])
def test_live_roles_when_nobody_else_accepts_writes_are_as_declared(
    writable: Mapping[str, ServerSnapshot],
) -> None:
    check_single_writer("db-1", writable, "unit")


@pytest.mark.covers("F73")
def test_replica_when_it_alone_accepts_writes_is_refused() -> None:
    with pytest.raises(Refused, match=r"db-2 .* accepts writes, and the inventory says replica"):
        check_single_writer("db-1", {"db-2": server()}, "unit")


def test_foreign_instance_when_it_accepts_writes_is_for_the_claim_to_refuse() -> None:
    check_single_writer("db-1", {"db-1": server(), "db-2": server(system_identifier="72")}, "unit")


class Answered(dict[str, Answer]):
    """Answers by target, whatever is asked."""

    def get(self, on: str, probe: Probe) -> Answer | None:  # type: ignore[override]
        return super().get(on)


def test_replicas_without_a_primary_are_refused_until_there_is_one() -> None:
    check = SplitBrainCheck(
        on="db-1", snapshot=LOOK, primary="db-1", replicas=("db-2",), primary_required=True
    )
    with pytest.raises(Refused, match="no primary runs there") as refused:
        check.resolved(Answered())
    assert refused.value.next == "pgprovision up primary"


def test_live_roles_when_a_node_does_not_answer_are_judged_without_it() -> None:
    check = SplitBrainCheck(on="db-1", snapshot=LOOK, primary="db-1", replicas=("db-2",))
    check.resolved(Answered({"db-1": answer({})}))


@dataclass
class Machine:
    """Says one thing to whoever looks."""

    name: str
    says: Answer | PgprovisionError | None

    def observe(self, probes: Sequence[Probe]) -> Mapping[Probe, Answer] | None:
        if isinstance(self.says, PgprovisionError):
            raise self.says
        return None if self.says is None else dict.fromkeys(probes, self.says)

    def act(self, actions: Sequence[Action], done: Callable[[Action], None]) -> None:
        raise AssertionError


WRITABLE, STANDS_BY = answer({}), answer({"server": {"in_recovery": True}})
UNREACHABLE = Unreachable("no answer", where="db-2")


@pytest.mark.covers("F99")
@pytest.mark.parametrize(
    ("second", "refused"),
    [(WRITABLE, True), (STANDS_BY, False), (UNREACHABLE, False), (None, False)],
    ids=["writable", "replica", "unreachable", "no server"],
)
def test_verb_when_its_work_is_not_on_the_nodes_probes_them_first(
    tmp_path: Path, second: Answer | PgprovisionError | None, refused: bool
) -> None:
    folder = static_inventory(tmp_path)
    folder.write("nodes/db-2.yml", "role: replica\nprivate_ip: 10.0.1.3\naddress: 192.0.2.3\n")
    machines = {"db-1": Machine("db-1", WRITABLE), "db-2": Machine("db-2", second)}
    with pytest.raises(Refused, match="2 nodes accept") if refused else nullcontext():
        refuse_split_brain(folder.load(), machines)


# --- E2, E3, F92, F93: seeding ---


def look_at(role: str, inode: str = "7", identifier: str = "71", *aside: str) -> Answer:
    return Answer(out="\n".join((role, inode, identifier, *aside)).encode())


def test_standby_when_its_data_are_a_primarys_is_refused() -> None:
    with pytest.raises(Refused, match="the live role wins"):
        STANDBY.read(look_at("primary"))


@pytest.mark.covers("F92")
def test_standby_when_of_another_cluster_is_refused() -> None:
    with pytest.raises(Refused, match="belongs to another cluster"):
        replace(STANDBY, primary_identifier="99").read(look_at("standby"))


def test_standby_when_data_were_set_aside_says_how_to_remove_them() -> None:
    state = STANDBY.read(look_at("standby", "7", "71", "/data/main.aside-1"))
    assert isinstance(state, dict)
    assert not Diff(state, STANDBY.desired())
    assert STANDBY.notes(state) == ("set aside; to remove it: rm -r /data/main.aside-1",)


@pytest.mark.parametrize("role", ["standby", "primary"])
def test_re_clone_when_the_former_data_are_in_place_counts_them_as_absent(role: str) -> None:
    assert replace(STANDBY, former_inode="7").read(look_at(role)) is None
    assert STANDBY.read(look_at("standby", "8")) is not None


def test_re_clone_when_planned_is_destructive_and_a_first_clone_is_not() -> None:
    diff = Diff(None, STANDBY.desired())
    impacts = [
        [do.impact for do in s.change(diff)] for s in (STANDBY, replace(STANDBY, former_inode="7"))
    ]
    assert impacts == [[Impact.NONE], [Impact.DESTROY]]


@pytest.mark.covers("F93")
def test_clone_when_it_failed_reports_its_output_and_starts_again_next_time() -> None:
    failed = replace(STANDBY, job_state=JobState("failed"))
    state = failed.read(Answer(4))
    assert isinstance(state, dict)
    (report,) = failed.change(Diff(state, failed.desired()))
    assert "reset-failed" in report.text
    assert STANDBY.read(Answer(4)) is None


def test_clone_when_under_way_shows_how_far_it_is() -> None:
    running = replace(STANDBY, job_state=JobState("running", "1/3 kB (31%)\n2/3 kB (62%)"))
    state = running.read(Answer(4))
    assert isinstance(state, Waiting)
    assert state.reason.endswith(": 62%")


@pytest.mark.covers("F92")
@pytest.mark.parametrize(
    "source", [BASE_BACKUP, PgbackrestRestore("main")], ids=["base backup", "restore"]
)
def test_clone_when_it_begins_verifies_the_identity_of_the_data_before_anything_moves(
    source: BaseBackup | PgbackrestRestore,
) -> None:
    standby = replace(STANDBY, data_source=source, primary_identifier="71")
    (start,) = standby.change(Diff(None, standby.desired()))
    steps = [start.text.index(text) for text in ("found=", "touch", "systemctl stop", "mv -T")]
    assert steps == sorted(steps)
    assert start.text.index("mv -T") < start.text.index(
        " -D " if source is BASE_BACKUP else "--type=none"
    )


# --- E4, F95: streaming ---


def streaming(**given: Any) -> StreamingReplication:
    resource = StreamingReplication(
        on="db-2", snapshot=LOOK, primary="db-1", slot="pgprovision_db_2", has_archive=False
    )
    return replace(resource, **given)


BEHIND = answer({"server": {"in_recovery": True, "lsn": {"replayed": "0/3000000"}}})


@pytest.mark.covers("F95")
def test_standby_when_its_slot_is_lost_is_left_and_the_command_named() -> None:
    lost = {"slots": {"pgprovision_db_2": {"wal_status": "lost"}}}
    resource = streaming().resolved(Answered({"db-1": answer({"server": lost})}))
    state = resource.read(BEHIND)
    assert state == {"streaming": False}
    diff = Diff(state, resource.desired())
    assert resource.describe_changes(diff) == (
        "slot pgprovision_db_2 is lost: pgprovision re-clone db-2",
    )
    assert tuple(resource.change(diff)) == ()


@pytest.mark.covers("F95")
def test_standby_when_there_is_an_archive_is_waited_for_as_long_as_it_replays() -> None:
    state = streaming(slot_lost=True, has_archive=True).read(BEHIND)
    assert isinstance(state, Waiting)
    assert "replayed to 0/3000000" in state.reason
    assert "pgprovision re-clone db-2" in state.reason


# --- F74: what may be cloned over ---


@pytest.fixture
def cluster(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Inventory:
    """A primary and three replicas, the last seeded from the backup repository."""
    folder = lab_inventory(tmp_path / "inventory", monkeypatch.setenv)
    for number, source in ((2, None), (3, None), (4, "backup")):
        add_node(folder, NewNode(name=f"server-postgres-{number}", clone_from=source))
    return load(folder)


PRIMARY = server(timeline=2)
STANDING_BY = server(in_recovery=True)


@pytest.mark.covers("F74")
@pytest.mark.parametrize(
    ("node", "former", "here", "upstream", "expected"),
    [
        ("1", ExistingData("7"), STANDING_BY, PRIMARY, "is the primary by the inventory"),
        ("2", ExistingData("7"), server(timeline=2), PRIMARY, "accepts writes"),
        (
            "2",
            ExistingData("7"),
            server(in_recovery=True, replication=({"application_name": "db-9"},)),
            PRIMARY,
            "others stream from server-postgres-2: db-9",
        ),
        ("2", ExistingData("7"), STANDING_BY, None, "nothing to clone from"),
        ("2", ExistingData("7"), STANDING_BY, STANDING_BY, "nothing to clone from"),
        (
            "2",
            ExistingData("7", standby=False, timeline=2),
            None,
            PRIMARY,
            "a primary's of timeline 2",
        ),
        (
            "2",
            ExistingData("7", standby=False, timeline=3),
            None,
            PRIMARY,
            "a primary's of timeline 3",
        ),
    ],
    ids=[
        "declared primary",
        "accepts writes",
        "others stream from it",
        "no primary",
        "primary in recovery",
        "stopped on the primary's timeline",
        "stopped on a later timeline",
    ],
)
def test_re_clone_when_writes_may_be_lost_is_refused(
    cluster: Inventory,
    node: str,
    former: ExistingData,
    here: ServerSnapshot | None,
    upstream: ServerSnapshot | None,
    expected: str,
) -> None:
    target = cluster.node(f"server-postgres-{node}")
    with pytest.raises(Refused, match=expected):
        reclone.check(target, former, here, "server-postgres-1", upstream)


@pytest.mark.parametrize(
    ("former", "here"),
    [
        (ExistingData("7"), STANDING_BY),
        (ExistingData("7"), None),
        (ExistingData(), None),
        pytest.param(
            ExistingData("7", standby=False, timeline=1), None, marks=pytest.mark.covers("F102")
        ),
    ],
    ids=["standby", "stopped standby", "no data", "stopped former primary"],
)
def test_re_clone_when_nothing_can_be_lost_goes_on(
    cluster: Inventory, former: ExistingData, here: ServerSnapshot | None
) -> None:
    reclone.check(cluster.node("server-postgres-2"), former, here, "server-postgres-1", PRIMARY)


def test_re_clone_when_data_are_being_made_already_attaches() -> None:
    assert reclone.parse_existing_data(Answer(4)) == ExistingData()
    assert reclone.parse_existing_data(Answer(out=b"123\nprimary\n4\n")) == ExistingData(
        "123", False, 4
    )


def test_re_clone_when_planned_makes_data_and_slot_again_of_this_node_alone(
    cluster: Inventory,
) -> None:
    node = cluster.node("server-postgres-2")
    all_tiers = reclone.tiers(cluster, node, ExistingData("7"), NOW)
    resources = [resource for tier in all_tiers for resource in tier.resources]
    assert [r.former_inode for r in resources if isinstance(r, Standby)] == ["7"]
    renewed = [r.name for r in resources if getattr(r, "recreate", False)]
    assert renewed == ["pgprovision_server_postgres_2"]
    assert [r.on for r in resources if isinstance(r, NodeIdentity) and r.recreating] == [node.name]


# --- scopes, E5 ---


def desired(cluster: Inventory, *names: str) -> set[tuple[str, str]]:
    nodes = tuple(cluster.node(f"server-postgres-{name}") for name in names)
    all_tiers = tiers(cluster, nodes, NOW)
    return {(resource.on, resource.kind) for tier in all_tiers for resource in tier.resources}


def test_scope_when_a_replica_alone_brings_the_primarys_part_with_it(cluster: Inventory) -> None:
    kinds = {kind for on, kind in desired(cluster, "2") if on == "server-postgres-1"}
    assert kinds == {
        "abandoned slots",
        "host firewall",
        "identity",
        "split-brain check",
        "pending configuration",
        "pg_hba.conf",
        "role",
        "slot",
    }


def test_scope_when_the_primary_alone_touches_nobody_else(cluster: Inventory) -> None:
    ours = {on for on, _ in desired(cluster, "1") if on.startswith("server-")}
    assert ours == {"server-postgres-1"}


def test_data_source_when_declared_decides_where_first_data_come_from(cluster: Inventory) -> None:
    nodes = cluster.replicas
    sources = {
        resource.on: type(resource.data_source)
        for tier in tiers(cluster, nodes, NOW)
        for resource in tier.resources
        if isinstance(resource, Standby)
    }
    assert list(sources.values()) == [BaseBackup, BaseBackup, PgbackrestRestore]


@pytest.mark.parametrize(
    ("delete_server", "first"),
    [(False, ["stop replication"]), (True, ["server", "host key"])],
)
def test_remove_replica_when_planned_leaves_the_file_for_last(
    cluster: Inventory, delete_server: bool, first: list[str]
) -> None:
    node = cluster.node("server-postgres-3")
    request = remove_replica.RemovalRequest(
        node.name, node, True, (cluster.nodes[1],), delete_server
    )
    titles = [tier.title for tier in remove_replica.tiers(cluster, request)]
    assert titles == [
        "identity",
        "split-brain check",
        *first,
        "access rules (pg_hba, firewall)",
        "loaded access rules",
        "slot",
        "inventory",
    ]


def test_remove_replica_when_the_host_is_not_ours_deletes_no_server(cluster: Inventory) -> None:
    static = cluster.node("server-postgres-3").model_copy(update={"address": "192.0.2.3"})
    with pytest.raises(Refused, match="was not made by pgprovision"):
        remove_replica.tiers(
            cluster,
            remove_replica.RemovalRequest(static.name, static, True, (), delete_server=True),
        )


def test_remove_replica_when_aimed_at_the_primary_is_refused(cluster: Inventory) -> None:
    with pytest.raises(Refused, match="is the primary"):
        remove_replica.declared_replica(cluster, "server-postgres-1")


def test_add_replica_when_there_again_with_another_data_source_is_refused(
    cluster: Inventory,
) -> None:
    with pytest.raises(InventoryError, match="its clone_from is backup, not primary"):
        add_node(cluster.folder, NewNode(name="server-postgres-4", clone_from="primary"))


# --- F94, F95: what status says ---


@pytest.mark.covers("F94")
def test_slot_when_its_node_is_undeclared_is_a_problem_with_its_command() -> None:
    row = {"active": False, "wal_status": "extended", "restart_lsn": "0/1000000"}
    slots = {
        "pgprovision_db_3": row,
        "pgprovision_db_2": row | {"wal_status": "lost", "restart_lsn": None},
        "others": row,
    }
    found = server(lsn={"current": "0/3000000"}, slots=slots)
    shown = tuple(slot_statuses({"db-1": found}, {"pgprovision_db_2"}))
    assert [(s.name, s.replica, s.abandoned, s.retained_bytes) for s in shown] == [
        ("others", None, False, 0x2000000),
        ("pgprovision_db_2", "db-2", False, None),
        ("pgprovision_db_3", "db-3", True, 0x2000000),
    ]
    lost, abandoned = slot_problems(shown)
    assert lost.endswith("pgprovision re-clone db-2")
    assert abandoned.endswith("pgprovision remove-replica db-3")


# --- F103: what a replica must share with its primary ---

PRIMARYS = ("debian 12", "2.36-9+deb12u14", "libicu72", "postgres (PostgreSQL) 15.20", "new")
UPDATED = ("debian 12", "2.36-9+deb12u13", *PRIMARYS[2:])
NEWER = ("debian 13", "2.41-12", "libicu76", *PRIMARYS[3:])
LIBC = frozenset({"libc's C.UTF-8 in books"})
C, ICU_ONLY = frozenset[str](), frozenset({"ICU"})


@pytest.mark.covers("F103")
@pytest.mark.parametrize(
    ("local", "sorted_by", "differs"),
    [
        (PRIMARYS, LIBC, ""),
        (UPDATED, LIBC, ""),
        ((*PRIMARYS[:3], "", "new"), LIBC, ""),
        ((*PRIMARYS[:3], "postgres (PostgreSQL) 15.21", "cloned"), LIBC, ""),
        ((*PRIMARYS[:3], "postgres (PostgreSQL) 15.21", "new"), C, "; postgres: here postgres"),
        (NEWER, LIBC, "libc's C.UTF-8 in books.; system: here debian 13, primary debian 12; lib"),
        (NEWER, C, ""),
        (NEWER, ICU_ONLY, "; icu: here libicu76, primary libicu72"),
        (("debian 13", "2.41-12", *PRIMARYS[2:]), ICU_ONLY, ""),
    ],
    ids=[
        "same",
        "libc's update",
        "not installed",
        "minor upgrade",
        "other minor",
        "other release",
        "other release, all C",
        "other ICU",
        "other release, same ICU",
    ],
)
def test_release_when_compared_with_the_primarys(
    local: tuple[str, ...], sorted_by: frozenset[str], differs: str
) -> None:
    resource = ReleaseCompatibility(
        on="db-2",
        instance=Instance(),
        primary="db-1",
        snapshot=LOOK,
        primary_versions=PRIMARYS,
        primary_collations=sorted_by,
    )
    found = Answer(out="\n".join(local).encode())
    if not differs:
        assert resource.read(found) == resource.desired()
        return
    with pytest.raises(Refused, match=differs):
        resource.read(found)


def catalog(provider: str, collate: str, *used: tuple[str, str]) -> ServerSnapshot:
    """A server with one database, sorted so, with these collations in use in it."""
    inside = DatabaseSnapshot({}, {}, {}, {}, frozenset(), frozenset(), frozenset(used))
    row = {"provider": provider, "collate": collate}
    return server(databases={"books": row}, database_snapshots={"books": inside})


@pytest.mark.covers("F103")
@pytest.mark.parametrize(
    ("found", "sorting"),
    [
        (catalog("c", "C"), set()),
        (catalog("c", "POSIX"), set()),
        (catalog("b", "C.UTF-8"), set()),
        (catalog("i", "en_US.UTF-8"), {"ICU"}),
        (catalog("c", "C.UTF-8"), {"libc's C.UTF-8 in books"}),
        (catalog("c", "C", ("c", "de_DE.utf8")), {"libc's de_DE.utf8 in books"}),
        (catalog("c", "C", ("i", "de-x-icu")), {"ICU"}),
        (
            server(databases={"other": {"provider": "c", "collate": "C"}}, database_snapshots={}),
            {"database other, which is not in the inventory"},
        ),
    ],
)
def test_sorting_when_reported_by_the_catalogs_names_all_but_C(
    found: ServerSnapshot, sorting: set[str]
) -> None:
    assert collation_sources(found) == sorting
