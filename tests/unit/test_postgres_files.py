"""postgresql.conf and pg_hba.conf as text: what is rendered, what moved, what cannot be written."""

from collections.abc import Mapping
from dataclasses import replace
from functools import partial

import pytest

from pgprovision.engine.model import Answer, Diff, Impact, Probe, State
from pgprovision.errors import InventoryError
from pgprovision.render import render
from pgprovision.resources.postgres.configuration.pg_hba import PgHba
from pgprovision.resources.postgres.configuration.pg_hba_rules import (
    ALL,
    SCRAM,
    HbaRule,
    HbaSection,
    pg_hba_sections,
)
from pgprovision.resources.postgres.configuration.postgresql_conf import PostgresqlConf
from pgprovision.resources.postgres.configuration.settings import (
    ARCHIVE_SECTION,
    TlsPaths,
    Upstream,
)
from pgprovision.resources.postgres.configuration.settings_parser import parse_settings
from pgprovision.resources.postgres.configuration.settings_sizing import ConfSection, ConfSetting
from pgprovision.resources.postgres.server.instance import Instance
from pgprovision.resources.postgres.server.snapshot import SnapshotQuery

GB = 1 << 30
SNAPSHOT = SnapshotQuery(Instance(15))
CONF = PostgresqlConf(
    on="db-1",
    snapshot=SNAPSHOT,
    render=partial(render, "postgresql.conf.j2"),
    node="server-postgres-1",
    addresses=("10.0.1.11",),
    tls=TlsPaths("/etc/tls/server.crt", "/etc/tls/server.key", "/etc/tls/ca.crt"),
)
HBA = PgHba(
    on="db-1",
    snapshot=SNAPSHOT,
    render=partial(render, "pg_hba.conf.j2"),
    sections=tuple(
        pg_hba_sections(
            replication_role="replicator",
            replicas=["10.0.1.12"],
            access=[HbaRule("hostssl", ("hcb_production",), ("rails",), SCRAM, "10.0.0.0/16")],
        )
    ),
)


class Answered:
    """A look with these answers in it."""

    def __init__(self, answers: Mapping[Probe, Answer]) -> None:
        self.answers = answers

    def get(self, on: str, probe: Probe) -> Answer | None:
        return self.answers.get(probe)


def state(content: str) -> State:
    return {"content": content, "mode": "0640", "owner": "postgres", "group": "postgres"}


def settings(conf: PostgresqlConf) -> Mapping[str, object]:
    return parse_settings(conf.text())[0]


def test_conf_when_the_machine_is_not_there_yet_then_it_can_still_be_shown() -> None:
    shown = CONF.resolved(Answered({})).text()
    assert "cluster_name = 'server-postgres-1'" in shown
    assert "listen_addresses = 'localhost,10.0.1.11'" in shown
    assert "shared_buffers" not in shown
    assert shown.endswith("include_if_exists = 'local.conf'\n")


def test_conf_when_the_machine_is_observed_then_sized_from_it() -> None:
    size = CONF.needs()[1].probe
    observed = Answered({size: Answer(out=b"8039000\n2\n85899345920\n")})
    assert settings(CONF.resolved(observed))["shared_buffers"] == "2GB"
    given = replace(CONF, memory=4 * GB)
    assert settings(given.resolved(observed))["shared_buffers"] == "1GB"


def test_conf_when_the_size_is_given_then_the_machine_is_not_probed() -> None:
    assert len(replace(CONF, memory=GB, cores=1, disk=GB).needs()) == 1


def test_conf_when_overridden_then_once_and_in_its_place() -> None:
    conf = replace(CONF, overrides={"Random_Page_Cost": 4, "foo.bar": "it's", "jit": True})
    lines = conf.text().splitlines()
    assert [line.split("  #")[0] for line in lines if "page_cost" in line.lower()] == [
        "Random_Page_Cost = 4"
    ]
    assert "foo.bar = 'it''s'  # set in the inventory" in lines
    assert "jit = on  # set in the inventory" in lines


def test_conf_when_the_machine_is_not_observed_yet_then_its_sizes_are_managed_all_the_same() -> (
    None
):
    assert {"shared_buffers", "max_wal_size", "jit", "port"} <= CONF.managed_names()


def test_conf_when_a_replica_then_it_knows_its_upstream() -> None:
    replica = replace(CONF, upstream=Upstream("host=db-1 user='replicator'", "db_2"))
    found = settings(replica)
    assert found["primary_conninfo"] == "host=db-1 user='replicator'"
    assert found["primary_slot_name"] == "db_2"


def test_conf_when_archiving_is_off_then_a_reload_can_switch_it_on() -> None:
    push = ConfSetting("archive_command", "pgbackrest --stanza=main archive-push %p")
    on = replace(CONF, feature_sections=(ConfSection(ARCHIVE_SECTION, (push,)),))
    moved = Diff(state(CONF.text()), on.desired())
    assert on.describe_changes(moved) == ("archive_command",)


def test_conf_when_the_server_is_down_then_only_written() -> None:
    actions = list(CONF.change(Diff(None, CONF.desired())))
    assert [action.impact for action in actions] == [Impact.NONE]


def test_conf_when_only_words_moved_then_comments_are_named() -> None:
    assert CONF.describe_changes(Diff(state("# hello\n" + CONF.text()), CONF.desired())) == (
        "comments",
    )


@pytest.mark.parametrize(
    ("line", "name", "value"),
    [
        ("a = 1", "a", "1"),
        ("A=1 # x", "a", "1"),
        ("a 'it''s' # x", "a", "'it''s'"),
        ("a = 'x # \\' y'", "a", "'x # \\' y'"),
        ("a.b = off", "a.b", "off"),
        ("# a = 1", "a", None),
        ("include 'a'", "include", None),
    ],
)
def test_settings_when_read_line_by_line_then_as_postgresql_does(
    line: str, name: str, value: str | None
) -> None:
    assert parse_settings(f"{line}\nDateStyle = 'ISO'\n")[0].get(name) == value


def test_hba_when_rendered_then_the_strict_comes_before_the_wide() -> None:
    lines = [
        " ".join(line.split())
        for line in HBA.text().splitlines()
        if line and not line.startswith("#")
    ]
    assert lines == [
        'local all,replication "postgres" peer',
        'host all,replication "postgres" all reject',
        "local all all scram-sha-256",
        "hostnossl replication all all reject",
        "host all all 127.0.0.1/32 scram-sha-256",
        "host all all ::1/128 scram-sha-256",
        'hostssl replication "replicator" 10.0.1.12/32 scram-sha-256',
        'hostssl "hcb_production" "rails" 10.0.0.0/16 scram-sha-256',
        "host all,replication all all reject",
    ]


@pytest.mark.parametrize("name", ["a\nhost all all all trust", "/^.*$", "a\tb", "x" * 64, ""])
def test_hba_when_a_name_would_be_read_as_something_else_then_bad_input(name: str) -> None:
    rule = HbaRule("hostssl", (ALL,), (name,), SCRAM, "10.0.0.0/16")
    with pytest.raises(InventoryError):
        replace(HBA, sections=(HbaSection("x", (rule,)),)).text()


@pytest.mark.parametrize("address", ["10.1.0.5/24", "10.0.0.0/33", "db.example.org", ""])
def test_hba_when_an_address_is_no_range_then_bad_input(address: str) -> None:
    with pytest.raises(InventoryError):
        HbaRule("hostssl", (ALL,), (ALL,), SCRAM, address)


def test_hba_when_a_line_was_changed_then_both_are_named() -> None:
    broken = HBA.text().replace("peer", "trust")
    assert HBA.describe_changes(Diff({**state(broken), "mode": "0640"}, HBA.desired())) == (
        '- local all,replication "postgres" trust',
        '+ local all,replication "postgres" peer',
    )
