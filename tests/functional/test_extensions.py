"""Extensions by name on a real machine: declared on a running cluster, they bring their packages
and libraries, and the restart that these need has to be allowed. Debian 13 has all their packages.
"""

import pytest

from pgprovision.lab.manager import Lab
from tests.support.cli_user import CliUser, CommandResult, new_user

pytestmark = pytest.mark.lab

NODE, DATABASE = "extended-1", "hcb_production"
CONF = "/etc/postgresql/17/main/postgresql.conf"
PACKAGES = ("cron", "partman", "pgvector", "repack")


@pytest.fixture(scope="module")
def without(job_lab: Lab, tmp_path_factory: pytest.TempPathFactory) -> CliUser:
    """A running primary, and the extensions declared after that."""
    person = new_user(job_lab, tmp_path_factory.mktemp("extended"), cluster="extended")
    person.rewrite("cluster.yml", {"image: debian-12": "image: debian-13"})
    person.rewrite("cluster.yml", {"version: 15": "version: 17"})
    person.run_json("up", "--yes")
    declared = "extensions: [vector, pg_cron, pg_partman, pg_repack, "
    person.rewrite("cluster.yml", {r"extensions: \[": declared})
    return person


@pytest.fixture(scope="module")
def not_allowed(without: CliUser) -> CommandResult:
    return without.run("up", "--yes")


@pytest.fixture(scope="module")
def extended(without: CliUser, not_allowed: CommandResult) -> CliUser:
    without.run_json("up", "--yes", "--allow", "restart")
    return without


@pytest.mark.covers("row:C8")
def test_library_when_not_loaded_then_its_restart_is_named_and_waits_for_leave(
    not_allowed: CommandResult,
) -> None:
    assert not_allowed.code == 3
    assert "needs a restart that was not allowed" in not_allowed.err


@pytest.mark.covers("row:C6")
def test_extensions_when_declared_then_created_in_their_schemas(extended: CliUser) -> None:
    query = """select extname, nspname from pg_extension join pg_namespace n on n.oid = extnamespace
        where extname in ('vector', 'pg_cron', 'pg_partman', 'pg_repack') order by 1"""
    assert extended.sql(NODE, query, DATABASE).splitlines() == [
        "pg_cron|pg_catalog",
        "pg_partman|partman",
        "pg_repack|public",
        "vector|public",
    ]


def test_packages_when_of_extensions_then_installed_and_excluded_from_upgrades(
    extended: CliUser,
) -> None:
    names = [f"postgresql-17-{name}" for name in PACKAGES]
    listed = extended.shell(NODE, f"dpkg-query -W -f '${{Package}}\\n' {' '.join(names)}")
    assert listed.split() == names
    assert set(names) <= set(extended.shell(NODE, "apt-mark showhold").split())


def test_library_when_needed_then_behind_those_that_were_there(extended: CliUser) -> None:
    libraries = extended.sql(NODE, "show shared_preload_libraries")
    assert libraries == "pg_stat_statements,auto_explain,pg_cron"
    assert extended.sql(NODE, "show cron.database_name") == DATABASE


def test_job_when_scheduled_then_runs_although_hba_lets_nobody_in(extended: CliUser) -> None:
    extended.sql(NODE, "select cron.schedule('* * * * *', 'select 1')", DATABASE)
    finished = "select count(*) from cron.job_run_details where status = 'succeeded'"
    wait = f"do $$ begin for i in 1..90 loop exit when ({finished}) > 0;"
    extended.sql(NODE, f"{wait} perform pg_sleep(1); commit; end loop; end $$", DATABASE)
    assert extended.sql(NODE, finished, DATABASE) != "0"
    extended.sql(NODE, "select cron.unschedule(jobid) from cron.job", DATABASE)


def test_up_when_repeated_then_writes_nothing(extended: CliUser) -> None:
    extended.shell(NODE, "touch /run/before")
    again = extended.run_json("up")
    assert (again["changes"], again["remaining"], again["ssh_execs"]) == ([], [], {NODE: 1})
    assert extended.shell(NODE, "find /etc /var/lib/dpkg -newer /run/before") == ""
