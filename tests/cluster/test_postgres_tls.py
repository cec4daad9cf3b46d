"""C3: a new authority takes over a cluster that streams."""

import pytest

from tests.cluster.conftest import PRIMARY, REPLICA
from tests.support.cli_user import CliUser

pytestmark = pytest.mark.lab

SESSION = (
    "select pid, backend_start from pg_stat_replication join pg_stat_ssl using (pid) where ssl"
)
SERVED = (
    "openssl s_client -starttls postgres -connect 10.0.1.2:5432 -verify_return_error"
    f" -CAfile /etc/pgprovision/tls/ca.crt -verify_hostname {PRIMARY}"
)


@pytest.mark.covers("row:C3")
def test_authority_when_it_changes_hands_then_replication_streams_on(cluster: CliUser) -> None:
    before = cluster.sql(PRIMARY, SESSION)
    old = cluster.run("ca", "show").out
    for step in ("renew", "switch", "retire"):
        assert cluster.run("ca", step).code == 0
        changes = cluster.run_json("up", "--yes")["changes"]
        assert {change["impact"] for change in changes} == {"none", "reload"}
        assert cluster.sql(PRIMARY, SESSION) == before
    new = cluster.run("ca", "show").out
    assert new.count("BEGIN CERTIFICATE") == 1
    assert new != old
    assert cluster.drift() == {}


@pytest.mark.covers("S26")
def test_old_tls_when_tried_from_the_network_is_refused_and_the_certificate_is_good(
    cluster: CliUser,
) -> None:
    old = f"{SERVED} -tls1_1 </dev/null 2>&1 | grep -c 'Cipher is (NONE)'"
    assert cluster.shell(REPLICA, old) == "1"
    good = f"{SERVED} </dev/null 2>/dev/null | openssl x509 -noout -checkend 2592000"
    assert cluster.shell(REPLICA, good) == "Certificate will not expire"
