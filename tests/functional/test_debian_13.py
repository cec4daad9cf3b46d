"""The same runbook on Debian 13 with its own PostgreSQL 17 and pgBackRest 2.55."""

import pytest

from pgprovision.lab.manager import Lab
from tests.support.cli_user import CliUser, new_user

pytestmark = pytest.mark.lab

NODE = "thirteen-1"


@pytest.fixture(scope="module")
def thirteen(job_lab: Lab, tmp_path_factory: pytest.TempPathFactory) -> CliUser:
    person = new_user(job_lab, tmp_path_factory.mktemp("thirteen"), cluster="thirteen")
    changes = {"image: debian-12": "image: debian-13", "version: 15": "version: 17"}
    person.rewrite("cluster.yml", changes)
    person.run_json("up", "--yes")
    return person


@pytest.mark.covers("row:B1")
def test_postgres_17_when_provisioned_is_there_with_a_backup(thirteen: CliUser) -> None:
    (node,) = thirteen.run_json("status")["nodes"]
    assert node["version"].startswith("17.")
    assert thirteen.shell(NODE, "cut -d. -f1 /etc/debian_version") == "13"
    assert [backup["type"] for backup in thirteen.run_json("status")["backups"]] == ["full"]
    assert thirteen.shell(NODE, "grep -c ^repo1-block=y /etc/pgbackrest/pgbackrest.conf") == "1"


def test_up_when_repeated_finds_nothing_in_one_trip(thirteen: CliUser) -> None:
    found = thirteen.run_json("up")
    assert (found["changes"], found["remaining"], found["ssh_execs"]) == ([], [], {NODE: 1})


@pytest.mark.covers("S44", "row:B7")
def test_host_when_provisioned_is_closed(thirteen: CliUser) -> None:
    assert thirteen.shell(NODE, "nft list ruleset | grep -c 'policy drop'") == "1"
    sshd_settings = "passwordauthentication no\nx11forwarding no"
    assert (
        thirteen.shell(NODE, "sshd -T | grep -E '^(passwordauth|x11forwarding)' | sort")
        == sshd_settings
    )
    assert thirteen.shell(NODE, "systemctl --failed --no-legend") == ""
