"""A new certificate authority for a cluster, without a moment in which somebody trusts nobody.

Three steps, each a file of the inventory written whole: both are trusted, the new one signs, the
old one is forgotten. Between them `up` brings it to the nodes, and people bring it to the clients.
"""

from datetime import UTC, datetime
from pathlib import Path

from pgprovision import tls
from pgprovision.errors import Refused
from pgprovision.inventory.edit.atomic_write import replace_file, sync_folder
from pgprovision.inventory.edit.rewritable_secrets import secret_file
from pgprovision.inventory.loader.loader import load
from pgprovision.inventory.schema.cluster import Inventory
from pgprovision.operations.split_brain import refuse_split_brain
from pgprovision.run.options import Options
from pgprovision.run.targets import Targets


def load_without_split_brain(options: Options) -> Inventory:
    """The inventory, of a cluster that has one primary at most. Raises Refused."""
    inventory = load(options.inventory)
    with Targets(inventory) as targets:
        refuse_split_brain(inventory, targets)
    return inventory


def renew(inventory: Inventory) -> None:
    """A new authority beside the old one; the old one goes on signing. Again, it does nothing."""
    key, bundle = _key_and_bundle(inventory)
    if _next(key).exists():
        return
    secret, certificate = tls.new_authority(inventory.cluster, datetime.now(UTC))
    replace_file(bundle, (inventory.tls.ca_certificate + certificate).encode(), 0o644)
    replace_file(_next(key), secret.reveal(), 0o600)


def switch(inventory: Inventory) -> None:
    """The new one signs from now on. Raises Refused where there is none."""
    key, _ = _key_and_bundle(inventory)
    if not _next(key).exists():
        raise Refused(
            "there is no new authority to switch to",
            done="nothing was changed",
            next="pgprovision ca renew",
        )
    _next(key).rename(key)
    sync_folder(key.parent)


def retire(inventory: Inventory) -> None:
    """Only the one that signs is trusted from now on. Raises Refused before the switch."""
    key, bundle = _key_and_bundle(inventory)
    if _next(key).exists():
        raise Refused(
            "the new authority does not sign yet; without the old one nobody would be trusted",
            done="nothing was changed",
            next="pgprovision ca switch",
        )
    certificate = tls.only_signing_certificate(inventory.tls.ca_key, inventory.tls.ca_certificate)
    replace_file(bundle, certificate.encode(), 0o644)


def _key_and_bundle(inventory: Inventory) -> tuple[Path, Path]:
    """The key's file and, beside it, the certificates'."""
    key = secret_file(inventory, inventory.tls.ca_key)
    bundle = key.with_suffix(".crt")
    if not bundle.exists() or bundle.read_text().strip() != inventory.tls.ca_certificate.strip():
        raise Refused(
            f"{bundle} is not the file that tls.ca_certificate comes from",
            done="nothing was changed",
            next=f"keep the certificates beside the key: ca_certificate: !file {bundle.name}",
        )
    return key, bundle


def _next(key: Path) -> Path:
    return key.with_name(f"{key.name}.next")
