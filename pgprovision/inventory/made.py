"""The secrets that are ours to make: passwords, the backup passphrase, a pair of SSH keys."""

import secrets
import string
from collections.abc import Iterator
from pathlib import Path

from cryptography.hazmat.primitives import serialization as form
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from pgprovision.errors import InventoryError
from pgprovision.inventory.complaint import BadInventory, Loc
from pgprovision.inventory.disk import write_new
from pgprovision.inventory.reading import documents
from pgprovision.inventory.sourced import Sourced

LENGTH = 43  # of 62 letters and digits: 256 bits
_ALPHABET = string.ascii_letters + string.digits


def is_ours(loc: Loc, path: Path, folder: Path) -> bool:
    """Whether `make_secrets` can make the file this key names."""
    return path.parent == folder / "secrets" and (
        loc[-1:] in (("password",), ("cipher_pass",)) or path.suffix == ".pub"
    )


def missing_secrets(folder: Path) -> tuple[Path, ...]:
    """The files `make_secrets` would make. Raises BadInventory where the files are not YAML."""
    return tuple(path for path, _ in _missing(folder))


def make_secrets(folder: Path) -> tuple[Path, ...]:
    """Makes the missing ones, for nobody else to read, and never touches one that exists."""
    made: list[Path] = []
    keep = folder / "secrets"
    keep.mkdir(mode=0o700, exist_ok=True)
    keep.chmod(0o700)
    if not (keep / ".gitignore").exists():
        write_new(keep / ".gitignore", b"*\n", 0o600)
    for path, cluster in _missing(folder):
        if path.suffix == ".pub":
            private = path.with_suffix("")
            if not private.exists():
                write_new(private, _private_key(), 0o600)
                made.append(private)
            write_new(path, _public_key(private, cluster), 0o644)
        else:
            text = "".join(secrets.choice(_ALPHABET) for _ in range(LENGTH))
            write_new(path, f"{text}\n".encode(), 0o600)
        made.append(path)
    return tuple(made)


def _missing(folder: Path) -> Iterator[tuple[Path, str]]:
    """Path and cluster name of each."""
    wanted: dict[Path, None] = {}

    def note(tag: str, argument: object, loc: Loc) -> Sourced:
        if tag == "!file" and isinstance(argument, str):
            path = folder / argument
            if is_ours(loc, path, folder) and not path.exists():
                wanted[path] = None
        return Sourced("unresolved", tag)

    document = documents(folder, note, {})
    if document.complaints:
        raise BadInventory(document.complaints)
    cluster = str(document.value.get("cluster", "pgprovision"))
    return ((path, cluster) for path in wanted)


def _private_key() -> bytes:
    key = Ed25519PrivateKey.generate()
    return key.private_bytes(form.Encoding.PEM, form.PrivateFormat.OpenSSH, form.NoEncryption())


def _public_key(private: Path, comment: str) -> bytes:
    try:
        key = form.load_ssh_private_key(private.read_bytes(), None)
    except (ValueError, TypeError) as wrong:
        raise InventoryError(
            f"no private SSH key without a passphrase: {wrong}",
            where=str(private),
            next=f"ssh-keygen -y -f {private} > {private}.pub",
        ) from None
    public = key.public_key().public_bytes(form.Encoding.OpenSSH, form.PublicFormat.OpenSSH)
    return public + f" {comment}\n".encode()
