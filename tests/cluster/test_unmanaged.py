"""V8: what nobody declared survives byte for byte, whatever is repaired beside it."""

from collections.abc import Iterator

import pytest
from hcloud.firewalls import FirewallRule

from tests.cluster.conftest import PRIMARY
from tests.support.cli_user import CliUser
from tests.support.manual_changes import BACKUP_CONF, CONF, RELOAD, SSHD_CONF, open_firewall

pytestmark = pytest.mark.lab

# A neighbour of every file and folder of ours.
FILES = (
    "/etc/apt/apt.conf.d/99theirs",
    "/etc/apt/sources.list.d/theirs.list",
    "/etc/cron.d/theirs",
    "/etc/motd",
    "/etc/nftables.conf",
    "/etc/pgbackrest/conf.d/theirs.conf",
    "/etc/pgprovision/theirs",
    "/etc/pgprovision/tls/theirs",
    f"{CONF}/conf.d/theirs.conf",
    f"{CONF}/local.conf",
    "/etc/ssh/sshd_config.d/50-theirs.conf",
    "/etc/sysctl.d/50-theirs.conf",
    "/etc/systemd/journald.conf.d/theirs.conf",
    "/etc/systemd/system/theirs.service",
    "/etc/tmpfiles.d/theirs.conf",
    "/root/.psqlrc",
)
LOOK = f"sha256sum {' '.join(FILES)}; stat -c '%n %a %U %G %Y' {' '.join(FILES)}"
MAKE = """
create role metabase login password 'theirs' connection limit 3;
comment on role metabase is 'somebody''s';
alter role metabase set application_name = 'theirs';
create database theirs owner metabase;
select pg_create_physical_replication_slot('theirs');
\\c theirs
create table kept as select n, md5(n::text) from generate_series(1, 100) n;
\\c hcb_production
create schema theirs authorization metabase;
create extension citext schema theirs;
create table theirs.kept (n int primary key, word theirs.citext);
insert into theirs.kept values (1, 'One');
create function theirs.one() returns int language sql as 'select 1';
grant select on theirs.kept to metabase, public;
create publication theirs for table theirs.kept;
"""
REMOVE = """
drop publication theirs;
set client_min_messages = error;
drop schema theirs cascade;
\\c postgres
select pg_drop_replication_slot('theirs');
drop database theirs;
drop role metabase;
"""
# What pg_dump puts around its scripts is another word each time.
DUMP = (
    "{ pg_dump theirs; pg_dump -n theirs hcb_production; pg_dumpall -g | grep metabase;"
    ' psql -XAtqc "select slot_name, slot_type, active from pg_replication_slots"'
    " hcb_production; } | grep -v '^.\\(un\\)\\?restrict '"
)
BREAK = (
    f"sed -i '1i host all all 0.0.0.0/0 trust' {CONF}/pg_hba.conf",
    f"echo 'work_mem = 1MB' >>{CONF}/postgresql.conf",
    f"sed -i 's/^repo1-retention-full=.*/repo1-retention-full=1/' {BACKUP_CONF}",
    f"echo '# x' >>{SSHD_CONF}",
    "echo '# x' >>/etc/sysctl.d/99-zz-pgprovision.conf",
    "nft add rule inet pgprovision input tcp dport 9 accept",
    "rm /etc/pgprovision/tls/ca.crt /etc/apt/apt.conf.d/52pgprovision",
    "rm /etc/tmpfiles.d/pgprovision.conf /etc/systemd/journald.conf.d/pgprovision.conf",
    "apt-get -qq remove -y tmux >/dev/null",
)


NFT = "table inet theirs { chain c { tcp dport 9 counter accept; }; }"


@pytest.fixture
def edited_by_hand(cluster: CliUser) -> Iterator[CliUser]:
    """A cluster in which others keep things, too."""
    files = f"set -- {' '.join(FILES)}"
    script = (
        "for f; do mkdir -p ${f%/*}; [ ! -e $f ] || cp -p $f $f.kept; echo '# theirs' >$f; done"
    )
    cluster.shell(PRIMARY, f"umask 022; {files}; {script}; nft '{NFT}'")
    cluster.sql(PRIMARY, MAKE)
    cloud = cluster.cloud()
    server = cloud.servers.get_by_name(PRIMARY)
    assert server
    ours = dict(server.labels or {})
    server.update(labels={**ours, "theirs": "kept"})
    pings = FirewallRule(direction="in", protocol="icmp", source_ips=["0.0.0.0/0"])
    firewall = cloud.firewalls.create("theirs", rules=[pings]).firewall
    yield cluster
    firewall.delete()
    server.update(labels=ours)
    cluster.sql(PRIMARY, REMOVE, "hcb_production")
    back = "for f; do rm $f; [ ! -e $f.kept ] || mv $f.kept $f; done; nft delete table inet theirs"
    cluster.shell(PRIMARY, f"{files}; {back}; systemctl reload ssh{RELOAD}")
    assert cluster.drift() == {}


def observed(person: CliUser) -> dict[str, object]:
    """All of it, as it is now."""
    cloud = person.cloud()
    server, firewall = cloud.servers.get_by_name(PRIMARY), cloud.firewalls.get_by_name("theirs")
    assert server and server.labels and firewall and firewall.rules
    return {
        "files": person.shell(PRIMARY, LOOK),
        "databases": person.shell(PRIMARY, "runuser -u postgres -- sh", DUMP),
        "packet filter": person.shell(PRIMARY, "nft list table inet theirs"),
        "label": server.labels.get("theirs"),
        "firewall": [rule.to_payload() for rule in firewall.rules],
    }


@pytest.mark.covers("V8")
def test_things_of_others_when_all_around_is_repaired_survive_byte_for_byte(
    edited_by_hand: CliUser,
) -> None:
    before = observed(edited_by_hand)
    edited_by_hand.shell(PRIMARY, "\n".join(("set -e", *BREAK)))
    edited_by_hand.sql(
        PRIMARY, "alter role rails connection limit 7; alter system set work_mem = '1MB'"
    )
    edited_by_hand.sql(PRIMARY, "drop extension pgcrypto", "hcb_production")
    open_firewall(edited_by_hand)
    repaired = edited_by_hand.run("up", "--yes", "--json").document
    assert repaired["remaining"] == []
    assert len(repaired["changes"]) >= len(BREAK)
    assert observed(edited_by_hand) == before
