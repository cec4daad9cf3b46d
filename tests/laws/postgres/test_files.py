"""The laws over the two configuration files and what the server has loaded, on a real server."""

from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest

from pgprovision.engine.model import Impact, Resource
from pgprovision.errors import StepFailed
from pgprovision.quote import sh
from pgprovision.render import render
from pgprovision.resources.postgres.configuration.live_settings import LiveSettings
from pgprovision.resources.postgres.configuration.pending_configuration import PendingConfiguration
from pgprovision.resources.postgres.configuration.pg_hba import PgHba
from pgprovision.resources.postgres.configuration.pg_hba_rules import (
    ALL,
    SCRAM,
    HbaRule,
    HbaSection,
    pg_hba_sections,
)
from pgprovision.resources.postgres.configuration.postgresql_conf import PostgresqlConf
from pgprovision.resources.postgres.configuration.setting_overrides import SettingOverrides
from pgprovision.resources.postgres.configuration.settings import TlsPaths
from pgprovision.resources.postgres.server.instance import Instance
from pgprovision.resources.postgres.server.reload import reload
from pgprovision.resources.postgres.server.snapshot import SnapshotQuery
from pgprovision.transport.host import Host
from pgprovision.transport.local import LocalConnection
from tests.support.postgres_machine import LOCAL, converge_local, plan_local, shell, sql

GB = 1 << 30
HOSTILE = ("it's", 'a"b', "with space", "a,b", "a#b", "+plus", "@at", "all", "ünï", "back\\slash")


@pytest.fixture(scope="module")
def snapshot(instance: Instance) -> SnapshotQuery:
    return SnapshotQuery(instance)


@pytest.fixture(scope="module")
def tls(instance: Instance) -> TlsPaths:
    key, certificate = (f"{instance.config_directory}/server.{part}" for part in ("key", "crt"))
    words = ("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=node-1")
    shell(sh(*words, "-keyout", key, "-out", certificate) + f" && chown postgres {sh(key)}")
    return TlsPaths(certificate, key, certificate)


@pytest.fixture(scope="module")
def conf(snapshot: SnapshotQuery, tls: TlsPaths) -> PostgresqlConf:
    return PostgresqlConf(
        on=LOCAL,
        snapshot=snapshot,
        render=partial(render, "postgresql.conf.j2"),
        node="node-1",
        tls=tls,
        memory=GB,
        cores=2,
        disk=20 * GB,
        overrides={"DateStyle": "ISO, MDY", "log_line_prefix": "%m # 'it''s' \\ ", "fsync": False},
    )


@pytest.fixture(scope="module")
def hba(snapshot: SnapshotQuery) -> PgHba:
    access = [HbaRule("hostssl", (name,), (name,), SCRAM, "10.1.0.0/16") for name in HOSTILE]
    sections = pg_hba_sections(replication_role="replicator", replicas=["10.0.1.2"], access=access)
    template = partial(render, "pg_hba.conf.j2")
    return PgHba(on=LOCAL, snapshot=snapshot, render=template, sections=tuple(sections))


@pytest.fixture(scope="module")
def resources(conf: PostgresqlConf, hba: PgHba, snapshot: SnapshotQuery) -> tuple[Resource, ...]:
    """Everything, applied once."""
    resources = (
        conf,
        hba,
        SettingOverrides(on=LOCAL, snapshot=snapshot, managed=conf.managed_names()),
        PendingConfiguration(on=LOCAL, snapshot=snapshot),
        LiveSettings(on=LOCAL, snapshot=snapshot),
    )
    converge_local(*resources)
    return resources


def edit(path: str, sed: str) -> None:
    shell(sh("sed", "-i", sed, path))


def shown(instance: Instance) -> Mapping[str, str]:
    rows = sql(instance, "select name, setting from pg_settings").splitlines()
    return dict(row.split("|", 1) for row in rows if "|" in row)


def test_files_when_applied_then_nothing_differs_and_nothing_is_written(
    resources: tuple[Resource, ...],
) -> None:
    assert plan_local(*resources) == []
    assert converge_local(*resources).changed == []


@pytest.mark.covers("row:C1", "row:C7")
def test_conf_when_applied_then_the_server_says_the_same(
    instance: Instance, conf: PostgresqlConf, resources: tuple[Resource, ...]
) -> None:
    files = "select name, applied, sourceline from pg_file_settings where not applied"
    assert sql(instance, files) == ""
    output = shown(instance)
    assert output["cluster_name"] == "node-1"
    assert output["log_line_prefix"] == "%m # 'it''s' \\ "
    assert {name.lower() for name in conf.managed_names()} <= {name.lower() for name in output}


@pytest.mark.parametrize(
    ("line", "name", "impact"),
    [
        ("s/^work_mem = .*/work_mem = 9MB/", "work_mem", Impact.RELOAD),
        ("s/^DateStyle = .*/DateStyle = 'ISO, DMY'/", "DateStyle", Impact.RELOAD),
        ("/^random_page_cost/d", "random_page_cost", Impact.RELOAD),
        ("s/^max_wal_senders = .*/max_wal_senders = 11/", "max_wal_senders", Impact.RESTART),
        ("2s/$/ !/", "comments", Impact.RELOAD),
    ],
)
def test_conf_when_a_line_is_broken_then_that_setting_is_named_and_repaired(
    conf: PostgresqlConf, resources: tuple[Resource, ...], line: str, name: str, impact: Impact
) -> None:
    edit(conf.name, line)
    found = {change.resource.kind: change for change in plan_local(*resources)}
    assert [key.lower() for key in found["postgresql.conf"].keys] == [name.lower()]
    assert found["postgresql.conf"].impact == impact
    converge_local(*resources)
    assert plan_local(*resources) == []


def test_conf_when_its_mode_is_broken_then_it_alone_is_repaired(
    conf: PostgresqlConf, resources: tuple[Resource, ...]
) -> None:
    Path(conf.name).chmod(0o666)
    (change,) = plan_local(*resources)
    assert (change.keys, change.impact) == (("mode",), Impact.NONE)
    converge_local(*resources)
    assert plan_local(*resources) == []


@pytest.mark.covers("F83")
def test_conf_when_a_setting_is_unknown_then_the_old_file_stays(
    conf: PostgresqlConf, resources: tuple[Resource, ...]
) -> None:
    wrong = replace(conf, overrides={**conf.overrides, "shared_bufers": "1GB"})
    with pytest.raises(StepFailed, match='unrecognized configuration parameter "shared_bufers"'):
        converge_local(wrong)
    assert plan_local(*resources) == []


def test_conf_when_the_restart_fails_then_the_previous_file_is_back_and_the_server_runs(
    conf: PostgresqlConf, resources: tuple[Resource, ...]
) -> None:
    wrong = replace(conf, overrides={**conf.overrides, "shared_preload_libraries": "not_there"})
    with pytest.raises(StepFailed, match="not_there") as failure:
        converge_local(wrong)
    assert "the previous configuration is back" in str(failure.value)
    assert plan_local(*resources) == []


def test_conf_when_the_run_is_killed_between_write_and_restart_then_the_next_one_finishes(
    instance: Instance, conf: PostgresqlConf, resources: tuple[Resource, ...]
) -> None:
    changed = replace(conf, overrides={**conf.overrides, "max_wal_senders": 12})
    (change,) = plan_local(changed)
    Host(LOCAL, LocalConnection).act(change.actions[:1], print)
    assert shown(instance)["max_wal_senders"] == "10"
    converge_local(changed, *resources[1:])
    assert shown(instance)["max_wal_senders"] == "12"
    converge_local(*resources)
    assert plan_local(*resources) == []


def test_conf_when_no_server_runs_then_it_is_only_written(
    instance: Instance, conf: PostgresqlConf, resources: tuple[Resource, ...]
) -> None:
    cluster = sh("pg_ctlcluster", str(instance.version), instance.name)
    shell(f"{cluster} stop")
    try:
        edit(conf.name, "s/^max_wal_senders = .*/max_wal_senders = 11/")
        (change,) = plan_local(*resources)
        assert change.impact == Impact.NONE
        converge_local(*resources)
    finally:
        shell(f"{cluster} start")
    assert plan_local(*resources) == []


def test_loaded_when_a_run_was_killed_after_the_write_then_the_next_one_loads(
    instance: Instance, conf: PostgresqlConf, resources: tuple[Resource, ...]
) -> None:
    edit(conf.name, "s/^work_mem = .*/work_mem = 12MB/")
    shell(reload(instance, "by hand").text)
    Path(conf.name).write_text(conf.text())  # all that the write alone would leave
    (change,) = plan_local(*resources)
    assert (change.keys, change.impact) == (("reload_pending",), Impact.RELOAD)
    assert change.diff.before is not None
    assert change.diff.before["reload_pending"] == ("postgresql.conf",)
    converge_local(*resources)
    assert plan_local(*resources) == []
    assert shown(instance)["work_mem"] != "12288"


def test_loaded_when_a_restart_is_pending_then_it_is_named_and_done(
    instance: Instance, conf: PostgresqlConf, resources: tuple[Resource, ...]
) -> None:
    local = Path(conf.name).with_name("local.conf")
    local.write_text("max_prepared_transactions = 5\n")
    try:
        (change,) = plan_local(*resources)
        assert change.diff.before is not None
        assert change.diff.before["restart_pending"] == ("max_prepared_transactions",)
        assert change.impact == Impact.RESTART
        converge_local(*resources)
        assert shown(instance)["max_prepared_transactions"] == "5"
    finally:
        local.unlink()
    converge_local(*resources)


def test_loaded_when_local_conf_has_an_error_then_it_is_named_and_left(
    conf: PostgresqlConf, resources: tuple[Resource, ...]
) -> None:
    local = Path(conf.name).with_name("local.conf")
    local.write_text("no_such_setting = 5\n")
    try:
        (left,) = converge_local(*resources).remaining
        assert left.diff.before is not None
        assert "local.conf:1: no_such_setting" in str(left.diff.before["errors"])
        assert left.actions == ()
    finally:
        local.unlink()
    assert plan_local(*resources) == []


def test_loaded_when_local_conf_would_not_start_then_the_server_is_not_restarted(
    instance: Instance, conf: PostgresqlConf, resources: tuple[Resource, ...]
) -> None:
    local = Path(conf.name).with_name("local.conf")
    local.write_text("max_prepared_transactions = many\n")
    started = sql(instance, "select pg_postmaster_start_time()")
    try:
        with pytest.raises(StepFailed, match='"max_prepared_transactions": "many"'):
            converge_local(*resources)
        assert sql(instance, "select pg_postmaster_start_time()") == started
    finally:
        local.unlink()
    assert plan_local(*resources) == []


def test_live_settings_when_local_conf_wins_then_it_is_reported_and_no_difference(
    instance: Instance, conf: PostgresqlConf, resources: tuple[Resource, ...]
) -> None:
    local = Path(conf.name).with_name("local.conf")
    local.write_text("work_mem = '3MB'\nrandom_page_cost = 1.10\n")
    try:
        shell(reload(instance, "by hand").text)
        report = converge_local(*resources)
        assert (report.changed, report.remaining) == ([], [])
        assert [text for _, text in report.notes] == [
            "local.conf: work_mem = 3072kB instead of 4MB"
        ]
    finally:
        local.unlink()
    converge_local(*resources)


def test_live_settings_when_a_command_line_wins_then_it_is_named_and_left(
    instance: Instance, resources: tuple[Resource, ...]
) -> None:
    cluster = sh("pg_ctlcluster", str(instance.version), instance.name)
    shell(f"{cluster} restart -o '-c work_mem=5MB -c jit=on'")
    try:
        (left,) = converge_local(*resources).remaining
        assert (left.resource.kind, left.keys) == ("live settings", ("work_mem", "jit"))
        assert left.diff.before is not None
        assert left.diff.before["work_mem"] == "5120kB (command line)"
        assert left.actions == ()
    finally:
        shell(f"{cluster} restart")
    assert plan_local(*resources) == []


@pytest.mark.covers("row:C7", "F86")
def test_overrides_when_alter_system_was_used_then_it_is_named_and_reset(
    instance: Instance, resources: tuple[Resource, ...]
) -> None:
    sql(instance, "alter system set work_mem = '1MB'; alter system set \"DateStyle\" = 'German'")
    sql(instance, "alter system set geqo = off")  # not ours
    (change, *_) = plan_local(*resources)
    assert change.diff.before is not None
    assert change.diff.before["system"] == ("DateStyle", "work_mem")
    converge_local(*resources)
    assert plan_local(*resources) == []
    assert shown(instance)["geqo"] == "off"


@pytest.mark.covers("row:C7", "F86")
def test_overrides_when_a_role_has_its_own_setting_then_it_is_named_and_left(
    instance: Instance, resources: tuple[Resource, ...]
) -> None:
    sql(instance, "alter role postgres in database postgres set work_mem = '7MB'")
    (left,) = converge_local(*resources).remaining
    assert left.diff.before is not None
    listed = left.diff.before["roles_and_databases"]
    sql(instance, "alter role postgres in database postgres reset work_mem")
    assert listed == ("role postgres in database postgres: work_mem=7MB",)


@pytest.mark.covers("row:C2")
def test_hba_when_a_line_is_broken_then_that_line_is_named_and_repaired(
    hba: PgHba, resources: tuple[Resource, ...]
) -> None:
    edit(hba.name, "s/^local .*peer$/local all all trust/")
    (change, *_) = plan_local(*resources)
    assert change.keys == ("- local all all trust", '+ local all,replication "postgres" peer')
    assert change.impact == Impact.RELOAD
    converge_local(*resources)
    assert plan_local(*resources) == []


def test_hba_when_applied_then_postgresql_reads_every_name_as_it_is(
    instance: Instance, resources: tuple[Resource, ...]
) -> None:
    rows = "select unnest(user_name) from pg_hba_file_rules where address = '10.1.0.0'"
    assert tuple(sql(instance, rows).splitlines()) == HOSTILE


@pytest.mark.covers("row:C2", "F81")
def test_hba_when_postgresql_rejects_it_then_the_previous_file_is_back(
    hba: PgHba, resources: tuple[Resource, ...]
) -> None:
    peer = HbaRule("host", (ALL,), (ALL,), "peer", "10.0.0.0/8")
    with pytest.raises(StepFailed, match="the previous file is back"):
        converge_local(replace(hba, sections=(HbaSection("wrong", (peer,)),)))
    assert plan_local(*resources) == []
