"""F98, F135, C9: passwords change under a live application and a streaming replica."""

import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.cluster.conftest import PRIMARY, REPLICA
from tests.support.cli_user import CliUser

pytestmark = pytest.mark.lab

SERVER = "host=server-postgres-1 hostaddr=10.0.1.2 dbname=hcb_production sslmode=verify-full"
WHERE = f"{SERVER} sslrootcert=/etc/pgprovision/tls/ca.crt connect_timeout=5"
ROLES = """\\1
  rails_a: {password: !file secrets/rails_a.password}
  rails_b: {password: !file secrets/rails_b.password}
"""
KILLED = -9
GROUP = r"\1\n      application: {group: hcb_app, logins: [rails_a, rails_b]}"


@pytest.fixture(scope="module")
def split(cluster: CliUser) -> Iterator[CliUser]:
    """The cluster with an application that has two logins; afterwards as it was."""
    file = cluster.inventory / "cluster.yml"
    before = file.read_text()
    cluster.rewrite(
        "cluster.yml",
        {
            r"(?m)^(roles:)\n": ROLES,
            r"(?m)^(    access:.*)$": GROUP,
            r"users: \[rails, ": "users: [rails, rails_a, rails_b, ",
        },
    )
    assert cluster.run("secrets", "init").code == 0
    cluster.run_json("up", "--yes")
    yield cluster
    file.write_text(before)
    cluster.sql(PRIMARY, "drop owned by hcb_app", "hcb_production")
    cluster.sql(PRIMARY, "drop role rails_a, rails_b, hcb_app")
    cluster.run_json("up", "--yes")


def password(person: CliUser, role: str) -> Path:
    return person.inventory / "secrets" / f"{role}.password"


def login(person: CliUser, role: str, secret: str) -> str:
    """What psql on the replica's machine answers."""
    query = f'psql -XAtwc "select current_user" "{WHERE} user={role}"'
    command = f"read -r PGPASSWORD; export PGPASSWORD; {query}"
    return person.shell(REPLICA, command, f"{secret}\n", fails=True)


@contextmanager
def application(person: CliUser, role: str) -> Iterator[list[str]]:
    """One session that stays open, and logins one after the other; their output."""
    secret, outputs, over = password(person, role).read_text().strip(), [], threading.Event()
    sleep = f'psql -XAtwc "select pg_sleep(300)" "{WHERE} user={role}"'
    script = f"read -r PGPASSWORD; export PGPASSWORD; {sleep}"
    words = person.lab.shell(REPLICA, ["sh", "-c", script])

    def knock() -> None:
        while not over.is_set():
            outputs.append(login(person, role, secret))

    with subprocess.Popen(words, stdin=subprocess.PIPE, text=True) as session:
        assert session.stdin
        session.stdin.write(f"{secret}\n")
        session.stdin.close()
        knocking = threading.Thread(target=knock)
        knocking.start()
        try:
            yield outputs
        finally:
            over.set()
            knocking.join()
            person.sql(PRIMARY, "select pg_terminate_backend(pid) from pg_stat_activity"
                       f" where usename = '{role}'")  # fmt: skip


@pytest.mark.covers("F135")
def test_group_when_rotated_in_turns_then_no_login_of_the_application_fails(
    split: CliUser,
) -> None:
    before = {role: password(split, role).read_text() for role in ("rails_a", "rails_b")}
    for used, other in (("rails_a", "rails_b"), ("rails_b", "rails_a")):
        with application(split, used) as outputs:
            while not outputs:
                pass
            run = split.run("rotate", "hcb_app", "--yes")
            assert run.code == 0, run.err
            new = password(split, other).read_text()
            assert new != before[other]
            assert login(split, other, new.strip()) == other
        assert set(outputs) == {used}
        assert "password authentication failed" in login(split, other, before[other].strip())
    assert not list((split.inventory / "secrets").glob("*.previous"))
    assert split.drift() == {}


@pytest.mark.covers("F98")
def test_replication_password_when_killed_at_each_step_then_the_rerun_finishes(
    split: CliUser,
) -> None:
    file = password(split, "replicator")
    before, new = file.read_text(), ""
    for point in ("1:before", "1:after", "1:before", "1:after", "1:before"):
        assert split.run("rotate", "replicator", "--yes", kill=point).code == KILLED
        new = new or file.read_text()
        assert file.read_text() == new
    assert split.run("rotate", "replicator", "--yes").code == 0
    assert file.read_text() == new != before
    assert not file.with_name("replicator.password.previous").exists()
    assert split.drift() == {}
    split.shell(REPLICA, "systemctl restart postgresql@15-main")
    split.run_json("up", "--yes")
    assert split.sql(PRIMARY, "select state from pg_stat_replication") == "streaming"


@pytest.mark.covers("row:C9")
def test_network_when_the_way_is_open_too_wide_or_closed_then_drift_says_so(
    split: CliUser,
) -> None:
    conf = "/etc/postgresql/15/main/pg_hba.conf"
    reload = "; sleep 1; systemctl reload postgresql@15-main"
    split.shell(PRIMARY, f"sed -i '1i hostssl all all 10.0.0.0/8 scram-sha-256' {conf}{reload}")
    wide = split.drift()
    split.run_json("up", "--yes")
    split.shell(PRIMARY, f"sed -i '1i host all rails 10.0.0.0/8 reject' {conf}{reload}")
    closed = split.drift()
    split.run_json("up", "--yes")
    key = (REPLICA, "network access", f"to {PRIMARY}")
    assert (wide[key], closed[key]) == (["an unknown role"], ["rails"])
    assert split.drift() == {}
