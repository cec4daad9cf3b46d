"""What people change by hand: how, and what it must be called."""

from collections.abc import Callable

import pytest
from hcloud.firewalls import FirewallRule

from tests.cluster.conftest import PRIMARY, REPLICA
from tests.support.cli_user import CliUser

CONF = "/etc/postgresql/15/main"
BACKUP_CONF = "/etc/pgbackrest/pgbackrest.conf"
SSHD_CONF = "/etc/ssh/sshd_config.d/00-pgprovision.conf"
SERVICE = "postgresql@15-main.service"
RELOAD = "; sleep 1; systemctl reload postgresql@15-main"  # file times have whole seconds
ManualChange = Callable[[CliUser], object]
Drift = dict[tuple[str, str, str], list[str]]


def shell(text: str, node: str = PRIMARY) -> ManualChange:
    return lambda person: person.shell(node, text)


def sql(query: str, database: str = "postgres") -> ManualChange:
    return lambda person: person.sql(PRIMARY, query, database)


def open_firewall(person: CliUser) -> None:
    firewall = person.cloud().firewalls.get_by_name("hcb-ssh-only")
    assert firewall
    extra_rule = FirewallRule(direction="in", protocol="tcp", port="5432", source_ips=["0.0.0.0/0"])
    for action in person.cloud().firewalls.set_rules(
        firewall, [*(firewall.rules or []), extra_rule]
    ):
        action.wait_until_finished()


def unprotect(person: CliUser) -> None:
    server = person.cloud().servers.get_by_name(REPLICA)
    assert server
    server.change_protection(delete=False, rebuild=False).wait_until_finished()


def remove_node_label(person: CliUser) -> None:
    group = person.cloud().placement_groups.get_by_name("hcb-postgres-placement")
    assert group
    labels = {key: value for key, value in (group.labels or {}).items() if PRIMARY not in key}
    assert labels != group.labels
    group.update(labels=labels)


def drop_slot(person: CliUser) -> None:
    person.shell(REPLICA, f"systemctl stop {SERVICE}")
    person.sql(PRIMARY, "select pg_drop_replication_slot('pgprovision_server_postgres_2')")
    person.shell(REPLICA, f"systemctl start {SERVICE}")


def drift_of(node: str, kind: str, name: str, *keys: str) -> Drift:
    return {(node, kind, name): list(keys)}


# What people do change.
COMMON_CHANGES = (
    pytest.param(
        shell(f"echo 'work_mem = 1MB' >>{CONF}/postgresql.conf{RELOAD}"),
        drift_of(PRIMARY, "postgresql.conf", f"{CONF}/postgresql.conf", "work_mem"),
        id="a line in postgresql.conf",
    ),
    pytest.param(
        lambda person: (
            person.sql(PRIMARY, "alter system set work_mem = '1MB'"),
            shell(f"true{RELOAD}")(person),
        ),
        drift_of(PRIMARY, "setting overrides", "15/main", "system"),
        id="ALTER SYSTEM",
    ),
    pytest.param(
        shell(f"sed -i '1i host all all 0.0.0.0/0 trust' {CONF}/pg_hba.conf{RELOAD}"),
        drift_of(PRIMARY, "pg_hba.conf", f"{CONF}/pg_hba.conf", "- host all all 0.0.0.0/0 trust")
        | drift_of(REPLICA, "network access", f"to {PRIMARY}", "an unknown role", "rails"),
        id="a line in pg_hba.conf",
    ),
    pytest.param(
        sql("alter role rails connection limit 7"),
        drift_of(PRIMARY, "role", "rails", "connection_limit"),
        id="a role's connection limit",
    ),
    pytest.param(
        sql("alter role rails password 'another'"),
        drift_of(PRIMARY, "role", "rails", "password")
        | drift_of(REPLICA, "verified login", f"rails on {PRIMARY}", "not proven since it changed"),
        id="a role's password",
    ),
    pytest.param(
        sql("revoke create on database hcb_production from rails"),
        drift_of(PRIMARY, "grant", "to rails on database hcb_production", "CREATE"),
        id="a grant",
    ),
    pytest.param(
        sql("drop extension pgcrypto", "hcb_production"),
        drift_of(PRIMARY, "extension", "pgcrypto in hcb_production"),
        id="an extension",
    ),
    pytest.param(
        shell("systemctl stop pgbackrest-backup-full.timer"),
        drift_of(PRIMARY, "unit", "pgbackrest-backup-full.timer", "active"),
        id="a stopped timer",
    ),
    pytest.param(
        shell(f"systemctl stop {SERVICE}", REPLICA),
        drift_of(REPLICA, "unit", SERVICE, "active"),
        id="a stopped service",
    ),
    pytest.param(
        drop_slot,
        drift_of(PRIMARY, "slot", "pgprovision_server_postgres_2", "reserved", "lost")
        | drift_of(REPLICA, "streaming replication", f"from {PRIMARY}", "waiting"),
        id="a dropped slot",
    ),
    pytest.param(
        shell("chmod 0600 /etc/pgprovision/tls/ca.crt", REPLICA),
        drift_of(REPLICA, "file", "/etc/pgprovision/tls/ca.crt", "mode"),
        id="a file's mode",
    ),
    pytest.param(
        shell(f"sed -i 's/^repo1-retention-full=.*/repo1-retention-full=1/' {BACKUP_CONF}"),
        drift_of(PRIMARY, "pgbackrest.conf", BACKUP_CONF, "repo1-retention-full"),
        id="a line in pgbackrest.conf",
    ),
    pytest.param(
        open_firewall,
        drift_of("hetzner", "firewall", "hcb-ssh-only", "rules"),
        id="a firewall rule in the API",
    ),
    pytest.param(
        unprotect,
        drift_of("hetzner", "server", REPLICA, "protection"),
        id="a server's protection in the API",
    ),
)

# The rest of what there is.
RARE_CHANGES = (
    pytest.param(
        shell("apt-get -qq remove -y tmux >/dev/null"),
        drift_of(PRIMARY, "packages", "PostgreSQL and its tools", "tmux"),
        id="a package",
    ),
    pytest.param(
        shell("chmod 0711 /var/log/pgbackrest"),
        drift_of(PRIMARY, "directory", "/var/log/pgbackrest", "mode"),
        id="a directory's mode",
    ),
    pytest.param(
        shell("chmod 0640 /etc/pgprovision/tls/server.key"),
        drift_of(PRIMARY, "server key", "/etc/pgprovision/tls/server.key", "mode"),
        id="the server key's mode",
    ),
    pytest.param(
        shell(f"cd /etc/pgprovision/tls; cp ca.crt server.crt{RELOAD}; true"),
        drift_of(
            PRIMARY, "certificate", "/etc/pgprovision/tls/server.crt", "names", "for_this_key"
        ),
        id="the certificate",
    ),
    pytest.param(
        shell("cd /etc/pgprovision; cp marker.json claim.json"),
        drift_of(PRIMARY, "identity marker", f"hcb-lab/{PRIMARY}", "claim"),
        id="a claim beside the marker",
    ),
    pytest.param(
        shell("systemctl -q disable pgbackrest-backup-diff.timer"),
        drift_of(PRIMARY, "unit", "pgbackrest-backup-diff.timer", "enabled"),
        id="a disabled timer",
    ),
    pytest.param(
        sql("alter database hcb_production connection limit 3"),
        drift_of(PRIMARY, "database", "hcb_production", "connection_limit"),
        id="a database",
    ),
    pytest.param(
        shell("nft add rule inet pgprovision input tcp dport 9 accept"),
        drift_of(PRIMARY, "host firewall", "inet pgprovision", "rules"),
        id="a rule of the host's firewall",
    ),
    pytest.param(
        remove_node_label,
        drift_of("hetzner", "node registry", "hcb-lab", PRIMARY),
        id="the label of a finished node in the API",
    ),
    pytest.param(
        shell("chmod o+rx /var/log/postgresql"),
        drift_of(PRIMARY, "file permissions", "/var/log/postgresql", "world_accessible"),
        id="a folder opened to others",
    ),
    pytest.param(
        shell(f"echo '# x' >>{SSHD_CONF}; sleep 1; systemctl reload ssh; sleep 1"),
        drift_of(PRIMARY, "SSH daemon", SSHD_CONF, "content"),
        id="a line of the SSH daemon's",
    ),
    pytest.param(
        shell("echo '# x' >>/etc/sysctl.d/99-zz-pgprovision.conf"),
        drift_of(PRIMARY, "kernel parameters", "sysctl", "at the next boot"),
        id="a kernel setting kept for the next boot",
    ),
    pytest.param(
        shell("touch /etc/systemd/journald.conf.d/pgprovision.conf"),
        drift_of(PRIMARY, "daemon configuration", "systemd-journald.service", "configuration"),
        id="a configuration newer than its daemon",
    ),
    pytest.param(
        sql("alter role reporting set statement_timeout = '1h'"),
        drift_of(PRIMARY, "role settings", "reporting", "statement_timeout"),
        id="a setting of a role",
    ),
    pytest.param(
        shell("rm -r /var/lib/pgprovision/logins", REPLICA),
        drift_of(REPLICA, "verified login", f"rails on {PRIMARY}", "proven"),
        id="the note of a login that was proven",
    ),
    pytest.param(
        shell("apt-mark -q unhold pgbackrest"),
        drift_of(PRIMARY, "held packages", "postgresql-15, pgbackrest", "pgbackrest"),
        id="a package that apt may upgrade",
    ),
)
# What no hand can break so that a run may repair it: `up` refuses, or it is what people or machines
# are like. Shown elsewhere.
NOT_TESTED_BY_HAND = {
    "abandoned slots": "only reported",
    "accepts connections": "waited for: tests/unit/test_restore.py",
    "archive backlog": "only reported: tests/laws/backup/test_backup_store.py",
    "noatime mount": "a container has its machine's; tests/vagrant",
    "backup": "taken when asked for: tests/cluster/test_backups.py",
    "claim file": "tests/functional/test_existing_hosts.py: of another cluster, refused",
    "clock": "a container has its machine's; tests/vagrant",
    "drill clean-up": "absence wished for: tests/cluster/test_drill.py",
    "disk space": "only reported: tests/cluster/test_disk_full.py",
    "first backup": "tests/laws/backup",
    "first boot": "never undone",
    "host key": "refused: the pin is what a server is known by; tests/unit/test_host_key.py",
    "huge pages": "a container has its machine's; tests/vagrant",
    "identity": "refused: tests/functional/test_identity.py",
    "integrity": "only reported: tests/cluster/test_drill.py",
    "inventory node file": "removed, never made: tests/functional/test_replicas.py",
    "split-brain check": "refused: two that accept writes are for people to judge",
    "live settings": "only reported",
    "pending configuration": "tests/laws/postgres",
    "host lock": "taken away, never made: tests/cluster/test_lock.py",
    "network": "tests/functional/test_cloud_loop.py",
    "rotated host key": "refused: as `host key`",
    "package repository": "tests/cluster/test_package_mirror.py",
    "rotated host key pin": "refused: as `host key`",
    "placement group": "tests/functional/test_cloud_loop.py",
    "PostgreSQL cluster": "refused: data is never made anew",
    "postmaster": "only reported",
    "preflight": "refused: tests/unit/test_preflight.py",
    "private address": "waited for, never made",
    "release compatibility": "refused: another release needs another machine",
    "deletion of": "absence wished for: tests/functional/test_cloud_destroy.py",
    "restored data": "tests/laws/backup/test_restore_laws.py",
    "backup timer results": "only reported: tests/unit/test_backup_values.py",
    "schema": "tests/laws/postgres/test_catalog.py",
    "ssh key": "tests/functional/test_cloud_loop.py",
    "standby": "refused: the live role wins",
    "stanza": "tests/laws/backup",
    "transparent huge pages": "a container has its machine's; tests/vagrant",
    "unmanaged objects": "only reported",
    "pending upgrades": "only reported",
    "empty host": "refused: tests/laws/backup/test_restore_laws.py",
    "repository verification": "on request only: tests/laws/backup/test_backup_store.py",
}
