"""The secrets that are ours to make: passwords, the backup passphrase, a pair of SSH keys."""

from datetime import UTC, datetime
from pathlib import Path

from pgprovision.errors import InventoryError
from pgprovision.inventory.edit.atomic_write import write_new
from pgprovision.inventory.edit.rewritable_secrets import password
from pgprovision.inventory.loader.loader import documents
from pgprovision.inventory.problems import BadInventory, Loc
from pgprovision.inventory.secret_files import is_ours
from pgprovision.inventory.tagged_text import Sourced
from pgprovision.tls import new_authority

_CA_KEY: Loc = ("tls", "ca_key")
_CA_CERTIFICATE: Loc = ("tls", "ca_certificate")


def missing_secrets(folder: Path) -> tuple[Path, ...]:
    """The files `make_secrets` would make. Raises BadInventory where the files are not YAML."""
    return tuple(dict.fromkeys(_missing(folder)[0].values()))


def make_secrets(folder: Path) -> tuple[Path, ...]:
    """Makes the missing ones, for nobody else to read, and never touches one that exists."""
    made: list[Path] = []
    keep_out(folder)
    missing, cluster = _missing(folder)
    made += _authority(missing.get(_CA_KEY), missing.get(_CA_CERTIFICATE), cluster)
    for loc, path in missing.items():
        if loc[0] == "tls":
            continue
        if path.suffix == ".pub":
            made += _pair(path, cluster)
        elif not path.exists():
            write_new(path, f"{password()}\n".encode(), 0o600)
            made.append(path)
    return tuple(made)


def keep_out(folder: Path) -> None:
    """The inventory's folder of secrets: for nobody else to read, and in no repository."""
    keep = folder / "secrets"
    keep.mkdir(mode=0o700, exist_ok=True)
    keep.chmod(0o700)
    if not (keep / ".gitignore").exists():
        write_new(keep / ".gitignore", b"*\n", 0o600)


def _missing(folder: Path) -> tuple[dict[Loc, Path], str]:
    """The file of each key that has none, and the cluster's name."""
    wanted: dict[Loc, Path] = {}

    def note(tag: str, argument: object, loc: Loc) -> Sourced:
        if tag == "!file" and isinstance(argument, str):
            path = folder / argument
            if is_ours(loc, path, folder) and not path.exists():
                wanted[loc] = path
        return Sourced("unresolved", tag)

    document = documents(folder, note, {})
    if document.complaints:
        raise BadInventory(document.complaints)
    return wanted, str(document.value.get("cluster", "pgprovision"))


def _authority(key: Path | None, certificate: Path | None, cluster: str) -> list[Path]:
    if key is None or certificate is None:
        if key is certificate:
            return []
        raise InventoryError(
            "the authority's key and certificate belong together, and one of them is missing",
            where=str(key or certificate),
            next="put it back from your copy; or move the other away, for a new authority",
        )
    secret, public = new_authority(cluster, datetime.now(UTC))
    write_new(key, secret.reveal(), 0o600)
    write_new(certificate, public.encode(), 0o644)
    return [key, certificate]


def _pair(public: Path, comment: str) -> list[Path]:
    """The public key's file, and the private one's beside it where that is missing too."""
    private, made = public.with_suffix(""), [public]
    if not private.exists():
        from cryptography.hazmat.primitives import serialization as form
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

        key = Ed25519PrivateKey.generate()
        pem = key.private_bytes(form.Encoding.PEM, form.PrivateFormat.OpenSSH, form.NoEncryption())
        write_new(private, pem, 0o600)
        made = [private, public]
    write_new(public, _public_half(private, comment), 0o644)
    return made


def _public_half(private: Path, comment: str) -> bytes:
    from cryptography.hazmat.primitives import serialization as form

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
