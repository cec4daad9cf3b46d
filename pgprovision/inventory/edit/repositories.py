"""repositories.yml: what `backup rotate-cipher` keeps, over `backup` of cluster.yml.

It says at every moment which repository is first and which is second, so a rotation that was cut
off goes on from where this file is. People's own files are never rewritten.
"""

import json
import re
import shlex
from dataclasses import dataclass
from datetime import UTC, datetime

from pgprovision.errors import Refused
from pgprovision.inventory.edit.atomic_write import create_file, replace_file
from pgprovision.inventory.edit.rewritable_secrets import random_password
from pgprovision.inventory.loader.loader import REPOSITORIES_FILE, read_documents, validate
from pgprovision.inventory.resolver import Resolver
from pgprovision.inventory.schema.backup import BackupSpec, S3Repository
from pgprovision.inventory.schema.cluster import Inventory
from pgprovision.secret import Secret

_HEAD = (
    "# Written by `pgprovision backup rotate-cipher`, over `backup` of cluster.yml: keep them"
    " together.\n"
)
_TIME = re.compile(r"-r\d{8}T\d{6}$")


@dataclass(frozen=True)
class RepositoryRotation:
    """What repositories.yml is to say next."""

    resolver: Resolver
    """What the present inventory was loaded with; nothing it has resolved is resolved again."""
    text: str
    """What the file is to say."""
    passphrase: Secret | None = None
    """The new passphrase, where there is one."""
    passphrase_file: str = ""
    """Its file, relative to the inventory's folder."""

    def inventory(self) -> Inventory:
        """As it will be read; nothing is written for it. Raises BadInventory."""
        resolver = self.resolver
        if self.passphrase:
            resolver = resolver.with_value("!file", self.passphrase_file, self.passphrase)
        folder = resolver.folder
        extra = {folder / REPOSITORIES_FILE: self.text.encode()}
        return validate(read_documents(folder, extra), resolver)

    def save(self) -> None:
        """The passphrase first: without it nothing of what follows could be read."""
        folder = self.resolver.folder
        if self.passphrase:
            create_file(folder / self.passphrase_file, self.passphrase.reveal() + b"\n", 0o600)
        replace_file(folder / REPOSITORIES_FILE, self.text.encode(), 0o644)


def begin_rotation(inventory: Inventory, backup: BackupSpec, now: datetime) -> RepositoryRotation:
    """A second repository next to the first one's path, with a new passphrase. Its path is never
    reused: everything in it was written by this rotation."""
    first = backup.repository
    name = f"r{now:%Y%m%dT%H%M%S}"
    file = f"secrets/pgbackrest-{name}.passphrase"
    text = _text(
        {"path": first.path, "cipher_pass": _source(first)},
        {
            "role": "successor",
            "path": f"{_TIME.sub('', first.path)}-{name}",
            "cipher_pass": f"!file {file}",
        },
    )
    passphrase = random_password(f"!file {file}")
    return RepositoryRotation(inventory.resolver, text, passphrase, file)


def swap_repositories(
    inventory: Inventory, backup: BackupSpec, until: datetime
) -> RepositoryRotation:
    """The successor is the first one, and the former first one is retained."""
    first, second = backup.repository, backup.second_repository
    assert second is not None
    text = _text(
        {"path": second.path, "cipher_pass": _source(second)},
        {
            "role": "former",
            "kept_until": f"{until:%Y-%m-%d %H:%M:%S}+00:00",
            "path": first.path,
            "cipher_pass": _source(first),
        },
    )
    return RepositoryRotation(inventory.resolver, text)


def end_rotation(inventory: Inventory, backup: BackupSpec) -> RepositoryRotation:
    """The former one is no longer configured."""
    first = backup.repository
    return RepositoryRotation(
        inventory.resolver, _text({"path": first.path, "cipher_pass": _source(first)}, {})
    )


def retention_over(kept_until: str | None, now: datetime) -> bool:
    """Whether a former repository has been kept long enough."""
    if kept_until is None or kept_until == "infinity":
        return False
    moment = datetime.fromisoformat(kept_until)
    return now >= (moment if moment.tzinfo else moment.replace(tzinfo=UTC))


def _source(repository: S3Repository) -> str:
    """A passphrase as YAML takes it from where it is kept. Raises Refused where there is none."""
    if repository.cipher_pass is None:
        raise Refused(
            "the repository is not encrypted (cipher_type: none): there is no passphrase",
            done="nothing was changed",
            next="declare an encrypted second_repository with another path;"
            " then run: pgprovision up",
        )
    tag, _, argument = repository.cipher_pass.source.partition(" ")
    if tag == "!command":
        return f"!command {json.dumps(shlex.split(argument))}"
    return f"{tag} {json.dumps(argument)}"


def _text(first: dict[str, str], second: dict[str, str]) -> str:
    lines = [_HEAD]
    for name, keys in (("repository", first), ("second_repository", second)):
        lines += [f"{name}:\n"] if keys else []
        for key, value in keys.items():
            lines.append(f"  {key}: {value if value.startswith('!') else json.dumps(value)}\n")
    return "".join(lines)
