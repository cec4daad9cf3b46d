"""What is wrong between keys: names, addresses, counts, settings, passwords."""

from pathlib import Path

import pytest

from tests.support.inventory_folders import (
    HETZNER_CLUSTER,
    HETZNER_PRIMARY,
    STATIC_CLUSTER,
    STATIC_PRIMARY,
    hetzner_inventory,
    static_inventory,
)

REPLICA = "role: replica\nprivate_ip: 10.0.1.3\naddress: 192.0.2.3\n"


def test_second_primary_is_refused(tmp_path: Path) -> None:
    folder = static_inventory(tmp_path)
    folder.write("nodes/db-2.yml", REPLICA.replace("replica", "primary"))
    assert folder.only_problem() == (
        "nodes/db-2.yml:1:7: role: a second primary; the first is db-1; expected role: replica"
    )


def test_node_when_its_name_is_not_a_host_name_is_refused(tmp_path: Path) -> None:
    folder = static_inventory(tmp_path)
    folder.write("nodes/DB_2.yml", REPLICA)
    assert folder.only_problem().startswith("nodes/DB_2.yml:1:1: the file's name: expected 1 to 63")


def test_node_when_called_other_than_its_file_is_refused(tmp_path: Path) -> None:
    folder = static_inventory(tmp_path, STATIC_CLUSTER, STATIC_PRIMARY + "name: db-7\n")
    assert folder.only_problem() == (
        "nodes/db-1.yml:4:7: name: expected db-1, as the file or key is called"
    )


def test_node_file_when_named_yaml_is_pointed_out(tmp_path: Path) -> None:
    folder = static_inventory(tmp_path)
    folder.write("nodes/db-2.yaml", REPLICA)
    assert folder.only_problem() == "nodes/db-2.yaml:1:1: not read; rename it db-2.yml"


def test_address_when_taken_twice_names_the_owner(tmp_path: Path) -> None:
    folder = static_inventory(tmp_path)
    folder.write("nodes/db-2.yml", REPLICA.replace("10.0.1.3", "10.0.1.2"))
    assert folder.only_problem() == "nodes/db-2.yml:2:13: private_ip: 10.0.1.2 is already db-1's"


def test_static_node_without_address_is_refused(tmp_path: Path) -> None:
    folder = static_inventory(tmp_path, STATIC_CLUSTER, HETZNER_PRIMARY)
    assert folder.only_problem().startswith("nodes/db-1.yml:1:1: address: missing; expected the ex")


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("10.0.2.2", "10.0.2.2: expected an address inside 10.0.1.0/24"),
        ("10.0.1.0", "10.0.1.0 is the subnet's own address"),
        ("10.0.1.255", "10.0.1.255 is the subnet's broadcast address"),
    ],
)
def test_private_ip_that_hetzner_cannot_give_is_refused(
    tmp_path: Path, address: str, expected: str
) -> None:
    folder = hetzner_inventory(
        tmp_path, HETZNER_CLUSTER, HETZNER_PRIMARY.replace("10.0.1.2", address)
    )
    assert expected in folder.only_problem()


def test_gateway_is_the_first_address_of_the_range(tmp_path: Path) -> None:
    network = "network: {name: hcb-network, ip_range: 10.0.1.0/24, subnet: 10.0.1.0/24}"
    cluster = HETZNER_CLUSTER.replace("network: {name: hcb-network}", network)
    folder = hetzner_inventory(tmp_path, cluster, HETZNER_PRIMARY.replace("10.0.1.2", "10.0.1.1"))
    assert "10.0.1.1 is the gateway's address; expected another of 10.0.1.0/24" in (
        folder.only_problem()
    )


def test_subnet_outside_the_range_and_a_zone_of_elsewhere_are_refused(tmp_path: Path) -> None:
    network = "network: {name: n, subnet: 10.1.1.0/24, network_zone: eu-central}"
    folder = hetzner_inventory(
        tmp_path, HETZNER_CLUSTER.replace("network: {name: hcb-network}", network)
    )
    problems = "\n".join(folder.problems())
    assert "hetzner.network.subnet: 10.1.1.0/24: expected a part of 10.0.0.0/16" in problems
    assert "network_zone: expected us-east, the zone of location ash" in problems


def test_eleven_servers_are_too_many_for_one_spread_group(tmp_path: Path) -> None:
    folder = hetzner_inventory(tmp_path)
    for number in range(2, 12):
        folder.write(f"nodes/db-{number}.yml", f"role: replica\nprivate_ip: 10.0.1.{number + 1}\n")
    assert "placement_group: 11 servers in one spread group; expected at most 10" in (
        folder.only_problem()
    )


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("  b: {owner: rials}", "databases.b.owner: role rials is not declared under roles (did y"),
        ("  b: {owner: rails, grants: [{to: bi, privileges: [CONNECT]}]}", "grants[0].to: role bi"),
        (
            "  b: {owner: rails, grants: [{to: rails, privileges: [SELECT]}]}",
            "grants[0].privileges[0]: SELECT: database has ALL, CONNECT, CREATE, TEMP, TEMPORARY",
        ),
        ("  Hcb_production: {owner: rails}", "differs from hcb_production by case only"),
        (
            "postgres: {hba: [{databases: [hcb], users: [rails], addresses: [10.0.0.0/16]}]}",
            "postgres.hba[0].databases[0]: database hcb is not declared under databases",
        ),
        ("postgres: {replication: {role: rails}}", "roles.rails: is the replication role"),
        ("postgres: {settings: {port: 5433}}", "written by pgprovision itself; expected it as po"),
        ("postgres: {settings: {SSL: on}}", "written by pgprovision itself; leave it out"),
        ("postgres: {settings: {fsync: off}}", "off loses data when the machine stops; expected"),
        ("postgres: {settings: {work_mem: 4gb}}", "'4gb': no unit gb; expected one of B, kB"),
        ("postgres: {settings: {work_mem: 12 potatoes}}", "no unit potatoes; expected one of"),
        ("postgres: {settings: {work_mem: 1MB, Work_Mem: 2MB}}", "the same setting as work_mem"),
        ("postgres: {settings: {max_wal_senders: 1}}", "1: expected at least 2, two more than"),
    ],
)
def test_parts_that_do_not_fit_are_refused(tmp_path: Path, text: str, expected: str) -> None:
    assert expected in static_inventory(tmp_path, f"{STATIC_CLUSTER}{text}\n").only_problem()


def test_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    folder = static_inventory(tmp_path, STATIC_CLUSTER + "ssh: {identity_file: none}\n")
    assert folder.only_problem() == (
        f"cluster.yml:6:22: ssh.identity_file: no readable file {tmp_path}/none"
    )


def test_fsync_off_when_allowed_by_name_loads(tmp_path: Path) -> None:
    text = "postgres: {settings: {fsync: off}, allow_dangerous_settings: [fsync]}\n"
    assert (
        static_inventory(tmp_path, STATIC_CLUSTER + text).load().postgres.settings["fsync"] is False
    )


@pytest.mark.parametrize(
    ("password", "expected"),
    [
        ("short", "has 5 characters; expected 8 to 1000"),
        ("x" * 10_000, "has 10000 characters; expected 8 to 1000"),
        ("changeme", "is easily guessed"),
        ("md5" + "0" * 32, "is a verifier; expected the password itself"),
        ("SCRAM-SHA-256$4096:x", "is a verifier; expected the password itself"),
        ("", "expected a secret of one line, not empty"),
        ("two\nlines", "expected a secret of one line, not empty"),
    ],
)
def test_password_is_refused_and_not_shown(tmp_path: Path, password: str, expected: str) -> None:
    folder = static_inventory(tmp_path)
    folder.write("secrets/rails.password", password)
    problem = folder.only_problem()
    assert problem.startswith("cluster.yml:3:21: roles.rails.password: !file secrets/rails.pass")
    assert expected in problem
    assert len(password) < 8 or password not in problem


def test_replication_with_another_role_s_password_is_refused(tmp_path: Path) -> None:
    folder = static_inventory(tmp_path)
    folder.write("secrets/rails.password", "the-very-same-password")
    folder.write("secrets/replicator.password", "the-very-same-password")
    assert "also used by another role" in folder.only_problem()


def test_node_when_its_location_is_in_another_zone_then_is_refused_with_the_reason(
    tmp_path: Path,
) -> None:
    folder = hetzner_inventory(tmp_path)
    folder.write("nodes/db-2.yml", "role: replica\nprivate_ip: 10.0.1.3\nlocation: hel1\n")
    assert folder.only_problem() == (
        "nodes/db-2.yml:3:11: location: hel1 is in zone eu-central, the cluster's network in "
        "us-east: a private network never spans zones, and every commit and backup would cross a "
        "continent; expected ash"
    )


def test_nodes_when_in_several_locations_of_one_zone_then_are_accepted(tmp_path: Path) -> None:
    europe = HETZNER_CLUSTER.replace("token:", "location: fsn1\n  token:").replace(
        "{name: hcb-network}", "{name: hcb-network, network_zone: eu-central}"
    )
    folder = hetzner_inventory(tmp_path, europe)
    folder.write("nodes/db-2.yml", "role: replica\nprivate_ip: 10.0.1.3\nlocation: hel1\n")
    assert folder.problems() == []


@pytest.mark.parametrize(
    ("rule", "expected"),
    [
        ("{source_ips: [10.0.0.0/8], purpose: x}", "expected a port for tcp and udp, and none"),
        (
            "{protocol: icmp, port: 8, source_ips: [10.0.0.0/8], purpose: x}",
            "expected a port for tcp and udp, and none",
        ),
        (
            "{port: 443, source_ips: [10.0.0.0/8], purpose: x}",
            "port: 443/tcp is closed in the host's firewall; expected it under host.open_ports",
        ),
    ],
)
def test_cloud_rule_that_cannot_work_is_refused(tmp_path: Path, rule: str, expected: str) -> None:
    wall = f"firewall: {{name: hcb-ssh-only, rules: [{rule}]}}"
    text = HETZNER_CLUSTER.replace("firewall: {name: hcb-ssh-only}", wall)
    assert expected in hetzner_inventory(tmp_path, text).only_problem()


def test_servers_without_a_public_ipv4_address_are_refused_with_the_reason(tmp_path: Path) -> None:
    text = HETZNER_CLUSTER.replace("token:", "ipv4: false\n  token:")
    problem = hetzner_inventory(tmp_path, text).only_problem()
    assert problem.startswith("cluster.yml:3:9: hetzner.ipv4: not supported: package archives")


def test_data_source_when_there_is_no_backup_to_take_it_from_is_refused(tmp_path: Path) -> None:
    folder = static_inventory(tmp_path)
    folder.write("nodes/db-2.yml", REPLICA + "clone_from: backup\n")
    assert folder.only_problem().startswith(
        "nodes/db-2.yml:4:13: clone_from: there is no backup to clone from"
    )


def test_node_when_its_name_is_too_long_for_a_slots_is_refused(tmp_path: Path) -> None:
    folder = static_inventory(tmp_path)
    folder.write(f"nodes/{'d' * 52}.yml", REPLICA)
    assert "expected at most 51 characters" in folder.only_problem()


@pytest.mark.covers("F103")
def test_replica_when_of_another_image_than_its_primary_is_refused(tmp_path: Path) -> None:
    folder = hetzner_inventory(tmp_path)
    folder.write("nodes/db-2.yml", "role: replica\nprivate_ip: 10.0.1.3\nimage: debian-13\n")
    assert folder.only_problem() == (
        "nodes/db-2.yml:3:8: image: expected debian-12, the primary's:"
        " another release sorts text differently"
    )


@pytest.mark.covers("F103")
@pytest.mark.parametrize(("database", "accepted"), [("", True), (", locale: C.UTF-8", False)])
def test_replica_of_another_image_when_all_is_sorted_by_C_is_accepted(
    tmp_path: Path, database: str, accepted: bool
) -> None:
    books = f"databases:\n  books: {{owner: books{database}}}\nroles:\n  books: {{login: false}}\n"
    books += "postgres: {locale: C}\n"
    folder = hetzner_inventory(tmp_path, HETZNER_CLUSTER + books)
    folder.write("nodes/db-2.yml", "role: replica\nprivate_ip: 10.0.1.3\nimage: debian-13\n")
    assert (folder.problems() == []) == accepted
