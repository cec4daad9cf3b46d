"""S1 to S14, S45, S50, S51: twelve secrets in seven spellings, searched wherever a run could leave
them: from nothing, killed half-way, with a replica, through rotations and a failed step.

docs/security.md says what this shows and what it does not.
"""

import subprocess
from collections.abc import Mapping

import pytest

from pgprovision.lab.manager import Lab
from tests.support.canary_secrets import find_leaks
from tests.support.cli_user import new_user
from tests.support.result_files import write_result
from tests.support.secret_search import (
    ASSERTION_IDS,
    CONTROL_CANARY,
    EVERYWHERE,
    EXPECTED_FILES,
    FIRST,
    SECOND,
    SINKS,
    STATE_OF_SHADOW,
    SearchedUser,
    SecretSearch,
    leak_control,
    run_scenario,
    search_sinks,
    searching,
)

pytestmark = pytest.mark.lab


@pytest.fixture(scope="module")
def hunt(job_lab: Lab, tmp_path_factory: pytest.TempPathFactory) -> SecretSearch:
    """Everything, done once, and searched by the tests."""
    home = tmp_path_factory.mktemp("canary")
    person = SearchedUser(job_lab, new_user(job_lab, home, "canary").home)
    (home / "tmp").mkdir()
    (home / ".ssh").mkdir(mode=0o700)
    (home / ".ssh/config").write_text("Host *\n  ForwardAgent yes\n")
    with searching(person, tmp_path_factory.mktemp("watched")) as hunt:
        run_scenario(hunt)
        leak_control(hunt)
    return hunt


@pytest.fixture(scope="module")
def sinks(hunt: SecretSearch) -> Mapping[str, bytes]:
    """All there is to search, by the kind of place."""
    return search_sinks(hunt)


@pytest.mark.parametrize(
    "sink",
    [pytest.param(sink, marks=pytest.mark.covers(*ASSERTION_IDS[sink])) for sink in SINKS],
)
def test_secret_when_everything_was_done_is_nowhere(
    hunt: SecretSearch, sinks: Mapping[str, bytes], sink: str
) -> None:
    assert len(hunt.canaries) == 12
    assert find_leaks(hunt.canaries, {sink: sinks[sink]}) == []


@pytest.mark.covers("S6")
@pytest.mark.parametrize("node", [FIRST, SECOND])
def test_secret_when_everything_was_done_is_where_it_is_used(hunt: SecretSearch, node: str) -> None:
    assert hunt.files_with_canary(node, EVERYWHERE) == EXPECTED_FILES[node]


@pytest.mark.covers("S1", "S2")
def test_processes_when_the_machines_ran_were_all_watched(hunt: SecretSearch) -> None:
    assert hunt.processes > 1000
    assert [(hunt.folder / f"wire-{n}/missed").read_text() for n in (FIRST, SECOND)] == ["0", "0"]


def test_control_when_it_was_let_out_on_purpose_is_found_in_each_sink(
    sinks: Mapping[str, bytes],
) -> None:
    found = {leak.where for leak in find_leaks([CONTROL_CANARY], dict(sinks))}
    assert found >= {
        "argv", "environment", "journal", "server logs", "pg_stat_activity", "wire",
        "record on the host", "histories", "temporary files",
    }  # fmt: skip


@pytest.mark.covers("S4")
def test_verifier_when_a_statement_of_ours_fails_is_in_no_log(
    sinks: Mapping[str, bytes],
) -> None:
    assert b"lock timeout" in b"\n".join(sinks[name] for name in ("standard error", "server logs"))
    sources = {
        name: sinks[name] for name in ("server logs", "pg_stat_activity", "pg_stat_statements")
    }
    assert [name for name, text in sources.items() if b"SCRAM-SHA-256$" in text] == []


@pytest.mark.covers("S11")
@pytest.mark.parametrize("node", [FIRST, SECOND])
def test_temporary_files_when_runs_ended_or_were_killed_are_deleted(
    hunt: SecretSearch, node: str
) -> None:
    ours = "find /tmp /var/tmp /dev/shm /run -xdev ! -type l ( -name '*pgp*' -o -name 'tmp.*' )"
    left = hunt.output_of(node, ours.replace("(", "\\(").replace(")", "\\)")).decode().split()
    assert set(left) - {"/run/pgprovision", "/tmp/pgp-control"} == set()
    assert list((hunt.user.home / "tmp").iterdir()) == []


@pytest.mark.covers("S12")
@pytest.mark.parametrize("node", [FIRST, SECOND])
def test_dumps_when_something_had_crashed_would_be_none(hunt: SecretSearch, node: str) -> None:
    assert hunt.output_of(node, "sysctl -n fs.suid_dumpable") == b"0"
    cores = "find / -xdev -type f \\( -name core -o -name 'core.[0-9]*' \\) -size +0"
    assert hunt.output_of(node, f"{cores}; ls /var/lib/systemd/coredump 2>/dev/null") == b""


@pytest.mark.covers("S13")
@pytest.mark.parametrize("node", [FIRST, SECOND])
def test_host_key_when_it_was_in_user_data_is_no_longer_served(
    hunt: SecretSearch, node: str
) -> None:
    public = hunt.output_of(node, "cat /etc/ssh/ssh_host_*_key.pub").decode()
    served = {line.split()[1] for line in public.splitlines()}
    handed = hunt.output_of(node, "cat /var/lib/cloud/instance/user-data.txt").decode()
    given = handed.partition("ecdsa_public: ")[2].split()
    pins = (hunt.user.inventory / "secrets/known_hosts").read_text().splitlines()
    assert given[0] == "ecdsa-sha2-nistp256"
    assert given[1] not in served
    pinned = {line.split()[2] for line in pins if line.split()[0] == node}
    assert pinned <= served
    assert pinned


@pytest.mark.covers("S45")
def test_agent_when_it_could_be_forwarded_is_not(
    hunt: SecretSearch, sinks: Mapping[str, bytes]
) -> None:
    listed = subprocess.run(["ssh-add", "-l"], env=hunt.user.environment, capture_output=True)
    assert listed.returncode == 2, "the agent ended with the runs"
    assert b"SSH_CONNECTION=" in sinks["environment"]
    assert b"SSH_AUTH_SOCK=" not in sinks["environment"]
    assert hunt.agents == ""


@pytest.mark.covers("S50")
def test_files_when_the_controller_keeps_them_are_private(hunt: SecretSearch) -> None:
    home = hunt.user.home
    paths = [*(home / ".local").rglob("*"), *(home / "inventory/secrets").rglob("*")]
    private = [path for path in paths if path.suffix not in (".pub", ".crt")]
    assert len(private) > 20
    assert [path for path in private if path.stat().st_mode & 0o077] == []


@pytest.mark.covers("S51")
@pytest.mark.parametrize("node", [FIRST, SECOND])
def test_links_when_a_plain_user_put_them_in_our_way_lead_nowhere(
    hunt: SecretSearch, node: str
) -> None:
    assert hunt.output_of(node, STATE_OF_SHADOW) == hunt.shadow[node]
    check = "runuser -u postgres -- pgbackrest --stanza=main check"
    assert hunt.user.console(FIRST, check).returncode == 0
    others = "find /tmp /var/tmp /dev/shm /run/lock -mindepth 1 -maxdepth 1 -user postgres"
    assert hunt.output_of(node, f"{others} ! -name 'PostgreSQL.*' ! -name '.s.PGSQL.*'") == b""


@pytest.mark.covers(
    "S1", "S2", "S3", "S4", "S5", "S6", "S7", "S8", "S9", "S10", "S11", "S13", "S14"
)
def test_secret_probes_when_counted_leaked_none(
    hunt: SecretSearch, sinks: Mapping[str, bytes]
) -> None:
    leaked = find_leaks(hunt.canaries, dict(sinks))
    probes = sum(len(canary.spellings()) for canary in hunt.canaries) * len(SINKS)
    found = {"secret probes": probes, "leaked": len(leaked), "processes": hunt.processes}
    write_result("secrets", found)
    assert sorted(sinks) == sorted(SINKS)
    assert f"secret probes leaked {len(leaked)} of {probes}" == "secret probes leaked 0 of 1428"
