"""F81, F82: pg_hba.conf is read back before it is sent, and checked for whom it locks out."""

from collections.abc import Sequence

import pytest

from pgprovision.errors import InventoryError, Refused
from pgprovision.resources.postgres.configuration.pg_hba import PgHba
from pgprovision.resources.postgres.configuration.pg_hba_parser import parse_pg_hba
from pgprovision.resources.postgres.configuration.pg_hba_rules import (
    ALL,
    REPLICATION,
    SCRAM,
    HbaKeyword,
    HbaRule,
    RequiredLogin,
    pg_hba_sections,
)
from pgprovision.resources.postgres.server.instance import Instance
from pgprovision.resources.postgres.server.snapshot import SnapshotQuery

SECTIONS = tuple(pg_hba_sections(replication_role="replicator", replicas=["10.0.1.3"], access=()))
LINES = tuple(rule.line for section in SECTIONS for rule in section.rules)
NEEDED = (
    RequiredLogin("maintenance", "postgres", "postgres", "peer"),
    RequiredLogin("replication from 10.0.1.3", REPLICATION, "replicator", SCRAM, "10.0.1.3"),
)


def hba(lines: Sequence[str]) -> PgHba:
    """A template that somebody wrote."""
    return PgHba(
        on="db-1",
        snapshot=SnapshotQuery(Instance()),
        render=lambda sections: "\n".join(lines) + "\n",
        sections=SECTIONS,
        required_logins=NEEDED,
    )


def test_file_when_it_is_as_declared_then_is_taken() -> None:
    assert hba(LINES).text() == "\n".join(LINES) + "\n"


@pytest.mark.covers("F82")
@pytest.mark.parametrize(
    ("lines", "rejected"),
    [
        pytest.param(
            ["local all all scram-sha-256", *LINES],
            "maintenance (by: local all all scram-sha-256)",
            id="a local line for everybody first",
        ),
        pytest.param(
            ["host all,replication all all reject", *LINES],
            "replication from 10.0.1.3 (by: host all,replication all all reject)",
            id="the final reject first",
        ),
        pytest.param(
            [line for line in LINES if "replicator" not in line],
            "replication from 10.0.1.3 (by: host all,replication all all reject)",
            id="no line for replication",
        ),
        pytest.param(
            [line.replace("hostssl", "hostnossl") for line in LINES],
            "replication from 10.0.1.3",
            id="replication without TLS",
        ),
        pytest.param([], "maintenance (by: no line for it)", id="an empty file"),
    ],
)
def test_file_when_it_would_lock_us_out_is_refused(lines: Sequence[str], rejected: str) -> None:
    with pytest.raises(Refused) as refused:
        hba(lines).desired()
    assert rejected in str(refused.value)


@pytest.mark.covers("F81")
@pytest.mark.parametrize(
    "line",
    [
        "host all all 10.0.0.0/8",
        "hosts all all 10.0.0.0/8 trust",
        "host all all 10.0.0.1 255.0.0.0 trust",
        "host all all db.example.org trust",
        "local all all trust map=x",
        "local all",
        'local "all all trust',
    ],
)
def test_line_when_it_is_none_that_we_write_is_bad_input(line: str) -> None:
    with pytest.raises(InventoryError, match=r"pg_hba\.conf:1: "):
        tuple(parse_pg_hba(line))


@pytest.mark.covers("F81")
def test_file_when_it_has_more_than_was_declared_is_bad_input() -> None:
    more = [*LINES[:-1], 'hostssl all "friend" 10.0.0.0/8 scram-sha-256', LINES[-1]]
    with pytest.raises(InventoryError, match="other rules than the inventory's"):
        hba(more).text()


NAMES = ("it's", 'a"b', "with space", "a,b", "a#b", "+plus", "@at", "all", "ünï", "back\\slash")


@pytest.mark.parametrize("name", NAMES)
def test_rule_when_read_back_is_the_same(name: str) -> None:
    rule = HbaRule("hostssl", (name, "x"), (ALL, name), SCRAM, "10.1.0.0/16")
    (found,) = parse_pg_hba(f"# a comment\n\n{rule.line}  # why\n")
    assert found.line == rule.line
    assert [isinstance(user, HbaKeyword) for user in found.users] == [True, False]
