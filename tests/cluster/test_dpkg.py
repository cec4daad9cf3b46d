"""F55: dpkg killed at work on the main job's primary; the next run repairs it."""

from collections.abc import Iterator

import pytest

from tests.cluster.conftest import PRIMARY
from tests.support.cli_user import CliUser

pytestmark = pytest.mark.lab

UNCHANGED = (
    "stat -c '%i %w' /var/lib/postgresql/15/main; od -An -t u8 -N 8"
    " /var/lib/postgresql/15/main/global/pg_control; stat -c '%i' /etc/postgresql/15/main"
)
# Kills dpkg the moment this package has this status (dpkg-query(1)); `up`'s own dpkg as well.
KILLER = """\
n=0
while [ $n -lt 3000 ]; do n=$((n + 1)); sleep 0.02
  case "$(dpkg-query -W -f '${{db:Status-Abbrev}}' {package} 2>&1)" in
    ?{status}*) kill -9 $(pgrep -x dpkg) && exit;;
  esac
done
exit 1
"""


@pytest.fixture
def data(cluster: CliUser) -> Iterator[None]:
    """Rows and files that have to be the same afterwards."""
    cluster.sql(PRIMARY, "create table f55 as select generate_series(1, 1000) i; checkpoint")
    before = cluster.shell(PRIMARY, UNCHANGED)
    yield
    assert cluster.shell(PRIMARY, UNCHANGED) == before
    assert cluster.sql(PRIMARY, "select count(*) from f55; drop table f55") == "1000"


def broken(person: CliUser) -> str:
    """What dpkg itself says is not whole."""
    return person.shell(PRIMARY, "dpkg --audit")


def kill(person: CliUser, package: str, status: str) -> None:
    """Sets the killer on dpkg."""
    text = KILLER.format(package=package, status=status)
    person.shell(PRIMARY, "cat >/run/killer; systemd-run -q --unit=killer sh /run/killer", text)


@pytest.mark.covers("F55")
@pytest.mark.parametrize("status", ["H", "F"], ids=["while it unpacks", "while it configures"])
def test_dpkg_when_killed_over_postgresql_itself_is_repaired_and_data_stay(
    cluster: CliUser, data: None, status: str
) -> None:
    kill(cluster, "postgresql-15", status)
    apt = "apt-get -qq -y --allow-change-held-packages --reinstall install postgresql-15"
    output = cluster.shell(PRIMARY, f"! {apt}", fails=True)
    assert "postgresql-15" in broken(cluster), output
    named = cluster.drift()[PRIMARY, "packages", "PostgreSQL and its tools"]
    repaired = cluster.run("up", "--yes")
    assert repaired.code == 0, repaired.err
    assert named == ["dpkg"]
    assert (broken(cluster), cluster.drift()) == ("", {})


@pytest.mark.covers("F55")
def test_dpkg_when_killed_under_up_fails_with_the_step_and_the_rerun_repairs_it(
    cluster: CliUser, data: None
) -> None:
    more = "extra_packages: [postgresql-plperl-15, "
    cluster.rewrite("cluster.yml", {r"extra_packages: \[": more})
    kill(cluster, "postgresql-plperl-15", "[HUF]")
    run = cluster.run("up", "--yes")
    assert run.code == 5, run.err
    assert "install postgresql-plperl-15" in run.err
    assert broken(cluster) != ""
    cluster.run_json("up", "--yes")
    assert (broken(cluster), cluster.drift()) == ("", {})
    cluster.rewrite("cluster.yml", {"postgresql-plperl-15, ": ""})
