"""The identity of a host: each combination of claim, marker, note and data; what adopt allows."""

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from pgprovision.engine.model import Answer, Diff
from pgprovision.errors import Refused
from pgprovision.inventory.edit.add_node import NewNode, add_node
from pgprovision.inventory.loader.loader import load
from pgprovision.inventory.schema.cluster import Inventory, Node
from pgprovision.operations import adopt
from pgprovision.operations.adopt import ExistingNode
from pgprovision.operations.reclone import ExistingData
from pgprovision.resources.data_directory.initdb import PostgresCluster
from pgprovision.resources.node.identity import IdentityFacts, NodeIdentity, check_identity, parse
from pgprovision.resources.node.marker import ClaimFile, IdentityMarker
from pgprovision.resources.postgres.server.instance import Instance
from pgprovision.resources.postgres.server.snapshot import ServerSnapshot
from pgprovision.resources.system.file import File
from pgprovision.tasks import tiers
from tests.support.case_answers import server_row
from tests.support.inventory_folders import lab_inventory

IDENTITY = NodeIdentity(on="db-1", cluster="c", node="db-1", instance=Instance(), identifier="71")
CLAIM = '{"cluster": "c", "node": "db-1"}'
MARKER = '{"cluster": "c", "node": "db-1", "system_identifier": "71"}'
FULL = IdentityFacts(marker=MARKER, has_data=True, has_config=True, versions=("15",))
NAMES: dict[str, Any] = {"on": "db-1", "cluster": "c", "node": "db-1", "instance": Instance()}


def test_look_when_everything_is_there_is_read() -> None:
    text = f"claim {CLAIM}\nmarker {MARKER}\nmaking\ndata\nconfig\nversion 14\nversion 15\n"
    assert parse(Answer(out=text.encode())) == IdentityFacts(
        CLAIM, MARKER, in_progress=True, has_data=True, has_config=True, versions=("14", "15")
    )
    assert parse(Answer()) == IdentityFacts()
    assert parse(Answer(out=b"marker \n")).marker == ""


@pytest.mark.parametrize(
    "found",
    [
        IdentityFacts(),
        IdentityFacts(claim=CLAIM),
        IdentityFacts(claim=CLAIM, in_progress=True, has_data=True),
        IdentityFacts(claim=CLAIM, has_data=True, has_config=True, versions=("15",)),
        FULL,
        replace(FULL, claim=CLAIM),
    ],
    ids=["fresh", "claimed", "half-made", "made", "finished", "finished by an older release"],
)
def test_identity_when_it_is_this_node_or_nobody_goes_on(found: IdentityFacts) -> None:
    check_identity(found, IDENTITY)


OTHERS = '{"cluster": "c", "node": "db-2", "system_identifier": "71"}'
ADOPT = "pgprovision adopt db-1"


@pytest.mark.covers("F23", "F68", "F78")
@pytest.mark.parametrize(
    ("found", "expected", "next"),
    [
        (replace(FULL, marker=OTHERS), "this machine is db-2 of cluster c, not db-1", "address"),
        (
            IdentityFacts(claim='{"cluster": "d", "node": "db-1"}'),
            "is db-1 of cluster d",
            "address",
        ),
        (replace(FULL, marker=None), "does not count as empty", ADOPT),
        (IdentityFacts(has_data=True), "holds a PostgreSQL cluster", ADOPT),
        (IdentityFacts(has_config=True), "traces of a PostgreSQL cluster, and no data", ADOPT),
        (IdentityFacts(has_data=True, in_progress=True), "does not count as empty", ADOPT),
        (replace(FULL, marker=""), "marker.json is damaged", ADOPT),
        (replace(FULL, marker='{"cluster": "c", '), "marker.json is damaged", ADOPT),
        (IdentityFacts(claim="", has_data=True), "claim.json is damaged", ADOPT),
    ],
    ids=[
        "another node",
        "another cluster",
        "marker and claim gone",
        "foreign data",
        "traces",
        "half-made and nobody's",
        "empty marker",
        "cut marker",
        "empty claim",
    ],
)
def test_machine_when_not_known_as_this_node_is_refused(
    found: IdentityFacts, expected: str, next: str
) -> None:
    with pytest.raises(Refused, match=expected) as refused:
        check_identity(found, IDENTITY)
    assert next in refused.value.next


@pytest.mark.covers("F68", "F69")
@pytest.mark.parametrize(
    ("found", "identifier", "expected"),
    [
        (FULL, "72", "has system identifier 72"),
        (FULL, "", "cannot be read"),
        (replace(FULL, has_data=False, versions=()), "", "is missing"),
    ],
    ids=["another database", "no control file", "no data"],
)
def test_data_when_not_the_markers_are_refused_unless_created_again(
    found: IdentityFacts, identifier: str, expected: str
) -> None:
    identity = replace(IDENTITY, identifier=identifier)
    with pytest.raises(Refused, match=f"the marker says system identifier 71.* {expected}"):
        check_identity(found, identity)
    check_identity(found, replace(identity, recreating=True))
    check_identity(replace(found, in_progress=True), identity)


@pytest.mark.covers("F72")
@pytest.mark.parametrize("marker", [MARKER, None], ids=["finished", "claimed"])
def test_version_when_edited_is_refused_and_nothing_is_promised(marker: str | None) -> None:
    found = IdentityFacts(claim=CLAIM, marker=marker, versions=("15",))
    with pytest.raises(Refused, match=r"are of PostgreSQL 15, and the inventory says 16") as no:
        check_identity(found, replace(IDENTITY, instance=Instance(version=16), identifier=""))
    assert "put postgres.version back to 15" in no.value.next
    assert "not supported yet" in no.value.next


@pytest.mark.covers("F69")
@pytest.mark.parametrize(
    ("code", "expected"),
    [(5, "no empty one is created"), (6, "is being created, and /etc/pgprovision/marker.json")],
    ids=["configuration and no data", "note and marker"],
)
def test_cluster_when_there_was_one_is_never_created_again(code: int, expected: str) -> None:
    cluster = PostgresCluster(on="db-1", instance=Instance())
    with pytest.raises(Refused, match=expected):
        cluster.read(Answer(code))


def test_marker_when_written_takes_the_claims_place() -> None:
    claim = ClaimFile(**NAMES)
    marker = IdentityMarker(**NAMES, identifier="71")
    claimed = Answer(out=f"claim {CLAIM}\n".encode())
    finished = Answer(out=f"marker {MARKER}\n".encode())
    both = Answer(out=f"claim {CLAIM}\nmarker {MARKER}\n".encode())
    assert [claim.read(a) for a in (Answer(), claimed, finished)] == [
        None,
        claim.desired(),
        claim.desired(),
    ]
    assert marker.read(claimed) is None
    assert not Diff(marker.read(finished), marker.desired())
    assert Diff(marker.read(both), marker.desired()).keys == ("claim",)
    assert marker.read(Answer(out=f"making\nmarker {MARKER}\n".encode())) is None
    (write,) = marker.change(Diff(None, marker.desired()))
    steps = [write.text.index(text) for text in ("sync", "mv -fT", "rm -f /etc/pgprovision/claim")]
    assert steps == sorted(steps)
    assert write.text.endswith("sync /etc/pgprovision")


# --- adopt ---


@pytest.fixture
def cluster(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Inventory:
    folder = lab_inventory(tmp_path / "inventory", monkeypatch.setenv)
    add_node(folder, NewNode(name="server-postgres-2"))
    return load(folder)


def existing_node(**given: Any) -> ExistingNode:
    found = IdentityFacts(has_data=True, has_config=True, versions=("15",))
    node = ExistingNode(found, "71", ExistingData("7", standby=False, timeline=1), "24M", None, {})
    return replace(node, **given)


def server(**given: Any) -> ServerSnapshot:
    return ServerSnapshot(**server_row(**{"system_identifier": "71", **given}))


STANDBY = ExistingData("7", standby=True, timeline=1)
IDENTITY_JSON = '{{"cluster": "{}", "node": "{}", "system_identifier": "{}"}}'


def marked(cluster: str, node: str, identifier: str = "71") -> IdentityFacts:
    return IdentityFacts(
        marker=IDENTITY_JSON.format(cluster, node, identifier), has_data=True, versions=("15",)
    )


def nodes(cluster: Inventory) -> tuple[Node, Node]:
    return cluster.node("server-postgres-1"), cluster.node("server-postgres-2")


@pytest.mark.covers("F78")
@pytest.mark.parametrize(
    ("replica", "node"),
    [
        (False, existing_node()),
        (False, existing_node(server=server())),
        (False, existing_node(identity_files=IdentityFacts(claim="", marker="", has_data=True))),
        (True, existing_node(existing_data=STANDBY)),
        (True, existing_node(server=server(in_recovery=True))),
        (False, existing_node(identity_files=marked("hcb-lab", "server-postgres-1"))),
    ],
    ids=["stopped", "running", "damaged", "stopped standby", "standby", "marked already"],
)
def test_adopt_when_all_fits_goes_on(cluster: Inventory, replica: bool, node: ExistingNode) -> None:
    adopt.check(cluster, nodes(cluster)[replica], node, "71" if replica else None)


@pytest.mark.covers("F78")
@pytest.mark.parametrize(
    ("replica", "node", "primary", "expected"),
    [
        (
            False,
            existing_node(existing_data=STANDBY),
            None,
            "are a standby's, and the inventory says primary",
        ),
        (False, existing_node(server=server(in_recovery=True)), None, "the live role wins"),
        (True, existing_node(), "71", "are a primary's, and the inventory says replica"),
        (True, existing_node(existing_data=STANDBY), "72", "server-postgres-1 has 72"),
        (True, existing_node(existing_data=STANDBY), "", "has no cluster that could be asked"),
        (
            False,
            existing_node(identity_files=marked("other", "server-postgres-1")),
            None,
            "of cluster other",
        ),
        (
            False,
            existing_node(identity_files=marked("hcb-lab", "server-postgres-2")),
            None,
            "is server-postgres-2",
        ),
        (
            False,
            existing_node(identity_files=marked("hcb-lab", "server-postgres-1", "72")),
            None,
            "identifier 72",
        ),
        (
            False,
            existing_node(server=server(system_identifier="9")),
            None,
            "what answers on port 5432",
        ),
        (
            False,
            existing_node(identity_files=IdentityFacts(marker='{"format": 2}', has_data=True)),
            None,
            "a newer release",
        ),
        (
            False,
            existing_node(identity_files=IdentityFacts(has_data=True, in_progress=True)),
            None,
            "incomplete data directory cannot be adopted",
        ),
        (
            False,
            existing_node(identity_files=IdentityFacts(), identifier=""),
            None,
            "there is no cluster in",
        ),
        (
            False,
            existing_node(identity_files=IdentityFacts(versions=("14",)), identifier=""),
            None,
            "there is one of PostgreSQL 14",
        ),
    ],
)
def test_adopt_when_the_marker_would_not_be_true_is_refused(
    cluster: Inventory, replica: bool, node: ExistingNode, primary: str | None, expected: str
) -> None:
    with pytest.raises(Refused, match=expected) as refused:
        adopt.check(cluster, nodes(cluster)[replica], node, primary)
    by_the_verb = expected != "a newer release"  # by a resource: the run says what was done
    assert refused.value.done == ("nothing was written" if by_the_verb else "")


def test_adopt_when_shown_says_what_is_there_and_what_will_be_written(cluster: Inventory) -> None:
    walsender = {"application_name": "db-2", "state": "streaming"}
    node = existing_node(server=server(replication=(walsender,)), sizes={"shop": "9 MB"})
    shown = dict(adopt.description(cluster, nodes(cluster)[0], node))
    assert shown["databases"] == "shop (9 MB)"
    assert shown["standbys"] == "db-2 (streaming)"
    assert shown["system identifier"] == "71"
    assert "running as primary" in shown["PostgreSQL"]
    assert "server-postgres-1 of hcb-lab" in shown["will be written"]


def test_adopt_when_it_acts_writes_the_marker_alone(cluster: Inventory) -> None:
    resources = [r for tier in adopt.tiers(cluster, nodes(cluster)[0]) for r in tier.resources]
    assert [r.kind for r in resources if tuple(r.change(Diff(None, r.desired())))] == [
        "identity marker"
    ]


def test_every_node_when_written_to_has_its_identity_verified(cluster: Inventory) -> None:
    for chosen in (cluster.nodes, nodes(cluster)[:1], nodes(cluster)[1:]):
        all_tiers = tiers(cluster, chosen, datetime(2026, 11, 20, tzinfo=UTC))
        verified = {r.on for tier in all_tiers for r in tier.resources if r.kind == "identity"}
        files = {r.on for tier in all_tiers for r in tier.resources if isinstance(r, File)}
        assert files - verified <= {"controller"}
