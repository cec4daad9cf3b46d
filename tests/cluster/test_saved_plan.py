"""F14: a plan that was read is the one that is carried out, or none."""

from pathlib import Path

import pytest

from tests.cluster.conftest import PRIMARY
from tests.support.cli_user import CliUser

pytestmark = pytest.mark.lab

CONF = "/etc/postgresql/15/main/postgresql.conf"


@pytest.mark.covers("F14")
def test_plan_when_carried_out_as_it_was_saved_then_done_without_a_question(
    cluster: CliUser, tmp_path: Path
) -> None:
    cluster.shell(PRIMARY, f"echo '# by hand' >>{CONF}")
    plan = str(tmp_path / "plan.json")
    assert cluster.run("plan", "primary", "--out", plan).code == 1
    done = cluster.run_json("up", "--plan", plan)
    assert {change["kind"] for change in done["changes"]} >= {"postgresql.conf"}
    assert cluster.drift() == {}


@pytest.mark.covers("F14")
def test_plan_when_a_hand_changed_something_meanwhile_then_stale_and_nothing_written(
    cluster: CliUser, tmp_path: Path
) -> None:
    cluster.shell(PRIMARY, f"echo '# by hand' >>{CONF}")
    plan = str(tmp_path / "plan.json")
    assert cluster.run("plan", "--out", plan).code == 1
    cluster.sql(PRIMARY, "alter role rails connection limit 7")
    cluster.shell(PRIMARY, "touch /run/before")
    refused = cluster.run("up", "--plan", plan)
    assert refused.code == 3
    assert "+ server-postgres-1: role rails: now also" in refused.err
    assert "nothing was changed" in refused.err
    assert cluster.shell(PRIMARY, "find /etc /var/lib/pgprovision -newer /run/before") == ""
    assert cluster.run_json("up", "--yes")["remaining"] == []
