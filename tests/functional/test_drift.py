"""Whatever somebody changed by hand is named, alone, and repaired. What is not ours survives."""

from collections.abc import Callable

import pytest
from hcloud.firewalls import FirewallRule

from tests.conftest import PRIMARY, REPLICA
from tests.person import Person

pytestmark = pytest.mark.lab

CONF = "/etc/postgresql/15/main"
BACKUP_CONF = "/etc/pgbackrest/pgbackrest.conf"
SERVICE = "postgresql@15-main.service"
RELOADED = "; sleep 1; systemctl reload postgresql@15-main"  # file times have whole seconds
Hand = Callable[[Person], object]
Named = dict[tuple[str, str, str], list[str]]


def shell(text: str, node: str = PRIMARY) -> Hand:
    return lambda person: person.shell(node, text)


def sql(query: str, database: str = "postgres") -> Hand:
    return lambda person: person.sql(PRIMARY, query, database)


def open_the_firewall(person: Person) -> None:
    firewall = person.cloud().firewalls.get_by_name("hcb-ssh-only")
    assert firewall
    more = FirewallRule(direction="in", protocol="tcp", port="5432", source_ips=["0.0.0.0/0"])
    for action in person.cloud().firewalls.set_rules(firewall, [*(firewall.rules or []), more]):
        action.wait_until_finished()


def unprotect(person: Person) -> None:
    server = person.cloud().servers.get_by_name(REPLICA)
    assert server
    server.change_protection(delete=False, rebuild=False).wait_until_finished()


def drop_the_slot(person: Person) -> None:
    person.shell(REPLICA, f"systemctl stop {SERVICE}")
    person.sql(PRIMARY, "select pg_drop_replication_slot('server_postgres_2')")
    person.shell(REPLICA, f"systemctl start {SERVICE}")


def on(node: str, kind: str, name: str, *keys: str) -> Named:
    return {(node, kind, name): list(keys)}


@pytest.mark.parametrize(
    ("hand", "named"),
    [
        pytest.param(
            shell(f"echo 'work_mem = 1MB' >>{CONF}/postgresql.conf{RELOADED}"),
            on(PRIMARY, "postgresql.conf", f"{CONF}/postgresql.conf", "work_mem"),
            id="a line in postgresql.conf",
        ),
        pytest.param(
            lambda person: (
                person.sql(PRIMARY, "alter system set work_mem = '1MB'"),
                shell(f"true{RELOADED}")(person),
            ),
            on(PRIMARY, "overrides", "15/main", "system"),
            id="ALTER SYSTEM",
        ),
        pytest.param(
            shell(f"sed -i '1i host all all 0.0.0.0/0 trust' {CONF}/pg_hba.conf{RELOADED}"),
            on(PRIMARY, "pg_hba.conf", f"{CONF}/pg_hba.conf", "- host all all 0.0.0.0/0 trust"),
            id="a line in pg_hba.conf",
        ),
        pytest.param(
            sql("alter role rails connection limit 7"),
            on(PRIMARY, "role", "rails", "connection_limit"),
            id="a role's connection limit",
        ),
        pytest.param(
            sql("alter role rails password 'another'"),
            on(PRIMARY, "role", "rails", "password"),
            id="a role's password",
        ),
        pytest.param(
            sql("revoke create on database hcb_production from rails"),
            on(PRIMARY, "grant", "to rails on database hcb_production", "CREATE"),
            id="a grant",
        ),
        pytest.param(
            sql("drop extension pgcrypto", "hcb_production"),
            on(PRIMARY, "extension", "pgcrypto in hcb_production"),
            id="an extension",
        ),
        pytest.param(
            shell("systemctl stop pgbackrest-backup-full.timer"),
            on(PRIMARY, "unit", "pgbackrest-backup-full.timer", "active"),
            id="a stopped timer",
        ),
        pytest.param(
            shell(f"systemctl stop {SERVICE}", REPLICA),
            on(REPLICA, "unit", SERVICE, "active"),
            id="a stopped service",
        ),
        pytest.param(
            drop_the_slot,
            on(PRIMARY, "slot", "server_postgres_2", "reserved", "lost")
            | on(REPLICA, "streaming", f"from {PRIMARY}", "waiting"),
            id="a dropped slot",
        ),
        pytest.param(
            shell("chmod 0600 /etc/pgprovision/tls/ca.crt", REPLICA),
            on(REPLICA, "file", "/etc/pgprovision/tls/ca.crt", "mode"),
            id="a file's mode",
        ),
        pytest.param(
            shell(f"sed -i 's/^repo1-retention-full=.*/repo1-retention-full=1/' {BACKUP_CONF}"),
            on(PRIMARY, "pgbackrest.conf", BACKUP_CONF, "repo1-retention-full"),
            id="a line in pgbackrest.conf",
        ),
        pytest.param(
            open_the_firewall,
            on("hetzner", "firewall", "hcb-ssh-only", "rules"),
            id="a firewall rule in the API",
        ),
        pytest.param(
            unprotect,
            on("hetzner", "server", REPLICA, "protection"),
            id="a server's protection in the API",
        ),
    ],
)  # fmt: skip
def test_drift_when_a_hand_changed_something_names_just_that_and_up_repairs_it(
    cluster: Person, hand: Hand, named: Named
) -> None:
    hand(cluster)
    found = cluster.drift()
    repaired = cluster.run("up", "--yes")
    assert found == named
    assert repaired.code == 0, repaired.err
    assert cluster.drift() == {}


def test_things_of_others_when_up_repairs_survive_byte_for_byte(cluster: Person) -> None:
    theirs = "/etc/pgprovision/theirs /etc/postgresql/15/main/local.conf /etc/cron.d/theirs"
    cluster.shell(PRIMARY, f"for f in {theirs}; do echo \"log_checkpoints = 'off' # x\" >$f; done")
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
