"""What settings and secrets may not be, whatever their type."""

import re
from collections.abc import Mapping
from typing import Any

from pgprovision import quantity
from pgprovision.inventory.problems import KeyPath, Message, Problems
from pgprovision.inventory.rules import repositories
from pgprovision.inventory.schema.cluster import Inventory, Postgres
from pgprovision.inventory.schema.examples import setting_text
from pgprovision.inventory.schema.postgres_settings import unknown_setting
from pgprovision.secret import Secret

_OWNED_OUTRIGHT = """
    config_file data_directory hba_file ident_file external_pid_file include include_dir
    include_if_exists unix_socket_directories password_encryption primary_conninfo
    primary_slot_name restore_command ssl ssl_ca_file ssl_cert_file ssl_key_file"""
# settings the product writes itself, and the key that says it instead
MANAGED_SETTINGS = {
    "port": "postgres.port",
    "max_slot_wal_keep_size": "postgres.replication.max_slot_wal_keep_size",
    "archive_mode": "backup.archiving",
    "archive_command": "backup.archiving",
    "archive_library": "backup.archiving",
    "cluster_name": "the node's name",
    "listen_addresses": "the node's private_ip",
} | dict.fromkeys(_OWNED_OUTRIGHT.split(), "")
DANGEROUS_SETTINGS = frozenset({"fsync", "full_page_writes"})
_UNIT_SPELLINGS = {unit.lower(): unit for unit in quantity.UNITS} | {
    "k": "kB",
    "m": "MB",
    "g": "GB",
    "t": "TB",
}
_COMMON = frozenset(
    {"password", "changeme", "12345678", "postgres", "replicator", "secretpassword"}
)


def check_settings(inventory: Inventory) -> Problems:
    postgres: Postgres = inventory.postgres
    first_spelling: dict[str, str] = {}
    for name, value in postgres.settings.items():
        at: KeyPath = ("postgres", "settings", name)
        plain = name.lower()
        if first_spelling.setdefault(plain, name) != name:
            yield at, f"the same setting as {first_spelling[plain]}"
        if plain in MANAGED_SETTINGS:
            expected = (
                f"; expected it as {MANAGED_SETTINGS[plain]}"
                if MANAGED_SETTINGS[plain]
                else "; leave it out"
            )
            yield at, f"written by pgprovision itself{expected}"
        if plain in DANGEROUS_SETTINGS - set(postgres.allow_dangerous_settings) and _is_off(value):
            yield (
                at,
                "off loses data when the machine stops; expected on, or its name under "
                "postgres.allow_dangerous_settings",
                f"{name}: on",
            )
        yield from _quantity(at, value)
        minimum = len(inventory.replicas) + 2
        counted = plain in ("max_wal_senders", "max_replication_slots")
        if counted and re.fullmatch(r"[0-9]{1,9}", str(value)) and int(value) < minimum:
            text = f"{{value}}: expected at least {minimum}, two more than there are replicas"
            yield at, Message(text, value=value), f"{name}: {minimum}"
    sets: list[tuple[KeyPath, Mapping[str, Any]]] = [(("postgres", "settings"), postgres.settings)]
    sets += [(("roles", name, "settings"), role.settings) for name, role in inventory.roles.items()]
    for at, declared in sets:
        for name, value in declared.items():
            if wrong := unknown_setting(name, postgres.version):
                text, meant = wrong
                line = f"{meant}: {{value}}" if meant and ":" not in meant else meant
                yield (*at, name), text, Message(line, value=setting_text(value))


def _is_off(value: object) -> bool:
    """As PostgreSQL reads it: any letters' case, any beginning that is clear."""
    text = str(value).lower()
    return text in ("0", "of", "off") or bool(
        text and "false".startswith(text) | "no".startswith(text)
    )


def _quantity(at: KeyPath, value: object) -> Problems:
    found = quantity.parse(value) if isinstance(value, str) else None
    if found is None or not found.unit or "e" in found.number.lower():
        return  # 2e5f may be any text
    number, unit = found.number, found.unit
    if not found.is_in(quantity.UNITS):
        intended = _UNIT_SPELLINGS.get(unit.lower(), "")
        example = f"{at[-1]}: {{number}}{intended}" if intended else ""
        text = f"{{value!r}}: no unit {{unit}}; expected one of {', '.join(quantity.UNITS)}"
        yield at, Message(text, value=value, unit=unit), Message(example, number=number)
    elif number.startswith("-") and found.is_in(quantity.MEMORY_UNITS):
        too_small = Message("{value!r}: expected a size above 0", value=value)
        example = f"{at[-1]}: {{size}}"
        yield at, too_small, Message(example, size=number[1:] + unit)


def check_secrets(inventory: Inventory) -> Problems:
    replication = inventory.postgres.replication
    passwords: dict[KeyPath, tuple[str, Secret]] = {
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
    others = [secret for at, (_, secret) in passwords.items() if at != repeated]
    if replication.password in others:
        text = "also used by another role; expected a password of its own"
        yield repeated, f"{replication.password.source} is {text}"
    yield from repositories.check_repositories(inventory, [*others, replication.password])
