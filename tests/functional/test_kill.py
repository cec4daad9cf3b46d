"""F1: the controller dies by SIGKILL again and again, and the same command always goes on."""

import json
import time
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from pgprovision.lab.manager import Lab
from pgprovision.lab.process import wait_until
from tests.support.cli_user import CliUser, CommandResult, new_user, wait_for

pytestmark = pytest.mark.lab

FIRST, SECOND = "mortal-1", "mortal-2"
KILLED = -9
# Each is one run; a run's changes are counted from 1. The last is repeated to the end.
FROM_NOTHING = ("1:before", "2:before", "5:after", "1:after", "3:before", "4:before", "6:after")
JOIN = ("3:after", "1:before", "6:after", "8:after")
SERVICE = "postgresql@15-main.service"


@dataclass(frozen=True)
class Deaths:
    """What a command was doing each time it was killed, and how its last run ended."""

    last_words: list[str]
    end: CommandResult


@pytest.fixture(scope="module")
def person(job_lab: Lab, tmp_path_factory: pytest.TempPathFactory) -> CliUser:
    return new_user(job_lab, tmp_path_factory.mktemp("mortal"), "mortal")


@pytest.fixture(scope="module")
def primary(person: CliUser) -> Deaths:
    """`up primary`, killed at every few changes."""
    return _killed(person, FROM_NOTHING, "up", "primary")


@pytest.fixture(scope="module")
def replica(person: CliUser, primary: Deaths) -> Deaths:
    """`add-replica`, killed at every few changes."""
    assert primary.end.code == 0, primary.end.err
    return _killed(person, JOIN, "add-replica", SECOND)


@pytest.mark.covers("F1")
def test_up_primary_when_killed_again_and_again_ends_well(primary: Deaths) -> None:
    assert primary.end.code == 0, primary.end.err
    assert len(primary.last_words) >= 6


@pytest.mark.covers("F1", "F33")
def test_server_when_up_was_killed_is_one(person: CliUser, primary: Deaths) -> None:
    cloud = person.cloud()
    ours = "cluster=mortal"
    assert [server.name for server in cloud.servers.get_all(label_selector=ours)] == [FIRST]
    for kind in (cloud.networks, cloud.firewalls, cloud.placement_groups, cloud.ssh_keys):
        assert len(kind.get_all(label_selector=ours)) == 1


@pytest.mark.covers("F5")
def test_full_backup_when_up_was_killed_is_one(person: CliUser, primary: Deaths) -> None:
    assert [backup["type"] for backup in person.run_json("status")["backups"]] == ["full"]


@pytest.mark.covers("F65")
def test_data_directory_when_up_was_killed_is_whole(person: CliUser, primary: Deaths) -> None:
    assert person.shell(FIRST, "ls /var/lib/postgresql/15 | grep -v aside") == "main"
    databases = "select string_agg(datname, ' ' order by datname) from pg_database"
    assert person.sql(FIRST, databases) == "hcb_production postgres template0 template1"


@pytest.mark.covers("V4")
def test_up_when_killed_leaves_what_an_undisturbed_one_does(
    person: CliUser, primary: Deaths
) -> None:
    found = person.run_json("up", "primary")
    assert (found["changes"], found["remaining"], found["ssh_execs"][FIRST]) == ([], [], 1)


@pytest.mark.covers("F1")
def test_add_replica_when_killed_again_and_again_ends_well(replica: Deaths) -> None:
    assert replica.end.code == 0, replica.end.err
    assert len(replica.last_words) >= 4


@pytest.mark.covers("F1")
def test_slot_and_server_when_add_replica_was_killed_are_one(
    person: CliUser, replica: Deaths
) -> None:
    servers = person.cloud().servers.get_all(label_selector="cluster=mortal")
    assert [server.name for server in servers] == [FIRST, SECOND]
    slots = "select slot_name, active from pg_replication_slots"
    assert person.sql(FIRST, slots) == "pgprovision_mortal_2|t"
    assert sorted(path.name for path in (person.inventory / "nodes").iterdir()) == [
        f"{FIRST}.yml",
        f"{SECOND}.yml",
    ]


@pytest.mark.covers("F5")
def test_base_backup_when_add_replica_was_killed_is_one(person: CliUser, replica: Deaths) -> None:
    began = "journalctl -o cat -u pgprovision-seed.service | grep -c '^Started'"
    assert person.shell(SECOND, began) == "1"
    assert person.shell(SECOND, "ls /var/lib/postgresql/15") == "main"


@pytest.mark.covers("V4")
def test_up_when_add_replica_was_killed_finds_nothing(person: CliUser, replica: Deaths) -> None:
    found = person.run_json("up")
    assert (found["changes"], found["remaining"]) == ([], [])
    assert found["ssh_execs"] == {FIRST: 1, SECOND: 1}


@pytest.fixture
def slow_start(person: CliUser, replica: Deaths) -> Iterator[str]:
    """The replica's service stands still, and takes seconds to start."""
    drop_in = f"/run/systemd/system/{SERVICE}.d"
    person.shell(
        SECOND,
        f"systemctl stop {SERVICE}; mkdir -p {drop_in}\n"
        f"printf '[Service]\\nExecStartPre=/bin/sleep 4\\n' >{drop_in}/slow.conf\n"
        "systemctl daemon-reload",
    )
    yield SECOND
    person.shell(SECOND, f"rm {drop_in}/slow.conf; systemctl daemon-reload")


@pytest.mark.covers("F19")
def test_connection_when_lost_in_mid_act_is_looked_at_again(
    person: CliUser, slow_start: str
) -> None:
    began = time.time()
    running = person.start("up", "--yes", "--json")
    asleep = f"systemctl is-active {SERVICE} | grep -q activating"
    assert wait_until(lambda: person.console(slow_start, asleep).returncode == 0, seconds=30)
    person.shell(slow_start, "kill -9 $(ps -eo pid,args | awk '/[s]shd: root@notty/ { print $1 }')")
    run = wait_for(running)
    assert run.code == 0, run.out + run.err
    assert run.document["remaining"] == []
    starts = f"journalctl -o cat -u {SERVICE} --since=@{began:.0f} | grep -c '^Starting'"
    assert person.shell(slow_start, starts) == "1"


def _killed(person: CliUser, points: tuple[str, ...], *words: str) -> Deaths:
    last_words: list[str] = []
    for number in range(40):
        point = points[min(number, len(points) - 1)]
        run = person.run(*words, "--yes", kill=point)
        if run.code != KILLED:
            return Deaths(last_words, run)
        last_words.append(f"{point}: {_last_words(person)}")
    raise AssertionError(f"it never ends: {last_words}")


def _last_words(person: CliUser) -> str:
    """The last line of the newest record."""
    records = sorted((person.home / ".local/state").rglob("*.jsonl"))
    line = json.loads(records[-1].read_text().splitlines()[-1])
    return f"{line['event']} {line.get('resource', '')}"
