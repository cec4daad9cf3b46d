"""The system under PostgreSQL: what a hand changed in it is named and repaired, what has to hold
holds. On the machines of the main job."""

import pytest

from pgprovision.resources.postgres.server.huge_pages import HugePages
from pgprovision.resources.postgres.server.instance import Instance
from tests.cluster.conftest import PRIMARY, REPLICA
from tests.support.cli_user import Person

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
        ["rules", "after a reboot"],
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
    ("configuration read", "systemd-journald.service"): (
        "touch /etc/systemd/journald.conf.d/pgprovision.conf",
        ["configuration"],
    ),
    ("file", "/etc/update-motd.d/50-pgprovision"): (
        "chmod 0644 /etc/update-motd.d/50-pgprovision",
        ["mode"],
    ),
    ("kernel settings", "sysctl"): (
        "echo 7200 >/proc/sys/net/ipv4/tcp_keepalive_time",
        ["net.ipv4.tcp_keepalive_time"],
    ),
    ("closed to others", CONF): (f"chmod o+r {CONF}/environment", ["open"]),
}


def test_B_S40_drift_when_hands_changed_the_host_names_each_and_up_repairs_it(
    cluster: Person,
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


def test_B6_sshd_when_another_file_wins_over_ours_it_is_reported_and_no_error(
    cluster: Person,
) -> None:
    cluster.shell(PRIMARY, f"echo 'PasswordAuthentication yes' >{SSHD}/00-a-theirs.conf")
    run = cluster.run("up", "--yes", "--json")
    left = [(change["name"], change["keys"]) for change in run.document["left"]]
    cluster.shell(PRIMARY, f"rm {SSHD}/00-a-theirs.conf")
    assert (run.code, left) == (1, [(f"{SSHD}/00-pgprovision.conf", ["passwordauthentication"])])
    assert cluster.run("up", "--yes").code == 0
    assert cluster.drift() == {}


HOLDS = {
    "S34_postgres_listens_privately": (
        "ss -Hltn 'sport = :5432' | awk '{print $4}' | sort",
        "10.0.1.2:5432\n127.0.0.1:5432\n[::1]:5432",
    ),
    "B7_firewall_drops_by_default": ("nft list ruleset | grep -c 'policy drop'", "1"),
    "S44_sshd_is_hard": (
        f"sshd -T | grep -E '^({SETTINGS}) ' | sort",
        "allowagentforwarding no\nclientaliveinterval 3\nkbdinteractiveauthentication no\n"
        "passwordauthentication no\npermitemptypasswords no\npermitrootlogin without-password\n"
        "x11forwarding no",
    ),
    "S46_sudo_gives_postgres_nothing": (
        "visudo -cq && sudo -l -U postgres",
        f"User postgres is not allowed to run sudo on {PRIMARY}.",
    ),
    "S47_service_account_is_locked": ("passwd -S postgres | cut -d' ' -f2", "L"),
    "S47_service_account_has_no_ssh_key": ("ls ~postgres/.ssh/authorized_keys 2>&- || :", ""),
    "S48_modes": (
        f"stat -c '%a %U' {DATA} {CONF}/pg_hba.conf /etc/pgbackrest/pgbackrest.conf"
        " /etc/pgprovision/tls/server.key",
        "700 postgres\n640 postgres\n640 postgres\n600 postgres",
    ),
    "S48_D1_pgbackrest_conf_is_postgres_s_alone_both_ours_and_the_package_s": (
        "stat -c '%a %U:%G' /etc/pgbackrest/pgbackrest.conf /etc/pgbackrest.conf",
        "640 postgres:postgres\n640 postgres:postgres",
    ),
    "S49_nothing_for_others": (
        f"find {CONF} {DATA} /var/log/postgresql ! -name local.conf -perm /o=rwx",
        "",
    ),
    "S53_oom_score_of_the_unit": (
        "systemctl show -p OOMScoreAdjust --value postgresql@15-main",
        "-900",
    ),
    "S53_oom_score_of_the_children": (
        f"for p in $(pgrep -P $(head -1 {DATA}/postmaster.pid)); do"
        " cat /proc/$p/oom_score_adj; done | sort -u",
        "0",
    ),
    "B3_restart_and_limits": (
        "systemctl show -p Restart,LimitNOFILE,TimeoutStopUSec postgresql@15-main | sort",
        "LimitNOFILE=65536\nRestart=on-failure\nTimeoutStopUSec=10min",
    ),
    "B3_shared_memory_stays_when_a_user_leaves": (
        "busctl get-property org.freedesktop.login1 /org/freedesktop/login1"
        " org.freedesktop.login1.Manager RemoveIPC",
        "b false",
    ),
    "B5_needrestart_leaves_postgres_alone": (
        'perl -e \'do "/etc/needrestart/conf.d/pgprovision.conf"; die $@ if $@; print "sound"\'',
        "sound",
    ),
    "B6_journal_is_persistent": (
        "journalctl --header | grep -c 'File path: /var/log/journal/' | sed 's/[1-9].*/some/'",
        "some",
    ),
    "B8_banner": (
        "run-parts /etc/update-motd.d | grep cluster",
        f"cluster hcb-lab   node {PRIMARY}   role primary",
    ),
    "S12_no_core_dumps_of_privileged_programs": ("cat /proc/sys/fs/suid_dumpable", "0"),
}


@pytest.mark.parametrize("what", HOLDS)
def test_host_when_provisioned(cluster: Person, what: str) -> None:
    text, expected = HOLDS[what]
    assert cluster.shell(PRIMARY, text) == expected


def test_B8_banner_on_a_replica_names_the_live_role(cluster: Person) -> None:
    assert cluster.shell(REPLICA, "/etc/update-motd.d/50-pgprovision") == (
        f"cluster hcb-lab   node {REPLICA}   role replica"
    )


def test_B4_container_when_it_cannot_set_the_kernel_is_reported_and_not_failed(
    cluster: Person,
) -> None:
    found = cluster.done("status")["nodes"][0]
    said = "\n".join(found["remarks"])
    assert found["differs"] == []
    for name in ("vm.swappiness", "vm.overcommit_memory", "huge pages", "OOM score"):
        assert name in said


def test_B4_huge_pages_when_asked_for_are_what_the_running_server_says(cluster: Person) -> None:
    """The machines cannot reserve any; the question can be asked all the same."""
    question = HugePages(on=PRIMARY, instance=Instance()).question
    told = cluster.shell(PRIMARY, question)
    assert told == cluster.sql(PRIMARY, "show shared_memory_size_in_huge_pages")
    assert cluster.shell(PRIMARY, "ls -d /run/pgprovision-ask* 2>&- || :") == ""


def test_F59_postmaster_when_its_binary_was_replaced_is_reported(cluster: Person) -> None:
    replace = "cd /usr/lib/postgresql/15/bin; cp -p postgres new; mv new postgres"
    cluster.shell(REPLICA, replace)
    run = cluster.run("drift", "--json")
    assert run.code == 0
    said = {remark["text"] for remark in run.document["remarks"] if remark["on"] == REPLICA}
    assert "binary newer than process: PostgreSQL runs as before its upgrade" in said
