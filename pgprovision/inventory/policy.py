"""What settings and secrets may not be, whatever their type."""

import re

from pgprovision.inventory.complaint import Found, Loc
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
_OFF = (False, "off", "false", "no", 0)
_UNITS = ("B", "kB", "MB", "GB", "TB", "us", "ms", "s", "min", "h", "d")
_QUANTITY = re.compile(r"[-+]?[0-9.]+ ?([A-Za-z]+)")
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
        if plain in DANGEROUS - set(postgres.allow_dangerous_settings) and value in _OFF:
            yield (
                at,
                (
                    "off loses data when the machine stops; expected on, or its name under "
                    "postgres.allow_dangerous_settings"
                ),
            )
        found = _QUANTITY.fullmatch(value) if isinstance(value, str) else None
        if found and found[1] not in _UNITS:
            yield at, f"{value!r}: no unit {found[1]}; expected one of {', '.join(_UNITS)}"
        least = len(inventory.replicas) + 2
        counted = plain in ("max_wal_senders", "max_replication_slots")
        if counted and isinstance(value, int) and value < least:
            yield at, f"{value}: expected at least {least}, two more than there are replicas"


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
        elif text.lower() in _COMMON or text == name:
            yield at, f"{password.source} is easily guessed; expected a random password"
    others = [secret.text() for at, (_, secret) in passwords.items() if at != repeated]
    if replication.password.text() in others:
        yield repeated, "the same as another role's; expected a password of its own"
    repository = inventory.backup and inventory.backup.repository
    if repository and repository.cipher_type != "none":
        at = ("backup", "repository", "cipher_pass")
        secret = repository.cipher_pass
        if secret and (len(secret.text()) < 32 or secret.text() == _SAMPLE):
            yield at, f"{secret.source} is weak; expected 32 random characters or more"
