"""Secrets in files of the inventory that verbs of ours may change."""

import secrets
import string
from pathlib import Path

from pgprovision.errors import Refused
from pgprovision.inventory.schema.cluster import Inventory
from pgprovision.secret import Secret

PASSWORD_LENGTH = 43  # of 62 letters and digits: 256 bits
_ALPHABET = string.ascii_letters + string.digits


def random_password(source: str) -> Secret:
    """A new password, to be kept at `source`."""
    return Secret("".join(secrets.choice(_ALPHABET) for _ in range(PASSWORD_LENGTH)), source)


def secret_file(inventory: Inventory, value: Secret) -> Path:
    """The file a secret was read from. Raises Refused where it comes from no file."""
    tag, _, name = value.source.partition(" ")
    if tag != "!file":
        raise Refused(
            f"the secret comes from {value.source}, and only a file can be rewritten",
            done="nothing was changed",
            next="change it there; then run: pgprovision up",
        )
    return inventory.folder / Path(name).expanduser()
