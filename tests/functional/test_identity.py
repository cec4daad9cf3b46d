"""The identity of hosts and data, on real machines. Nothing is written to foreign hosts, data are
never created again, and what was half made is set aside.

One cluster for the whole file; each test leaves it as it found it, up to the last part.
"""

import subprocess

import pytest

from pgprovision.lab.manager import Lab
from tests.support.cli_user import TOP_LEVEL_KEY, CliUser, new_user, wait_for
from tests.support.fsync_trace import durable_renames, syscall_trace
from tests.support.host_state import (
    CLAIM_FILE,
    DATA_DIRECTORY,
    MANAGED_FOLDERS,
    MARKER,
    SERVICE,
    assert_converged,
    assert_refused,
    assert_unchanged,
    count_aside_directories,
    database_state,
    inventory_changed,
    postgres_stopped,
)
from tests.support.interrupted_work import (
    KILL_BASE_BACKUP,
    KILL_INITDB,
    KillResult,
    background_script,
    kill_delays,
    kill_repeatedly,
)
from tests.support.inventory_folders import bare_host

pytestmark = pytest.mark.lab

ONE, TWO = "ident-1", "ident-2"
BOTH = (ONE, TWO)
SLOW = '#!/bin/sh\nexec /usr/bin/pg_basebackup --max-rate=12M "$@"\n'


@pytest.fixture(scope="module")
def initdb(job_lab: Lab, tmp_path_factory: pytest.TempPathFactory) -> tuple[CliUser, KillResult]:
    """`up primary`, with initdb killed again and again."""
    person = new_user(job_lab, tmp_path_factory.mktemp("ident"), "ident")
    person.rewrite("cluster.yml", {TOP_LEVEL_KEY.format("host"): bare_host()})
    times = kill_delays((0.0, 0.1, 0.3, 0.6), 1.0)
    return person, kill_repeatedly(person, ONE, times, KILL_INITDB, "up", "primary", "--yes")


@pytest.fixture(scope="module")
def primary(initdb: tuple[CliUser, KillResult]) -> CliUser:
    person, kills = initdb
    assert kills.last_result.code == 0, kills.last_result.err
    rows = "set role rails; create table rows as select generate_series(1, 1000) as n"
    person.sql(ONE, rows, "hcb_production")
    return person


@pytest.fixture(scope="module")
def copies(primary: CliUser) -> KillResult:
    """A replica, with its base backup killed again and again."""
    (primary.inventory / f"nodes/{TWO}.yml").write_text("role: replica\nprivate_ip: 10.0.1.3\n")
    path = "/usr/local/bin/pg_basebackup"
    slow = f"cat >{path} <<'EOF'\n{SLOW}EOF\nchmod 755 {path}"
    times = kill_delays((0.1, 0.6, 1.5), 2.4)
    kills = kill_repeatedly(primary, TWO, times, KILL_BASE_BACKUP, "up", TWO, "--yes", first=slow)
    primary.shell(TWO, f"rm {path}")
    return kills


@pytest.fixture(scope="module")
def pair(primary: CliUser, copies: KillResult) -> CliUser:
    """Primary and replica."""
    assert copies.last_result.code == 0, copies.last_result.err
    return primary


# --- F23: another machine answers ---

HOST_KEY = "/etc/ssh/ssh_host_ed25519_key"


def swap_addresses(person: CliUser) -> None:
    """Each of the two machines answers at the other's address, with the other's host key."""
    show_address = "ip -4 -o addr show eth0 | awk '{ print $4 }'"
    addresses = {node: person.shell(node, show_address).partition("/")[0] for node in BOTH}
    keys = {node: person.shell(node, f"cat {HOST_KEY}") for node in BOTH}
    router = ["ip", "-n", person.lab.config.network.router]
    routes = subprocess.run([*router, "route"], capture_output=True, text=True, check=True).stdout
    cards = {line.split()[0]: line.split()[2] for line in routes.splitlines()}
    for node, other in (BOTH, BOTH[::-1]):
        old, new = addresses[node], addresses[other]
        person.shell(node, f"ip addr add {new}/32 dev eth0; ip addr del {old}/32 dev eth0")
        gateway = "172.31.1.1"
        default = f"ip route replace default via {gateway} dev eth0"
        person.shell(node, f"ip route replace {gateway} dev eth0; {default}")
        subprocess.run([*router, "route", "replace", new, "dev", cards[old]], check=True)
        public = f"ssh-keygen -yf {HOST_KEY} >{HOST_KEY}.pub"
        person.shell(node, f"cat >{HOST_KEY}; {public}; systemctl restart ssh", f"{keys[other]}\n")
    subprocess.run([*router, "neigh", "flush", "all"], check=True)


@pytest.mark.covers("F23")
def test_machines_when_swapped_behind_their_addresses_are_refused_and_not_written_to(
    pair: CliUser,
) -> None:
    swap_addresses(pair)
    try:
        with assert_unchanged(pair, *BOTH):
            for words in (("up", "--yes"), ("up", TWO, "--yes"), ("rotate", "rails", "--yes")):
                assert_refused(
                    pair, *words, message=f"this machine is {TWO} of cluster ident, not {ONE}"
                )
            leave = ("remove-replica", TWO, "--confirm", TWO)
            assert_refused(
                pair, *leave, message=f"this machine is {ONE} of cluster ident, not {TWO}"
            )
            command = ("adopt", ONE, "--confirm", ONE)
            assert_refused(pair, *command, message=f"{MARKER} says that this machine is {TWO}")
    finally:
        swap_addresses(pair)
    assert_converged(pair)


# --- F65, F66: what was half made is set aside ---


@pytest.mark.covers("F65")
def test_initdb_when_killed_at_any_moment_is_recognised_and_set_aside(
    initdb: tuple[CliUser, KillResult],
) -> None:
    person, kills = initdb
    assert kills.last_result.code == 0, kills.last_result.err
    assert set(kills.codes) == {5}
    assert -1 not in kills.partial_files  # each time the note was there
    assert count_aside_directories(person, ONE) == sum(1 for files in kills.partial_files if files)
    databases = "select string_agg(datname, ' ' order by datname) from pg_database"
    assert person.sql(ONE, databases) == "hcb_production postgres template0 template1"
    assert person.shell(ONE, f"[ -e {CLAIM_FILE} ] || echo gone") == "gone"


@pytest.mark.covers("F66")
def test_base_backup_when_killed_at_any_moment_is_recognised_and_set_aside(
    primary: CliUser, copies: KillResult
) -> None:
    assert copies.last_result.code == 0, copies.last_result.err
    assert set(copies.codes) == {5}
    assert count_aside_directories(primary, TWO) == sum(
        1 for files in copies.partial_files if files > 0
    )
    assert primary.sql(TWO, "select status from pg_stat_wal_receiver") == "streaming"
    assert_converged(primary)


@pytest.mark.covers("F66")
def test_restore_when_killed_at_any_moment_is_recognised_and_set_aside(pair: CliUser) -> None:
    pair.shell(TWO, f"rm -rf {DATA_DIRECTORY}.aside-*")
    with inventory_changed(
        pair, f"nodes/{TWO}.yml", {"role: replica": "role: replica\nclone_from: backup"}
    ):
        first = pair.start("re-clone", TWO, "--confirm", TWO)
        with background_script(pair, TWO, KILL_BASE_BACKUP.format(seconds=0.2)):
            assert wait_for(first).code == 5
        kills = kill_repeatedly(
            pair, TWO, kill_delays((0.0, 0.3), 0.8), KILL_BASE_BACKUP, "up", TWO, "--yes"
        )
    assert kills.last_result.code == 0, kills.last_result.err
    assert set(kills.codes) == {5}
    assert pair.sql(TWO, "select status from pg_stat_wal_receiver") == "streaming"
    assert pair.sql(TWO, "select count(*) from rows", "hcb_production") == "1000"
    pair.shell(TWO, f"rm -r {DATA_DIRECTORY}.aside-*")
    assert_converged(pair)


# --- F67: a cluster with data is started or reported, never made ---

CRASH = (
    f"systemctl mask -q --runtime {SERVICE}; systemctl kill -s KILL --kill-who=all {SERVICE};"
    f" sleep 0.3; systemctl unmask -q --runtime {SERVICE}; [ -e {DATA_DIRECTORY}/postmaster.pid ]"
)


@pytest.mark.covers("F67")
@pytest.mark.parametrize(
    "hand",
    [
        f"systemctl stop {SERVICE}",
        f"systemctl stop {SERVICE}; systemctl mask -q {SERVICE}",
        CRASH,
    ],
    ids=["stopped", "masked", "crashed"],
)
def test_full_cluster_when_it_does_not_run_is_started_and_never_initialised(
    pair: CliUser, hand: str
) -> None:
    before = database_state(pair, ONE)
    pair.shell(ONE, hand)
    run = pair.run("up", "--yes")
    assert run.code == 0, run.err
    assert database_state(pair, ONE) == before
    assert_converged(pair)


# --- F68, F69: other data, or none ---


@pytest.mark.covers("F68")
def test_cluster_when_another_was_made_in_its_place_is_refused_and_not_touched(
    pair: CliUser,
) -> None:
    with postgres_stopped(pair, ONE):
        initdb = "runuser -u postgres -- /usr/lib/postgresql/15/bin/initdb --no-sync"
        pair.shell(
            ONE, f"mv {DATA_DIRECTORY} {DATA_DIRECTORY}.mine; cd /; {initdb} -D {DATA_DIRECTORY}"
        )
        with assert_unchanged(pair, ONE, data=True):
            assert_refused(pair, "up", "--yes", message="the marker says system identifier")
            assert_refused(
                pair, "adopt", ONE, "--confirm", ONE, message=f"{MARKER} says system identifier"
            )
        pair.shell(ONE, f"rm -r {DATA_DIRECTORY}; mv {DATA_DIRECTORY}.mine {DATA_DIRECTORY}")
    assert_converged(pair)


@pytest.mark.covers("F69")
def test_volume_when_not_mounted_is_refused_and_nothing_made_on_the_root_disk(
    pair: CliUser,
) -> None:
    with postgres_stopped(pair, *BOTH):
        for node in BOTH:
            pair.shell(
                node, f"mv {DATA_DIRECTORY} /srv/volume; mkdir {DATA_DIRECTORY}"
            )  # an empty mount point
        with assert_unchanged(pair, *BOTH, data=True):
            assert_refused(
                pair, "up", "--yes", message="the cluster on disk is missing", next="findmnt"
            )
        pair.shell(ONE, f"mv {MARKER} /run/marker")
        with assert_unchanged(pair, *BOTH, data=True):
            assert_refused(
                pair, "up", "primary", "--yes", message="no data in", next="pgprovision adopt"
            )
            assert_refused(pair, "adopt", ONE, "--confirm", ONE, message="there is no cluster in")
        pair.shell(ONE, f"mv /run/marker {MARKER}")
        for node in BOTH:
            pair.shell(node, f"rmdir {DATA_DIRECTORY}; mv /srv/volume {DATA_DIRECTORY}")
    assert_converged(pair)


# --- F72, F73: the inventory is wrong ---


@pytest.mark.covers("F72", "B106")
def test_version_when_edited_is_refused_with_the_way_back(pair: CliUser) -> None:
    with (
        inventory_changed(pair, "cluster.yml", {"  version: 15": "  version: 16"}),
        assert_unchanged(pair, *BOTH),
    ):
        back = "put postgres.version back to 15; major upgrades are not supported yet"
        assert_refused(
            pair, "up", "--yes", message="the data on this machine are of PostgreSQL 15", next=back
        )


@pytest.mark.covers("F73")
def test_roles_when_swapped_are_refused_as_the_live_role_wins(pair: CliUser) -> None:
    first, second = f"nodes/{ONE}.yml", f"nodes/{TWO}.yml"
    swapped = {"role: primary": "role: replica"}, {"role: replica": "role: primary"}
    with inventory_changed(pair, first, swapped[0]), inventory_changed(pair, second, swapped[1]):
        with assert_unchanged(pair, *BOTH):
            expected = f"{ONE} (timeline 1"
            assert_refused(pair, "up", "--yes", message=expected, next="the live role wins")
        with postgres_stopped(pair, *BOTH), assert_unchanged(pair, *BOTH, data=True):
            assert_refused(pair, "up", "--yes", message="the live role wins")
    assert_converged(pair)


# --- F78: the marker is gone ---


@pytest.mark.covers("F78")
@pytest.mark.parametrize(
    ("node", "lost"),
    [(ONE, MARKER), (TWO, "/etc/pgprovision")],
    ids=["primary's marker", "all of a replica's"],
)
def test_marker_when_removed_by_hand_requires_adopt_and_then_all_is_as_it_was(
    pair: CliUser, node: str, lost: str
) -> None:
    before = database_state(pair, ONE)
    pair.shell(node, f"rm -r {lost}")
    with assert_unchanged(pair, node):
        next = f"pgprovision adopt {node}"
        assert_refused(pair, "plan", message="does not count as empty", next=next)
        assert_refused(pair, "up", "--yes", message="does not count as empty", next=next)
        assert_refused(
            pair, "adopt", node, message="the confirmation does not match the node's name"
        )
        assert_refused(
            pair,
            "adopt",
            node,
            "--confirm",
            "ident",
            message="the confirmation does not match the node's name",
        )
    pair.shell(node, "sleep 0.1; touch /run/before")
    run = pair.run("adopt", node, "--confirm", node)
    assert run.code == 0, run.err
    assert f"{before[1]}" in run.err
    assert "next: pgprovision plan" in run.out
    written = pair.shell(
        node, f"find {MANAGED_FOLDERS} -type f -newer /run/before ! -path '{DATA_DIRECTORY}/*'"
    )
    assert [path for path in written.split() if not path.startswith("/var/lib/pgprovision/")] == [
        MARKER
    ]
    again = pair.run("up", "--yes")
    assert again.code == 0, again.err
    assert database_state(pair, ONE) == before
    assert_converged(pair)


@pytest.mark.covers("F78")
def test_claim_when_removed_before_the_end_requires_adopt(pair: CliUser) -> None:
    pair.shell(ONE, f"mv {MARKER} /etc/pgprovision/claim.json")  # as in a run that was killed
    clean_up = pair.run("plan")
    assert clean_up.code == 1, clean_up.err
    pair.shell(ONE, "mv /etc/pgprovision/claim.json /run/claim")
    assert_refused(pair, "up", "--yes", message="does not count as empty", next="pgprovision adopt")
    pair.shell(ONE, f"mv /run/claim {MARKER}")
    assert_converged(pair)


@pytest.mark.covers("F78")
def test_adopt_when_the_live_role_is_another_is_refused(pair: CliUser) -> None:
    first, second = f"nodes/{ONE}.yml", f"nodes/{TWO}.yml"
    swapped = {"role: primary": "role: replica"}, {"role: replica": "role: primary"}
    for node in BOTH:
        pair.shell(node, f"mv {MARKER} /run/marker")
    with inventory_changed(pair, first, swapped[0]), inventory_changed(pair, second, swapped[1]):
        for node in BOTH:
            assert_refused(pair, "adopt", node, "--confirm", node, message="the live role wins")
    for node in BOTH:
        pair.shell(node, f"mv /run/marker {MARKER}")
    assert_converged(pair)


# --- F80: what was reported as done outlasts the power ---


@pytest.mark.covers("F80")
def test_marker_configuration_and_slot_when_written_are_synced_before_and_after_they_move(
    pair: CliUser,
) -> None:
    conf = "/etc/postgresql/15/main/postgresql.conf"
    pair.shell(TWO, f"systemctl stop {SERVICE}")
    pair.sql(ONE, "select pg_drop_replication_slot('pgprovision_ident_2')")
    pair.shell(ONE, f"cp {MARKER} /etc/pgprovision/claim.json; echo '# x' >>{conf}")
    with syscall_trace(
        pair, ONE, f"$(pgrep -xo sshd) $(head -n 1 {DATA_DIRECTORY}/postmaster.pid)"
    ) as trace:
        assert pair.run("up", "primary", "--yes").code == 0
    assert {MARKER, conf, "pg_replslot/pgprovision_ident_2"} <= durable_renames(trace)
    pair.run_json("up", "--yes")
    assert_converged(pair)


# --- F68: a cluster made by hand. This one is another after this. ---


UNIT = "postgresql@15-main.service"
START = f"""systemctl start {UNIT}
for i in $(seq 100); do [ -S /var/run/postgresql/.s.PGSQL.5432 ] && exit; sleep 0.1; done
journalctl -u {UNIT} -n 20 >&2; exit 1"""


@pytest.mark.covers("F68", "F78", "B106")
def test_foreign_cluster_is_refused_untouched_until_adopted_and_then_converges(
    pair: CliUser,
) -> None:
    pair.run_json("remove-replica", TWO, "--confirm", TWO)
    pair.rewrite("cluster.yml", {TOP_LEVEL_KEY.format("backup"): ""})
    pair.shell(ONE, "pg_dropcluster --stop 15 main; rm -r /etc/pgprovision")
    pair.shell(
        ONE, f"pg_createcluster --port 5432 15 main >&2; systemctl reset-failed {UNIT}; {START}"
    )
    pair.sql(ONE, "create database theirs")
    pair.sql(ONE, "create table kept as select 42 as answer", "theirs")
    with postgres_stopped(pair, ONE), assert_unchanged(pair, ONE, data=True):
        assert_refused(pair, "up", "--yes", message=f"{DATA_DIRECTORY} holds a PostgreSQL cluster")
    inode = pair.shell(ONE, f"stat -c %i {DATA_DIRECTORY}")
    adopted = pair.run("adopt", ONE, "--confirm", ONE)
    assert adopted.code == 0, adopted.err
    assert "theirs (" in adopted.err
    plan = pair.run("plan", "--json").document["changes"]
    kinds = {change["kind"] for change in plan}
    assert {"role", "database", "pg_hba.conf"} <= kinds
    assert not {"identity marker", "claim file"} & kinds
    run = pair.run("up", "--yes", "--allow", "restart")
    assert run.code in (0, 1), run.err  # 1: checksums are off, which only people can change
    assert pair.shell(ONE, f"stat -c %i {DATA_DIRECTORY}") == inode
    assert pair.sql(ONE, "select answer from kept", "theirs") == "42"
