"""What the repositories of backups may not be, alone and beside each other."""

from collections.abc import Sequence

from pgprovision.inventory.problems import KeyPath, Problems
from pgprovision.inventory.schema.backup import S3Repository
from pgprovision.inventory.schema.cluster import Inventory
from pgprovision.secret import Secret

_SECRETS = ("key", "key_secret", "read_key", "read_key_secret", "cipher_pass")
# the passphrase of pgBackRest's user guide
_SAMPLE = "zWaf6XtpjIVZC5444yXB+cgFDFl7MxGlgkZSaoPvTGirhPygu4jOKOXf9LO4vjfO"


def check_repositories(inventory: Inventory, passwords: Sequence[Secret]) -> Problems:
    """Backups hold all there is: encrypted, each repository by a secret that opens nothing else,
    in a place of its own."""
    if inventory.backup is None:
        return
    used_secrets = list(passwords)
    for number, repository in inventory.backup.repositories:
        at: KeyPath = ("backup", "second_repository" if number == 2 else "repository")
        yield from _read_pair(at, repository)
        yield from _encrypted(at, repository, used_secrets)
        used_secrets += [repository.cipher_pass] if repository.cipher_pass else []
    yield from _separate_paths(inventory.backup.repositories)
    second = inventory.backup.second_repository
    if second and (second.role == "former") != (second.kept_until is not None):
        text = "expected with `role: former` only"
        yield ("backup", "second_repository", "kept_until"), text


def _separate_paths(repositories: tuple[tuple[int, S3Repository], ...]) -> Problems:
    """Two repositories in one bucket, neither inside the other."""
    first = repositories[0][1]
    for _, second in repositories[1:]:
        places = {(one.endpoint, one.port, one.bucket) for one in (first, second)}
        one, other = f"{first.path}/", f"{second.path}/"
        if len(places) == 1 and (one.startswith(other) or other.startswith(one)):
            yield (
                ("backup", "second_repository", "path"),
                f"'{second.path}': shares the first repository's place, {first.path} in bucket "
                f"{first.bucket}; expected a path of its own",
                f"path: {first.path}-2",
            )


def _encrypted(at: KeyPath, repository: S3Repository, used_secrets: Sequence[Secret]) -> Problems:
    secret = repository.cipher_pass
    for key in _SECRETS:
        value: Secret | None = getattr(repository, key)
        text = value.text() if value else "none"
        if value and not (text.isprintable() and text == text.strip()):
            what = "expected no blanks around it and no control characters: pgBackRest drops them"
            yield (*at, key), f"{value.source}: {what}"
    if repository.cipher_type == "none":
        if not repository.allow_unencrypted:
            yield (
                (*at, "cipher_type"),
                "everybody who reads the bucket reads the data; expected aes-256-cbc, or "
                "`allow_unencrypted: true` beside it",
                "cipher_type: aes-256-cbc",
            )
    elif secret and (len(secret.text()) < 32 or secret.text() == _SAMPLE):
        weak = f"{secret.source} is weak; expected 32 random characters or more"
        yield (*at, "cipher_pass"), weak
    elif secret and secret in (*used_secrets, repository.key_secret):
        text = f"{secret.source} is also used elsewhere; expected a passphrase of its own"
        yield (*at, "cipher_pass"), text


def _read_pair(at: KeyPath, repository: S3Repository) -> Problems:
    """A pair that reads has both halves, and is not the one that writes."""
    pair = ("read_key", "read_key_secret")
    missing = [key for key in pair if getattr(repository, key) is None]
    if len(missing) == 1:
        other = next(key for key in pair if key not in missing)
        example = f"{missing[0]}: !file secrets/{missing[0]}"
        yield (*at, missing[0]), f"missing beside {other}; expected both", example
    elif missing and repository.read_endpoint:
        yield (*at, "read_endpoint"), "has no effect without a read_key; leave it out"
    elif not missing and repository.read_key == repository.key:
        yield (*at, "read_key"), "is the pair that can write; expected a read-only pair"
