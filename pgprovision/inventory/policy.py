"""What settings and secrets may not be, whatever their type."""

import re
from collections.abc import Mapping
from typing import Any

from pgprovision.inventory.backups import S3Repository
from pgprovision.inventory.complaint import Found, Loc
from pgprovision.inventory.examples import word
from pgprovision.inventory.known import unknown
from pgprovision.inventory.model import Inventory, Postgres
from pgprovision.secret import Secret

_OWNED_OUTRIGHT = """
    config_file data_directory hba_file ident_file external_pid_file include include_dir
    include_if_exists unix_socket_directories password_encryption primary_conninfo
    primary_slot_name restore_command ssl ssl_ca_file ssl_cert_file ssl_key_file"""
# settings the product writes itself, and the key that says it instead
OWNED = {
    "port": "postgres.port",
    "max_slot_wal_keep_size": "postgres.replication.max_slot_wal_keep_size",
    "archive_mode": "backup.archiving",
    "archive_command": "backup.archiving",
    "archive_library": "backup.archiving",
    "cluster_name": "the node's name",
    "listen_addresses": "the node's private_ip",
} | dict.fromkeys(_OWNED_OUTRIGHT.split(), "")
DANGEROUS = frozenset({"fsync", "full_page_writes"})
_UNITS = ("B", "kB", "MB", "GB", "TB", "us", "ms", "s", "min", "h", "d")
_QUANTITY = re.compile(r"([-+]?[0-9.]+) ?([A-Za-z]+)")
_COMMON = frozenset(
    {"password", "changeme", "12345678", "postgres", "replicator", "secretpassword"}
)
# the passphrase of pgBackRest's user guide
_SAMPLE = "zWaf6XtpjIVZC5444yXB+cgFDFl7MxGlgkZSaoPvTGirhPygu4jOKOXf9LO4vjfO"


def settings(inventory: Inventory) -> Found:
    postgres: Postgres = inventory.postgres
    seen: dict[str, str] = {}
    for name, value in postgres.settings.items():
        at: Loc = ("postgres", "settings", name)
        plain = name.lower()
        if seen.setdefault(plain, name) != name:
            yield at, f"the same setting as {seen[plain]}"
        if plain in OWNED:
            instead = f"; expected it as {OWNED[plain]}" if OWNED[plain] else "; leave it out"
            yield at, f"written by pgprovision itself{instead}"
        if plain in DANGEROUS - set(postgres.allow_dangerous_settings) and _is_off(value):
            yield (
                at,
                "off loses data when the machine stops; expected on, or its name under "
                "postgres.allow_dangerous_settings",
                f"{name}: on",
            )
        yield from _quantity(at, value)
        least = len(inventory.replicas) + 2
        counted = plain in ("max_wal_senders", "max_replication_slots")
        if counted and re.fullmatch(r"[0-9]{1,9}", str(value)) and int(value) < least:
            text = f"{value}: expected at least {least}, two more than there are replicas"
            yield at, text, f"{name}: {least}"
    sets: list[tuple[Loc, Mapping[str, Any]]] = [(("postgres", "settings"), postgres.settings)]
    sets += [(("roles", name, "settings"), role.settings) for name, role in inventory.roles.items()]
    for at, declared in sets:
        for name, value in declared.items():
            if wrong := unknown(name, postgres.version):
                text, meant = wrong
                example = f"{meant}: {word(value)}" if meant and ":" not in meant else meant
                yield (*at, name), text, example


def _is_off(value: object) -> bool:
    """As PostgreSQL reads it: any letters' case, any beginning that is clear."""
    text = str(value).lower()
    return text in ("0", "of", "off") or bool(
        text and "false".startswith(text) | "no".startswith(text)
    )


def _quantity(at: Loc, value: object) -> Found:
    found = _QUANTITY.fullmatch(value) if isinstance(value, str) else None
    if not found:
        return
    number, unit = found[1], found[2]
    if unit not in _UNITS:
        near = {one.lower(): one for one in _UNITS} | {"k": "kB", "m": "MB", "g": "GB", "t": "TB"}
        meant = near.get(unit.lower(), "")
        example = f"{at[-1]}: {number}{meant}" if meant else ""
        yield at, f"{value!r}: no unit {unit}; expected one of {', '.join(_UNITS)}", example
    elif number.startswith("-") and unit in _UNITS[:5]:
        yield at, f"{value!r}: expected a size above 0", f"{at[-1]}: {number[1:]}{unit}"


def secrets(inventory: Inventory) -> Found:
    replication = inventory.postgres.replication
    passwords: dict[Loc, tuple[str, Secret]] = {
        ("roles", name, "password"): (name, role.password)
        for name, role in inventory.roles.items()
        if role.password is not None
    }
    repeated = ("postgres", "replication", "password")
    passwords[repeated] = (replication.role, replication.password)
    for at, (name, password) in passwords.items():
        text = password.text()
        if re.fullmatch(r"md5[0-9a-f]{32}|SCRAM-SHA-256\$.*", text):
            yield at, f"{password.source} is a verifier; expected the password itself"
        elif not 8 <= len(text) <= 1000:
            yield at, f"{password.source} has {len(text)} characters; expected 8 to 1000"
        elif text.lower() in _COMMON or text.lower() == name.lower():
            yield at, f"{password.source} is easily guessed; expected a random password"
    others = [secret.text() for at, (_, secret) in passwords.items() if at != repeated]
    if replication.password.text() in others:
        text = "the same as another role's; expected a password of its own"
        yield repeated, f"{replication.password.source} is {text}"
    yield from _repository(inventory, {*others, replication.password.text()})


def _repository(inventory: Inventory, passwords: set[str]) -> Found:
    """Backups hold all there is: encrypted, by a secret that opens nothing else."""
    if inventory.backup is None:
        return
    repository = inventory.backup.repository
    secret = repository.cipher_pass
    at: Loc = ("backup", "repository", "cipher_pass")
    for key in ("key", "key_secret", "read_key", "read_key_secret", "cipher_pass"):
        held: Secret | None = getattr(repository, key)
        text = held.text() if held else "none"
        if held and not (text.isprintable() and text == text.strip()):
            what = "expected no blanks around it and no control characters: pgBackRest drops them"
            yield (*at[:-1], key), f"{held.source}: {what}"
    yield from _read_pair(repository)
    if repository.cipher_type == "none":
        if not repository.allow_unencrypted:
            yield (
                ("backup", "repository", "cipher_type"),
                "everybody who reads the bucket reads the data; expected aes-256-cbc, or "
                "`allow_unencrypted: true` beside it",
                "cipher_type: aes-256-cbc",
            )
    elif secret and (len(secret.text()) < 32 or secret.text() == _SAMPLE):
        yield at, f"{secret.source} is weak; expected 32 random characters or more"
    elif secret and secret.text() in {*passwords, repository.key_secret.text()}:
        yield at, f"{secret.source} opens something else, too; expected a passphrase of its own"


def _read_pair(repository: S3Repository) -> Found:
    """A pair that reads has both halves, and is not the one that writes."""
    at: Loc = ("backup", "repository")
    pair = ("read_key", "read_key_secret")
    lacking = [key for key in pair if getattr(repository, key) is None]
    if len(lacking) == 1:
        other = next(key for key in pair if key not in lacking)
        example = f"{lacking[0]}: !file secrets/{lacking[0]}"
        yield (*at, lacking[0]), f"missing beside {other}; expected both", example
    elif lacking and repository.read_endpoint:
        yield (*at, "read_endpoint"), "without a read_key; leave it out"
    elif not lacking and repository.read_key == repository.key:
        yield (*at, "read_key"), "is the pair that writes; expected one that can only read"
