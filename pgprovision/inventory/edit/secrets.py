"""The secrets that are ours to make: passwords, the backup passphrase, a pair of SSH keys."""

from datetime import UTC, datetime
from pathlib import Path

from pgprovision.errors import InventoryError
from pgprovision.inventory.edit.atomic_write import create_file
from pgprovision.inventory.edit.rewritable_secrets import random_password
from pgprovision.inventory.loader.loader import read_documents
from pgprovision.inventory.problems import BadInventory, KeyPath
from pgprovision.inventory.secret_files import can_generate
from pgprovision.tls import new_authority

_CA_KEY: KeyPath = ("tls", "ca_key")
_CA_CERTIFICATE: KeyPath = ("tls", "ca_certificate")


def missing_secrets(folder: Path) -> tuple[Path, ...]:
    """The files `generate_secrets` would make. Raises BadInventory where the files are not YAML."""
    return tuple(dict.fromkeys(_missing(folder)[0].values()))


def generate_secrets(folder: Path) -> tuple[Path, ...]:
    """Makes the missing ones, for nobody else to read, and never touches one that exists."""
    written: list[Path] = []
    protect_secrets_folder(folder)
    missing, cluster = _missing(folder)
    written += _generate_authority(missing.get(_CA_KEY), missing.get(_CA_CERTIFICATE), cluster)
    for loc, path in missing.items():
        if loc[0] == "tls":
            continue
        if path.suffix == ".pub":
            written += _generate_key_pair(path, cluster)
        elif not path.exists():
            create_file(path, random_password(str(path)).reveal() + b"\n", 0o600)
            written.append(path)
    return tuple(written)


def protect_secrets_folder(folder: Path) -> None:
    """The inventory's folder of secrets: for nobody else to read, and in no repository."""
    secrets_folder = folder / "secrets"
    secrets_folder.mkdir(mode=0o700, exist_ok=True)
    secrets_folder.chmod(0o700)
    if not (secrets_folder / ".gitignore").exists():
        create_file(secrets_folder / ".gitignore", b"*\n", 0o600)


def _missing(folder: Path) -> tuple[dict[KeyPath, Path], str]:
    """The file of each key that has none, and the cluster's name."""
    document = read_documents(folder)
    if document.problems:
        raise BadInventory(document.problems)
    files = {
        loc: folder / reference.arguments[0]
        for loc, reference in document.references.items()
        if reference.tag == "!file"
    }
    missing = {
        loc: path
        for loc, path in files.items()
        if can_generate(loc, path, folder) and not path.exists()
    }
    return missing, str(document.value.get("cluster", "pgprovision"))


def _generate_authority(key: Path | None, certificate: Path | None, cluster: str) -> list[Path]:
    if key is None or certificate is None:
        if key is certificate:
            return []
        raise InventoryError(
            "the authority's key and certificate belong together, and one of them is missing",
            where=str(key or certificate),
            next="restore it from your copy; or move the other file away to make a new authority",
        )
    secret, public = new_authority(cluster, datetime.now(UTC))
    create_file(key, secret.reveal(), 0o600)
    create_file(certificate, public.encode(), 0o644)
    return [key, certificate]


def _generate_key_pair(public: Path, comment: str) -> list[Path]:
    """The public key's file, and the private one's beside it where that is missing too."""
    private, written = public.with_suffix(""), [public]
    if not private.exists():
        from cryptography.hazmat.primitives import serialization as form
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

        key = Ed25519PrivateKey.generate()
        pem = key.private_bytes(form.Encoding.PEM, form.PrivateFormat.OpenSSH, form.NoEncryption())
        create_file(private, pem, 0o600)
        written = [private, public]
    create_file(public, _public_half(private, comment), 0o644)
    return written


def _public_half(private: Path, comment: str) -> bytes:
    from cryptography.hazmat.primitives import serialization as form

    try:
        key = form.load_ssh_private_key(private.read_bytes(), None)
    except (ValueError, TypeError) as wrong:
        raise InventoryError(
            f"not a private SSH key without a passphrase: {wrong}",
            where=str(private),
            next=f"ssh-keygen -y -f {private} > {private}.pub",
        ) from None
    public = key.public_key().public_bytes(form.Encoding.OpenSSH, form.PublicFormat.OpenSSH)
    return public + f" {comment}\n".encode()
