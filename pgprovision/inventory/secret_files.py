"""Which files in an inventory's folder hold secrets that `secrets init` makes."""

from pathlib import Path

from pgprovision.inventory.problems import KeyPath

# secrets with a file of their own unless the inventory says otherwise
DEFAULT_SECRET_FILES: dict[KeyPath, str] = {
    ("postgres", "replication", "password"): "secrets/replicator.password",
    ("backup", "repository", "cipher_pass"): "secrets/pgbackrest.passphrase",
    ("backup", "second_repository", "cipher_pass"): "secrets/pgbackrest2.passphrase",
    ("tls", "ca_key"): "secrets/ca.key",
    ("tls", "ca_certificate"): "secrets/ca.crt",
}

_KEYS = ("password", "cipher_pass", "ca_key", "ca_certificate")


def can_generate(loc: KeyPath, path: Path, folder: Path) -> bool:
    """Whether `generate_secrets` can make the file this key names."""
    return path.parent == folder / "secrets" and (
        (bool(loc) and loc[-1] in _KEYS) or path.suffix == ".pub"
    )
