"""A right inventory, and what `load` fills in."""

from ipaddress import IPv4Address
from pathlib import Path

import pytest
from pydantic import ValidationError

from pgprovision.errors import InventoryError
from pgprovision.inventory.loader.loader import load
from pgprovision.secret import Secret
from tests.support.inventory_folders import (
    STATIC_CLUSTER,
    STATIC_PRIMARY,
    hetzner_inventory,
    lab_inventory,
    static_inventory,
)


def test_static_inventory_loads_with_every_default(tmp_path: Path) -> None:
    inventory = static_inventory(tmp_path).load()
    assert inventory.primary.name == "db-1"
    assert inventory.primary.private_ip == IPv4Address("10.0.1.2")
    assert inventory.replicas == ()
    assert inventory.hetzner is None
    assert inventory.postgres.version == 15
    assert inventory.postgres.replication.role == "replicator"
    assert inventory.roles["rails"].name == "rails"
    assert inventory.databases["hcb_production"].encoding == "UTF8"
    assert inventory.primary.ssh.known_hosts == tmp_path / "secrets" / "known_hosts"


def test_cloud_node_is_complete_after_load(tmp_path: Path) -> None:
    folder = hetzner_inventory(tmp_path)
    folder.write("nodes/db-2.yml", "role: replica\nprivate_ip: 10.0.1.3\nserver_type: ccx23\n")
    inventory = folder.load()
    assert inventory.node("db-1").server_type == "ccx13"
    assert inventory.node("db-1").location == "ash"
    assert inventory.node("db-2").server_type == "ccx23"
    assert [node.name for node in inventory.replicas] == ["db-2"]
    with pytest.raises(InventoryError):
        inventory.node("db-3")


def test_ssh_of_a_node_when_partly_given_goes_over_the_cluster_s(tmp_path: Path) -> None:
    ssh = "ssh: {user: admin, jump: me@bastion.example.org}\n"
    folder = static_inventory(
        tmp_path, STATIC_CLUSTER + ssh, STATIC_PRIMARY + "ssh: {port: 2222}\n"
    )
    found = folder.load().primary.ssh
    assert (found.user, found.jump, found.port) == ("admin", "me@bastion.example.org", 2222)


def test_machine_sizes_are_bytes(tmp_path: Path) -> None:
    folder = static_inventory(tmp_path, STATIC_CLUSTER + "machine: {memory: 2GB, cores: 2}\n")
    assert folder.load().primary.machine.memory == 2 << 30


def test_endpoint_when_host_and_port_is_split(tmp_path: Path) -> None:
    backup = (
        "backup: {repository: {bucket: backups, endpoint: 's3.lab:9000', region: lab, "
        "key: !file k, key_secret: !file s, path: /hcb-lab}}\n"
    )
    folder = static_inventory(tmp_path, STATIC_CLUSTER + backup)
    folder.write("k", "key")
    folder.write("s", "secret")
    folder.write("secrets/pgbackrest.passphrase", "p" * 40)
    found = folder.load().backup
    assert found is not None
    repository = found.repository
    assert (repository.endpoint, repository.port) == ("s3.lab", 9000)
    assert repository.cipher_pass == Secret("p" * 40)
    assert repository.with_read_key() is repository


def test_reading_pair_when_given_takes_the_writing_one_s_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    backup = load(lab_inventory(tmp_path / "lab", monkeypatch.setenv)).backup
    assert backup is not None
    read = backup.repository.with_read_key()
    assert (read.endpoint, read.port, read.bucket) == ("s3.lab", 9001, "backups")
    assert (read.key, read.key_secret) == (Secret("read-key"), Secret("read-secret"))
    assert read.cipher_pass == backup.repository.cipher_pass


def test_models_are_frozen_through_and_through(tmp_path: Path) -> None:
    inventory = static_inventory(tmp_path).load()
    with pytest.raises(ValidationError):
        inventory.cluster = "other"
    with pytest.raises(TypeError):
        inventory.roles["other"] = inventory.roles["rails"]  # type: ignore[index]


def test_repr_of_an_inventory_shows_no_secret(tmp_path: Path) -> None:
    folder = static_inventory(tmp_path)
    password = folder.path.joinpath("secrets/rails.password").read_text().strip()
    assert password not in repr(folder.load())


def test_lab_inventory_loads_with_the_lab_s_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = lab_inventory(tmp_path / "lab", monkeypatch.setenv)
    inventory = load(path)
    assert inventory.primary.name == "server-postgres-1"
    assert inventory.roles["rails"].connection_limit == 500
    assert inventory.databases["hcb_production"].owner == "rails"
    assert inventory.hetzner is not None
    assert inventory.hetzner.placement_group == "hcb-postgres-placement"
    assert inventory.backup is not None
    assert inventory.backup.repository.port == 9000
    assert inventory.backup.retention_days == 30


@pytest.mark.parametrize(
    ("scope", "names"),
    [
        ("all", ["db-1", "db-2"]),
        ("primary", ["db-1"]),
        ("replicas", ["db-2"]),
        ("db-2", ["db-2"]),
    ],
)
def test_scope_when_selected_then_these_nodes(tmp_path: Path, scope: str, names: list[str]) -> None:
    folder = hetzner_inventory(tmp_path)
    folder.write("nodes/db-2.yml", "role: replica\nprivate_ip: 10.0.1.3\n")
    assert [node.name for node in folder.load().select(scope)] == names
