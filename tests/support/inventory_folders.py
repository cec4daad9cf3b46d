"""Inventories as folders, for tests: a small right one, and what is changed about it."""

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

from pgprovision.inventory.edit.secrets import generate_secrets
from pgprovision.inventory.loader.loader import load
from pgprovision.inventory.problems import BadInventory
from pgprovision.inventory.schema.cluster import HostSpec, Inventory

STATIC_CLUSTER = """\
cluster: hcb-lab
roles:
  rails: {password: !file secrets/rails.password}
databases:
  hcb_production: {owner: rails}
"""
STATIC_PRIMARY = "role: primary\nprivate_ip: 10.0.1.2\naddress: 192.0.2.2\n"
HETZNER_CLUSTER = """\
cluster: hcb-lab
hetzner:
  token: !file token
  network: {name: hcb-network}
  placement_group: hcb-postgres-placement
  firewall: {name: hcb-ssh-only}
  ssh_keys: [!file secrets/id_ed25519.pub]
"""
HETZNER_PRIMARY = "role: primary\nprivate_ip: 10.0.1.2\n"
INVENTORIES = Path(__file__).parents[2] / "inventories"
LAB_ENVIRONMENT = {
    "HCLOUD_TOKEN": "token",
    "HCLOUD_ENDPOINT": "http://127.0.0.1:8080/v1",
    "PGPROVISION_LAB_S3_ENDPOINT": "s3.lab:9000",
    "PGPROVISION_LAB_S3_REGION": "lab",
    "PGPROVISION_LAB_S3_BUCKET": "backups",
    "PGPROVISION_LAB_S3_KEY": "key",
    "PGPROVISION_LAB_S3_SECRET": "secret",
    "PGPROVISION_LAB_S3_READ_ENDPOINT": "s3.lab:9001",
    "PGPROVISION_LAB_S3_READ_ADDRESS": "192.0.2.1:9001",
    "PGPROVISION_LAB_S3_READ_KEY": "read-key",
    "PGPROVISION_LAB_S3_READ_SECRET": "read-secret",
    "PGPROVISION_LAB_S3_CA": str(Path(__file__)),  # any file: only read
}


def bare_host() -> str:
    """`host:` with the firewall alone, everything else that can be switched off switched off: a
    host that is ready sooner."""
    keys = HostSpec.model_fields.items()
    switches = [name for name, key in keys if _is_boolean(key.annotation)]
    off = "".join(f"  {name}: false\n" for name in switches if name != "firewall")
    return f"host:\n  firewall: true\n{off}"


def _is_boolean(annotation: Any) -> bool:
    return annotation is bool or any(map(_is_boolean, get_args(annotation)))


@dataclass(frozen=True)
class InventoryFolder:
    """An inventory's folder."""

    path: Path

    def write(self, name: str, content: str | bytes, mode: int = 0o600) -> Path:
        path = self.path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        path.chmod(mode)
        return path

    def load(self) -> Inventory:
        return load(self.path)

    def problems(self) -> list[str]:
        """What is wrong, without the folder in front."""
        try:
            self.load()
        except BadInventory as error:
            return [str(c).removeprefix(f"{self.path}/") for c in error.problems]
        return []

    def only_problem(self) -> str:
        """The one thing that is wrong."""
        (only,) = self.problems()
        return only


def static_inventory(
    path: Path, cluster: str = STATIC_CLUSTER, primary: str = STATIC_PRIMARY
) -> InventoryFolder:
    """One existing host, its secrets made."""
    return _folder(path, STATIC_CLUSTER, cluster, primary)


def hetzner_inventory(
    path: Path, cluster: str = HETZNER_CLUSTER, primary: str = HETZNER_PRIMARY
) -> InventoryFolder:
    """One server of Hetzner's, its secrets made."""
    folder = InventoryFolder(path)
    folder.write("token", "token-of-the-test\n")
    return _folder(path, HETZNER_CLUSTER, cluster, primary)


def _folder(path: Path, base: str, cluster: str, primary: str) -> InventoryFolder:
    folder = InventoryFolder(path)
    folder.write("cluster.yml", base)
    folder.write("nodes/db-1.yml", STATIC_PRIMARY)
    generate_secrets(path)
    folder.write("cluster.yml", cluster)
    folder.write("nodes/db-1.yml", primary)
    return folder


def lab_inventory(path: Path, setenv: Callable[[str, str], None]) -> Path:
    """A copy of the lab's inventory with its secrets made and its environment set."""
    return copy_inventory("lab", path, setenv)


def copy_inventory(name: str, path: Path, setenv: Callable[[str, str], None]) -> Path:
    """A copy of a shipped inventory, with its secrets made and the lab's environment set."""
    shutil.copytree(INVENTORIES / name, path, ignore=shutil.ignore_patterns("secrets"))
    for name, value in LAB_ENVIRONMENT.items():
        setenv(name, value)
    generate_secrets(path)
    return path
