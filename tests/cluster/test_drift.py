"""Whatever somebody changed by hand is named, alone, and repaired. What is not ours survives."""

import pytest

from tests.by_hand import BY_HAND, RELOADED, Hand, Named
from tests.cluster.conftest import PRIMARY
from tests.person import Person

pytestmark = pytest.mark.lab


@pytest.mark.parametrize(("hand", "named"), BY_HAND)
def test_drift_when_a_hand_changed_something_names_just_that_and_up_repairs_it(
    cluster: Person, hand: Hand, named: Named
) -> None:
    hand(cluster)
    found = cluster.drift()  # also proves that the case before was repaired whole
    repaired = cluster.done("up", "--yes")
    assert found == named
    assert repaired["left"] == []


def test_drift_when_all_was_repaired_ends_with_0(cluster: Person) -> None:
    assert cluster.run("drift").code == 0


def test_things_of_others_when_up_repairs_survive_byte_for_byte(cluster: Person) -> None:
    theirs = "/etc/pgprovision/theirs /etc/postgresql/15/main/local.conf /etc/cron.d/theirs"
    cluster.shell(PRIMARY, f"umask 022; echo 'log_checkpoints = off # x' | tee {theirs}")
    cluster.sql(PRIMARY, "create role metabase connection limit 3; create database theirs")
    cluster.sql(PRIMARY, "create table kept as select 1", "theirs")
    cluster.sql(PRIMARY, "alter role rails connection limit 7")
    cluster.shell(PRIMARY, f"true{RELOADED}")
    look = f"sha256sum {theirs}; stat -c '%a %U %Y' {theirs}"
    before = cluster.shell(PRIMARY, look)
    cluster.done("up", "--yes")
    assert cluster.shell(PRIMARY, look) == before
    assert cluster.sql(PRIMARY, "select count(*) from kept", "theirs") == "1"
    metabase = "select rolconnlimit from pg_roles where rolname = 'metabase'"
    assert cluster.sql(PRIMARY, metabase) == "3"
    assert cluster.sql(PRIMARY, "show log_checkpoints") == "off"
    cluster.sql(PRIMARY, "drop database theirs; drop role metabase")
    cluster.shell(PRIMARY, f"rm {theirs}{RELOADED}")
    assert cluster.drift() == {}
