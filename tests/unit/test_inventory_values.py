"""Single values: what is refused, and that the problem says what is expected."""

from pathlib import Path

import pytest

from tests.support.inventory_folders import (
    HETZNER_CLUSTER,
    STATIC_PRIMARY,
    hetzner_inventory,
    static_inventory,
)
from tests.support.inventory_folders import (
    STATIC_CLUSTER as CLUSTER,
)


def _postgres(text: str) -> str:
    return CLUSTER + f"postgres: {{{text}}}\n"


@pytest.mark.parametrize(
    ("cluster", "expected"),
    [
        (CLUSTER.replace("hcb-lab", "hcb_lab"), "cluster: 'hcb_lab': expected 1 to 63 lower-case"),
        (CLUSTER.replace("hcb-lab", "a" * 64), "expected 1 to 63 lower-case"),
        (CLUSTER.replace("hcb-lab", "hcb-"), "cluster: 'hcb-': expected 1 to 63 lower-case"),
        (CLUSTER.replace("hcb-lab", "''"), "cluster: empty: expected 1 to 63 lower-case"),
        (CLUSTER.replace("hcb-lab", "[a]"), "cluster: a list: expected text"),
        (CLUSTER.replace("hcb-lab", ""), "cluster: empty: expected text"),
        (CLUSTER + "version: 2\n", "version: '2': expected 1"),
        (_postgres("version: 12"), "version: '12': expected a value greater than or equal to 13"),
        (_postgres("version: fifteen"), "version: 'fifteen': expected a whole number"),
        (_postgres("port: 65536"), "port: '65536': expected a value less than or equal to 65535"),
        (_postgres("data_checksums: 1"), "data_checksums: '1': expected true or false"),
        (_postgres("encoding: UTF-9"), "encoding: 'UTF-9': expected an encoding of PostgreSQL's"),
        (_postgres("locale: 'C UTF'"), "locale: 'C UTF': expected a locale"),
        (_postgres("hba: {users: [rails]}"), "postgres.hba: a mapping: expected a list"),
        (_postgres("settings: [a]"), "postgres.settings: a list: expected a mapping of keys"),
        (_postgres("settings: {work mem: 1}"), "expected the name of a setting"),
        (_postgres("settings: {work_mem: [1]}"), "expected a number, on, off or one line of text"),
        (CLUSTER + "machine: {memory: 2 GB}\n", "memory: '2 GB': expected a whole number and one"),
        (CLUSTER + "machine: {memory: -2GB}\n", "memory: '-2GB': expected a whole number and one"),
        (CLUSTER + "machine: {memory: 2gb}\n", "memory: '2gb': expected a whole number and one of"),
        (CLUSTER + "machine: {memory: 2048}\n", "memory: '2048': expected a whole number and one"),
        (CLUSTER + "apt: {source: pgdgg}\n", "expected 'distribution' or 'pgdg' (did you mean pg"),
        (CLUSTER + "apt: {extra_packages: [-y]}\n", "expected a Debian package's name"),
        (CLUSTER + "apt: {mirror_key: AAAA}\n", "expected an ASCII-armored OpenPGP public key"),
        (CLUSTER + "apt: {mirror: 'https://x.example'}\n", "expected `source: pgdg` beside it"),
        (CLUSTER + "host: {firewall: maybe}\n", "host.firewall: 'maybe': expected true or false"),
        (CLUSTER + "host: {sysctl: {swappiness: 1}}\n", "expected a kernel setting"),
        (CLUSTER + "host: {ssh_source_ips: [10.0.0.1/8]}\n", "host bits are set"),
        (CLUSTER + "host: {journal_limit: 4}\n", "expected a whole number and one of"),
        (CLUSTER + "ssh: {user: -oProxyCommand=x}\n", "expected a login name"),
        (CLUSTER + "ssh: {jump: '-J x'}\n", "expected [USER@]HOST[:PORT]"),
        (CLUSTER + "databases: 5\n", "databases: duplicate key, first in line 4"),
    ],
)  # fmt: skip
def test_value_is_refused_with_what_is_expected(
    tmp_path: Path, cluster: str, expected: str
) -> None:
    assert expected in static_inventory(tmp_path, cluster).only_problem()


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("pg_monitor", "reserved by PostgreSQL"),
        ("public", "reserved by PostgreSQL"),
        ("none", "reserved by PostgreSQL"),
        ("postgres", "reserved by PostgreSQL"),
        ("replication", "reserved by PostgreSQL"),
        ("a" * 64, "64 bytes long; expected 1 to 63"),
        ("\u00e9" * 32, "64 bytes long; expected 1 to 63"),
        ("-rails", "beginning with a letter or underscore"),
        ("$(touch x)", "expected letters, digits"),
        ('ra"ils', "expected letters, digits"),
        ("ra ils", "expected letters, digits"),
        ("{{7*7}}", "expected letters, digits"),
        ("\N{PILE OF POO}", "expected letters, digits"),
        ("e\u0301", "expected composed characters"),
    ],
)
def test_role_name_is_refused(tmp_path: Path, name: str, expected: str) -> None:
    folder = static_inventory(tmp_path)
    quoted = name.replace("'", "''")
    folder.write("cluster.yml", f"cluster: hcb-lab\nroles: {{'{quoted}': {{}}}}\n")
    problem = folder.only_problem()
    assert expected in problem
    assert problem.startswith("cluster.yml:2:9: roles.")


@pytest.mark.parametrize("name", ["template0", "template1", "postgres", "all", "sameuser"])
def test_database_name_of_postgresql_s_own_is_refused(tmp_path: Path, name: str) -> None:
    folder = static_inventory(tmp_path, CLUSTER.replace("hcb_production", name))
    assert "reserved by PostgreSQL; expected another name" in folder.only_problem()


@pytest.mark.parametrize(
    ("network", "expected"),
    [
        ("10.1.0.5/24", "host bits are set: expected 10.1.0.0/24"),
        ("10.0.0.0", "expected a network and its prefix length"),
        ("10.0.0.0/33", "not a network such as 10.0.0.0/16"),
        ("fd00::/129", "not a network such as 10.0.0.0/16"),
        ("10.0.0.0/0.0.255.255", "expected a network and its prefix length"),
        ("10.0.0.0/255.255.0.0", "expected a network and its prefix length"),
    ],
)
def test_hba_address_is_refused(tmp_path: Path, network: str, expected: str) -> None:
    rule = f"{{databases: [hcb_production], users: [rails], addresses: ['{network}']}}"
    problem = static_inventory(tmp_path, _postgres(f"hba: [{rule}]")).only_problem()
    assert f"postgres.hba[0].addresses[0]: '{network}': " in problem
    assert expected in problem


@pytest.mark.parametrize("address", ["8.8.8.8", "127.0.0.1", "169.254.1.1", "010.0.1.2", "fd00::1"])
def test_private_ip_when_not_private_is_refused(tmp_path: Path, address: str) -> None:
    folder = static_inventory(tmp_path, CLUSTER, STATIC_PRIMARY.replace("10.0.1.2", f"'{address}'"))
    assert folder.only_problem().startswith(
        f"nodes/db-1.yml:2:13: private_ip: '{address}': expected"
    )


def test_plain_http_is_only_for_private_endpoints(tmp_path: Path) -> None:
    def endpoint(url: str) -> list[str]:
        text = HETZNER_CLUSTER.replace("hetzner:\n", f"hetzner:\n  endpoint: {url}\n")
        return hetzner_inventory(tmp_path, text).problems()

    assert endpoint("http://127.0.0.1:8080/v1") == endpoint("http://10.9.0.1:8080/v1") == []
    (problem,) = endpoint("http://api.example.org/v1")
    assert "hetzner.endpoint: 'http://api.example.org/v1': expected https" in problem


def test_missing_key_names_what_is_needed(tmp_path: Path) -> None:
    cluster = "cluster: hcb-lab\ndatabases:\n  app: {}\nhetzner: {}\n"
    assert [line.partition(": ")[2] for line in static_inventory(tmp_path, cluster).problems()] == [
        "databases.app.owner: missing; expected `owner: ...`",
        "hetzner.firewall: missing; expected a mapping with name",
        "hetzner.network: missing; expected a mapping with name",
        "hetzner.placement_group: missing; expected `placement_group: ...`",
        "hetzner.ssh_keys: missing; expected `ssh_keys: ...`",
        "hetzner.token: missing; expected `token: ...`",
    ]


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("postgres: {prot: 5433}", "unknown key (did you mean port?)"),
        ("Postgres: {}", "unknown key; expected postgres"),
        ("postgres: {data-checksums: true}", "unknown key; expected data_checksums"),
        ("placement_group: x", "unknown key; it belongs under hetzner"),
        ("repository: {}", "unknown key; it belongs under backup"),
        ("connection_limit: 5", "belongs under postgres.replication or roles.NAME"),
        ("nodes: []", "unknown key; each node is a file of its own, nodes/NAME.yml"),
        ("xyzzy: 1", "unknown key; expected one of apt, backup, cluster"),
    ],
)
def test_unknown_key_names_the_right_one(tmp_path: Path, line: str, expected: str) -> None:
    assert expected in static_inventory(tmp_path, CLUSTER + line + "\n").only_problem()
