"""Who gets into the database and who does not, and that no secret is where it should not be."""

import socket
from pathlib import Path

import pytest

from pgprovision.resources.postgres.configuration.settings import NodeSettings
from pgprovision.resources.postgres.server.instance import Instance
from pgprovision.resources.postgres.server.snapshot import SnapshotQuery
from tests.cluster.conftest import PRIMARY, REPLICA
from tests.support.cli_user import CliUser

pytestmark = pytest.mark.lab

RAILS = "host=server-postgres-1 hostaddr=10.0.1.2 dbname=hcb_production user=rails"
VERIFIED = "sslmode=verify-full sslrootcert=/etc/pgprovision/tls/ca.crt channel_binding=require"
RULES = "select count(*) from pg_hba_file_rules where"


def psql(person: CliUser, conninfo: str, password: str) -> str:
    """What psql on the replica's machine answers, with the password in no argument."""
    query = "select current_user, ssl from pg_stat_ssl where pid = pg_backend_pid()"
    command = f'read -r PGPASSWORD; export PGPASSWORD; psql -XAtwc "{query}" "{conninfo}"'
    return person.shell(REPLICA, command, f"{password}\n", fails=True)


@pytest.mark.covers("S25")
def test_rails_when_it_verifies_the_server_gets_in(cluster: CliUser) -> None:
    password = cluster.secrets()["rails.password"]
    assert psql(cluster, f"{RAILS} {VERIFIED}", password) == "rails|t"


@pytest.mark.parametrize(
    "conninfo",
    [
        pytest.param(f"{RAILS} sslmode=disable", id="clear text", marks=pytest.mark.covers("S24")),
        pytest.param(
            f"{RAILS} {VERIFIED} user=postgres dbname=postgres",
            id="superuser",
            marks=pytest.mark.covers("S23"),
        ),
        pytest.param(f"{RAILS} {VERIFIED} user=stranger", id="stranger"),
        pytest.param(f"{RAILS} {VERIFIED} user=replicator", id="role of another duty"),
        pytest.param(f"{RAILS} {VERIFIED} dbname=postgres", id="database of another"),
    ],
)
def test_login_when_nobody_declared_it_is_rejected(cluster: CliUser, conninfo: str) -> None:
    output = psql(cluster, conninfo, cluster.secrets()["rails.password"])
    assert "pg_hba.conf rejects connection" in output


def test_rails_when_the_password_is_wrong_is_refused(cluster: CliUser) -> None:
    output = psql(cluster, f"{RAILS} {VERIFIED}", "wrong")
    assert "password authentication failed" in output


@pytest.mark.covers("S23")
def test_port_when_tried_from_outside_does_not_answer(cluster: CliUser) -> None:
    server = cluster.cloud().servers.get_by_name(PRIMARY)
    assert server
    assert server.public_net
    assert server.public_net.ipv4
    with pytest.raises(TimeoutError):
        socket.create_connection((str(server.public_net.ipv4.ip), 5432), timeout=0.5)


@pytest.mark.parametrize("node", [PRIMARY, REPLICA])
@pytest.mark.parametrize(
    ("query", "answer"),
    [
        pytest.param(
            "select count(*) from pg_authid"
            r" where rolpassword is not null and rolpassword !~ '^SCRAM-SHA-256\$'",
            "0",
            id="verifiers only",
            marks=pytest.mark.covers("S16"),
        ),
        pytest.param(
            "select rolpassword is null from pg_authid where rolname = 'postgres'",
            "t",
            id="superuser without a password",
            marks=pytest.mark.covers("S17"),
        ),
        pytest.param(
            f"{RULES} type <> 'local' and auth_method in ('trust', 'password', 'md5', 'ident')",
            "0",
            id="no weak method over a network",
            marks=pytest.mark.covers("S18"),
        ),
        pytest.param(
            f"{RULES} type = 'local' and auth_method = 'trust'",
            "0",
            id="no local trust",
            marks=pytest.mark.covers("S19"),
        ),
        pytest.param(
            f"{RULES} type = 'host' and auth_method <> 'reject'"
            " and address not in ('127.0.0.1', '::1')",
            "0",
            id="TLS over networks",
            marks=pytest.mark.covers("S20"),
        ),
        pytest.param(
            f"{RULES} auth_method <> 'reject' and address in ('0.0.0.0', '::', 'all')",
            "0",
            id="no open address",
            marks=pytest.mark.covers("S21"),
        ),
        pytest.param(
            "select string_agg(distinct auth_method, ',') from pg_hba_file_rules"
            " where address in ('0.0.0.0', '::', 'all')",
            "reject",
            id="as it is written: the final reject and nothing else",
            marks=pytest.mark.covers("S21"),
        ),
        pytest.param(
            f"{RULES} error is not null", "0", id="file loads", marks=pytest.mark.covers("S22")
        ),
        pytest.param(
            "select count(*) from pg_stat_replication join pg_stat_ssl using (pid) where not ssl",
            "0",
            id="replication encrypted",
            marks=pytest.mark.covers("S27"),
        ),
        pytest.param(
            "select rolsuper or rolcreaterole or rolcreatedb or rolbypassrls from pg_roles"
            " where rolname = 'replicator'",
            "f",
            id="replication role minimal",
            marks=pytest.mark.covers("S28"),
        ),
        pytest.param(
            "select count(*) from pg_roles where rolsuper",
            "1",
            id="superusers",
            marks=pytest.mark.covers("S29"),
        ),
        pytest.param(
            "select count(*) from pg_language"
            " where not lanpltrusted and lanname not in ('internal', 'c')",
            "0",
            id="untrusted languages",
            marks=pytest.mark.covers("S29"),
        ),
        pytest.param(
            "show password_encryption",
            "scram-sha-256",
            id="passwords hashed by SCRAM",
            marks=pytest.mark.covers("S31"),
        ),
    ],
)
def test_server_when_scanned_has_none_open(
    cluster: CliUser, node: str, query: str, answer: str
) -> None:
    assert cluster.sql(node, query) == answer


@pytest.mark.covers("S29", "S32")
@pytest.mark.parametrize("node", [PRIMARY, REPLICA])
def test_server_when_queried_in_every_database_is_as_the_model_says(
    cluster: CliUser, node: str
) -> None:
    logging = ("log_connections", "log_disconnections", "log_line_prefix", "log_statement")
    names = ", ".join(f"'{name}'" for name in logging)
    query = f"select name || '=' || setting from pg_settings where name in ({names}) order by name"
    model = {
        setting.name: "on" if setting.value is True else str(setting.value)
        for section in NodeSettings(snapshot=SnapshotQuery(Instance()), node=node).sections({})
        for setting in section.settings
    }
    untrusted = "select lanname from pg_language where not lanpltrusted"
    assert cluster.sql(node, query).splitlines() == [f"{n}={model[n]}" for n in logging]
    for database in ("postgres", "template1", "hcb_production"):
        assert set(cluster.sql(node, untrusted, database).split()) == {"internal", "c"}


@pytest.mark.covers("S34")
@pytest.mark.parametrize(("node", "address"), [(PRIMARY, "10.0.1.2"), (REPLICA, "10.0.1.3")])
def test_server_when_it_listens_does_so_on_loopback_and_privately(
    cluster: CliUser, node: str, address: str
) -> None:
    listening = cluster.shell(node, "ss -Hltn 'sport = :5432' | awk '{ print $4 }'")
    assert set(listening.split()) - {"[::1]:5432"} == {"127.0.0.1:5432", f"{address}:5432"}


@pytest.mark.covers("S6")
@pytest.mark.parametrize(
    ("node", "published"),
    [
        (PRIMARY, {"/etc/pgbackrest/pgbackrest.conf"}),
        (REPLICA, {"/etc/pgbackrest/pgbackrest.conf", "/etc/pgprovision/replication.pgpass"}),
    ],
)
def test_secret_when_everything_is_done_is_only_where_it_is_used(
    cluster: CliUser, node: str, published: set[str]
) -> None:
    search = "grep -rlaFf - / --exclude-dir=proc --exclude-dir=sys --exclude-dir=dev"
    found = cluster.shell(node, search, "\n".join(_secrets(cluster)) + "\n", fails=True)
    assert {line for line in found.splitlines() if line.startswith("/")} == published


@pytest.mark.covers("S3")
def test_secret_when_everything_is_done_is_not_in_the_journal(cluster: CliUser) -> None:
    search = "journalctl -a -o cat | grep -caFf - || true"
    assert cluster.shell(PRIMARY, search, "\n".join(_secrets(cluster)) + "\n") == "0"


@pytest.mark.covers("S7")
def test_secret_when_everything_is_done_is_in_no_record(cluster: CliUser) -> None:
    runs = Path(cluster.home, ".local/state")
    texts = [run.read_text() for kind in ("*.jsonl", "*.txt") for run in runs.rglob(kind)]
    texts += [cluster.shell(n, "cat /var/lib/pgprovision/runs/*.jsonl") for n in (PRIMARY, REPLICA)]
    assert len(texts) > 5
    assert [s for s in _secrets(cluster) for text in texts if s in text] == []


def _secrets(person: CliUser) -> list[str]:
    env = person.lab.env()
    return [*person.secrets().values(), env["PGPROVISION_LAB_S3_SECRET"], env["HCLOUD_TOKEN"]]
