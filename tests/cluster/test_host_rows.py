"""The system under PostgreSQL: what a hand changed in it is named and repaired, what has to hold
holds. On the machines of the main job."""

import pytest

from pgprovision.resources.postgres.server.huge_pages import HugePages
from pgprovision.resources.postgres.server.instance import Instance
from tests.cluster.conftest import PRIMARY, REPLICA
from tests.support.cli_user import CliUser

pytestmark = pytest.mark.lab

CONF, DATA = "/etc/postgresql/15/main", "/var/lib/postgresql/15/main"
SSHD = "/etc/ssh/sshd_config.d"
SETTINGS = (
    "permitrootlogin|passwordauthentication|kbdinteractiveauthentication|x11forwarding"
    "|allowagentforwarding|permitemptypasswords|clientaliveinterval"
)

# A hand's work: shell text, and what it must be called.
BY_HAND = {
    ("host firewall", "inet pgprovision"): (
        "nft add rule inet pgprovision input tcp dport 9999 accept"
        " && rm /etc/pgprovision/nftables.conf",
        ["rules", "at the next boot"],
    ),
    ("unit", "pgprovision-firewall.service"): (
        "systemctl -q disable pgprovision-firewall",
        ["enabled"],
    ),
    ("SSH daemon", f"{SSHD}/00-pgprovision.conf"): (
        f"sed -i 's/X11Forwarding no/X11Forwarding yes/' {SSHD}/00-pgprovision.conf",
        ["x11forwarding", "content", "loaded"],
    ),
    ("file", "/etc/apt/apt.conf.d/52pgprovision"): (
        "sed -i /pgbackrest/d /etc/apt/apt.conf.d/52pgprovision",
        ["content"],
    ),
    ("held packages", "postgresql-15, pgbackrest"): (
        "apt-mark -q unhold pgbackrest",
        ["pgbackrest"],
    ),
    ("daemon configuration", "systemd-journald.service"): (
        "touch /etc/systemd/journald.conf.d/pgprovision.conf",
        ["configuration"],
    ),
    ("file", "/etc/update-motd.d/50-pgprovision"): (
        "chmod 0644 /etc/update-motd.d/50-pgprovision",
        ["mode"],
    ),
    ("kernel parameters", "sysctl"): (
        "echo 7200 >/proc/sys/net/ipv4/tcp_keepalive_time",
        ["net.ipv4.tcp_keepalive_time"],
    ),
    ("file permissions", CONF): (f"chmod o+r {CONF}/environment", ["world_accessible"]),
}


@pytest.mark.covers("row:B4", "row:B5", "row:B6", "row:B7", "row:B8", "S40")
def test_drift_when_hands_changed_the_host_names_each_and_up_repairs_it(
    cluster: CliUser,
) -> None:
    cluster.shell(PRIMARY, "nft add table inet theirs")
    for text, _ in BY_HAND.values():
        cluster.shell(PRIMARY, text)
    found = cluster.drift()
    repaired = cluster.run("up", "--yes")
    assert found == {(PRIMARY, *what): keys for what, (_, keys) in BY_HAND.items()}
    assert repaired.code == 0, repaired.err
    assert cluster.drift() == {}
    assert "table inet theirs" in cluster.shell(
        PRIMARY, "nft list tables; nft delete table inet theirs"
    )


@pytest.mark.covers("row:B6")
def test_sshd_when_another_file_wins_over_ours_it_is_reported_and_no_error(
    cluster: CliUser,
) -> None:
    cluster.shell(PRIMARY, f"echo 'PasswordAuthentication yes' >{SSHD}/00-a-theirs.conf")
    run = cluster.run("up", "--yes", "--json")
    left = [(change["name"], change["differing_keys"]) for change in run.document["remaining"]]
    cluster.shell(PRIMARY, f"rm {SSHD}/00-a-theirs.conf")
    assert (run.code, left) == (1, [(f"{SSHD}/00-pgprovision.conf", ["passwordauthentication"])])
    assert cluster.run("up", "--yes").code == 0
    assert cluster.drift() == {}


HOLDS = [
    pytest.param(
        "ss -Hltn 'sport = :5432' | awk '{print $4}' | sort",
        "10.0.1.2:5432\n127.0.0.1:5432\n[::1]:5432",
        id="postgres_listens_privately",
        marks=pytest.mark.covers("S34"),
    ),
    pytest.param(
        "nft list ruleset | grep -c 'policy drop'",
        "1",
        id="firewall_drops_by_default",
        marks=pytest.mark.covers("row:B7"),
    ),
    pytest.param(
        f"sshd -T | grep -E '^({SETTINGS}) ' | sort",
        "allowagentforwarding no\nclientaliveinterval 3\nkbdinteractiveauthentication no\n"
        "passwordauthentication no\npermitemptypasswords no\npermitrootlogin without-password\n"
        "x11forwarding no",
        id="sshd_is_hard",
        marks=pytest.mark.covers("S44"),
    ),
    pytest.param(
        "visudo -cq && sudo -l -U postgres",
        f"User postgres is not allowed to run sudo on {PRIMARY}.",
        id="sudo_gives_postgres_nothing",
        marks=pytest.mark.covers("S46"),
    ),
    pytest.param(
        "passwd -S postgres | cut -d' ' -f2",
        "L",
        id="service_account_is_locked",
        marks=pytest.mark.covers("S47"),
    ),
    pytest.param(
        "ls ~postgres/.ssh/authorized_keys 2>&- || :",
        "",
        id="service_account_has_no_ssh_key",
        marks=pytest.mark.covers("S47"),
    ),
    pytest.param(
        f"stat -c '%a %U' {DATA} {CONF}/pg_hba.conf /etc/pgbackrest/pgbackrest.conf"
        " /etc/pgprovision/tls/server.key",
        "700 postgres\n640 postgres\n640 postgres\n600 postgres",
        id="modes",
        marks=pytest.mark.covers("S48"),
    ),
    pytest.param(
        "stat -c '%a %U:%G' /etc/pgbackrest/pgbackrest.conf /etc/pgbackrest.conf",
        "640 postgres:postgres\n640 postgres:postgres",
        id="pgbackrest_conf_is_postgres_s_alone_both_ours_and_the_package_s",
        marks=pytest.mark.covers("S48", "row:D1"),
    ),
    pytest.param(
        f"find {CONF} {DATA} /var/log/postgresql ! -name local.conf -perm /o=rwx",
        "",
        id="nothing_for_others",
        marks=pytest.mark.covers("S49"),
    ),
    pytest.param(
        "systemctl show -p OOMScoreAdjust --value postgresql@15-main",
        "-900",
        id="oom_score_of_the_unit",
        marks=pytest.mark.covers("S53"),
    ),
    pytest.param(
        f"for p in $(pgrep -P $(head -1 {DATA}/postmaster.pid)); do"
        " cat /proc/$p/oom_score_adj; done | sort -u",
        "0",
        id="oom_score_of_the_children",
        marks=pytest.mark.covers("S53"),
    ),
    pytest.param(
        "systemctl show -p Restart,LimitNOFILE,TimeoutStopUSec postgresql@15-main | sort",
        "LimitNOFILE=65536\nRestart=on-failure\nTimeoutStopUSec=10min",
        id="restart_and_limits",
        marks=pytest.mark.covers("row:B3"),
    ),
    pytest.param(
        "busctl get-property org.freedesktop.login1 /org/freedesktop/login1"
        " org.freedesktop.login1.Manager RemoveIPC",
        "b false",
        id="shared_memory_stays_when_a_user_leaves",
        marks=pytest.mark.covers("row:B3"),
    ),
    pytest.param(
        'perl -e \'do "/etc/needrestart/conf.d/pgprovision.conf"; die $@ if $@; print "sound"\'',
        "sound",
        id="needrestart_leaves_postgres_alone",
        marks=pytest.mark.covers("row:B5"),
    ),
    pytest.param(
        "journalctl --header | grep -c 'File path: /var/log/journal/' | sed 's/[1-9].*/some/'",
        "some",
        id="journal_is_persistent",
        marks=pytest.mark.covers("row:B6"),
    ),
    pytest.param(
        "run-parts /etc/update-motd.d | grep cluster",
        f"cluster hcb-lab   node {PRIMARY}   role primary",
        id="banner",
        marks=pytest.mark.covers("row:B8"),
    ),
    pytest.param(
        "cat /proc/sys/fs/suid_dumpable",
        "0",
        id="no_core_dumps_of_privileged_programs",
        marks=pytest.mark.covers("S12"),
    ),
]


@pytest.mark.parametrize(("text", "expected"), HOLDS)
def test_host_when_provisioned(cluster: CliUser, text: str, expected: str) -> None:
    assert cluster.shell(PRIMARY, text) == expected


@pytest.mark.covers("row:B8")
def test_banner_on_a_replica_names_the_live_role(cluster: CliUser) -> None:
    assert cluster.shell(REPLICA, "/etc/update-motd.d/50-pgprovision") == (
        f"cluster hcb-lab   node {REPLICA}   role replica"
    )


@pytest.mark.covers("row:B4")
def test_container_when_it_cannot_set_the_kernel_is_reported_and_not_failed(
    cluster: CliUser,
) -> None:
    found = cluster.run_json("status")["nodes"][0]
    notes = "\n".join(found["notes"])
    assert found["drift"] == []
    for name in ("vm.swappiness", "vm.overcommit_memory", "huge pages", "OOM score"):
        assert name in notes


@pytest.mark.covers("row:B4")
def test_huge_pages_when_requested_are_what_the_running_server_says(cluster: CliUser) -> None:
    """The machines cannot reserve any; the question can be asked all the same."""
    question = HugePages(on=PRIMARY, instance=Instance()).pages_needed_command
    sizes = cluster.shell(PRIMARY, question)
    assert sizes == cluster.sql(PRIMARY, "show shared_memory_size_in_huge_pages")
    assert cluster.shell(PRIMARY, "ls -d /run/pgprovision-ask* 2>&- || :") == ""


@pytest.mark.covers("F59")
def test_postmaster_when_its_binary_was_replaced_is_reported(cluster: CliUser) -> None:
    replace = "cd /usr/lib/postgresql/15/bin; cp -p postgres new; mv new postgres"
    cluster.shell(REPLICA, replace)
    run = cluster.run("drift", "--json")
    assert run.code == 0
    notes = {note["text"] for note in run.document["notes"] if note["target"] == REPLICA}
    assert "binary newer than process: PostgreSQL runs as before its upgrade" in notes
