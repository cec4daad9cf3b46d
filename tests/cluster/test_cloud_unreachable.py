"""F51: Hetzner's API is down and the cluster is well."""

import pytest

from tests.cluster.conftest import PRIMARY
from tests.support.cli_user import CliUser, CommandResult

pytestmark = pytest.mark.lab

NOBODY = "http://127.0.0.1:1/v1"


@pytest.fixture
def silent(cluster: CliUser) -> CliUser:
    """The API is down from now on; an `up` was here before."""
    cluster.shell(PRIMARY, "echo '# by hand' >>/etc/postgresql/15/main/postgresql.conf")
    assert cluster.run_json("up", "--yes")["remaining"] == []
    return cluster


def without_api(person: CliUser, *words: str) -> CommandResult:
    path = person.inventory / "cluster.yml"
    before = path.read_text()
    person.rewrite("cluster.yml", {r"!env \{name: HCLOUD_ENDPOINT.*": NOBODY})
    try:
        return person.run(*words)
    finally:
        path.write_text(before)


@pytest.mark.covers("F51")
def test_drift_when_the_api_is_silent_looks_at_the_hosts_and_says_what_it_skipped(
    silent: CliUser,
) -> None:
    silent.sql(PRIMARY, "alter role rails connection limit 7")
    found = without_api(silent, "drift", "--json")
    assert found.code == 1, found.err
    assert [(c["target"], c["name"]) for c in found.document["changes"]] == [(PRIMARY, "rails")]
    (skipped,) = found.document["skipped"]
    assert "servers, network, firewall were not looked at" in skipped
    refused = without_api(silent, "up", "--yes")
    assert refused.code == 6
    assert "drift and status work meanwhile" in refused.err
    assert silent.run_json("up", "--yes")["remaining"] == []


@pytest.mark.covers("F51")
def test_status_and_rotate_when_the_api_is_silent_work(silent: CliUser) -> None:
    status = without_api(silent, "status", "--json")
    assert status.code == 0, status.err
    assert [node["role"] for node in status.document["nodes"]] == ["primary", "replica"]
    assert any(
        "the API does not answer: Connection refused" in t for t in status.document["problems"]
    )
    rotated = without_api(silent, "rotate", "rails", "--yes")
    assert rotated.code == 0, rotated.err
