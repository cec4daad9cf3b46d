"""Keys that are not known, and the ones that were meant."""

import re
import unicodedata
from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Any, get_args, get_origin

from pgprovision.inventory.loader.yaml_document import Document
from pgprovision.inventory.problems import (
    KeyPath,
    closest_name,
    did_you_mean,
    dotted_path,
    join_words,
)
from pgprovision.inventory.schema.cluster import HetznerSpec, Inventory, Node
from pgprovision.inventory.schema.examples import example_key, example_line, nested_line
from pgprovision.inventory.schema.fields import fields_at, is_redacted, model_of
from pgprovision.inventory.schema.postgres_settings import SETTING_NAMES

# what others call it, and how it is called here
SYNONYMS = MappingProxyType(
    {
        "bastion": "jump",
        "cpus": "cores",
        "datacenter": "location",
        "duty": "role",
        "groups": "member_of",
        "host": "address",
        "hostname": "address",
        "ip": "private_ip",
        "mark_every": "wal_heartbeat_interval",
        "os": "image",
        "private_key": "identity_file",
        "proxy_jump": "jump",
        "public_ip": "address",
        "ram": "memory",
        "retention": "retention_days",
        "roles": "users",
        "seed": "clone_from",
        "type": "server_type",
        "username": "user",
    }
)


def intended_key(loc: KeyPath) -> str:
    """The key of the same mapping that was meant, or nothing."""
    name, known = str(loc[-1]), fields_at(loc[:-1])
    plain = name.lower().replace("-", "_")
    if SYNONYMS.get(plain) in known:
        plain = SYNONYMS[plain]
    return plain if plain in known else closest_name(name, known)


def unknown_key(loc: KeyPath, document: Document) -> tuple[str, str]:
    """Which key was meant, and the line with it."""
    name, known = str(loc[-1]), set(fields_at(loc[:-1])) - {"nodes", "folder"}
    plain = name.lower().replace("-", "_")
    if meant := intended_key(loc):
        hint = did_you_mean(name, [meant]) if plain != meant else ""
        text = "unknown key" + (hint or f"; expected {meant}")
        return text, _corrected_line((*loc[:-1], meant), loc, document)
    if len(loc) == 3 and loc[0] == "nodes" and plain in Inventory.model_fields:
        return "unknown key; it belongs in cluster.yml", ""
    if len(loc) == 1 and plain in Node.model_fields and plain not in HetznerSpec.model_fields:
        return "unknown key; it belongs in a node's file, nodes/NAME.yml", ""
    homes = {dotted_path(home): home for home in sorted(_known_paths(plain), key=dotted_path)}
    if plain in SETTING_NAMES and not homes:
        homes = {"postgres.settings": ("postgres", "settings")}
    if homes:
        home = (*next(iter(homes.values())), plain)
        text = f"unknown key; it belongs under {join_words(list(homes))}"
        return text, nested_line(home, _plain_value(home, loc, document) or "...")
    return f"unknown key; expected one of {', '.join(sorted(known))}", ""


def _corrected_line(right: KeyPath, loc: KeyPath, document: Document) -> str:
    """The line with the key that was meant; its value as written, where that may be shown."""
    return example_line(right, _plain_value(right, loc, document))


def _plain_value(right: KeyPath, loc: KeyPath, document: Document) -> str:
    """A plain word that was written there, if it is no secret at either place."""
    text = document.texts.get(loc) or ""
    fine = re.fullmatch(r"[A-Za-z0-9_./-]{1,40}", text)
    return text if fine and not is_redacted(right) else ""


def _known_paths(name: str, annotation: Any = Inventory, at: KeyPath = ()) -> Iterator[KeyPath]:
    """The key paths under which a key of this name is known."""
    model = model_of(annotation)
    if model is None:
        inner = [a for a in get_args(annotation) if isinstance(model_of(a), type)]
        if inner and at:
            many = ".NAME" if get_origin(annotation) is Mapping else ""
            yield from _known_paths(name, inner[-1], (*at[:-1], f"{at[-1]}{many}"))
        return
    if name in model.model_fields and at:
        yield at
    for key, field in model.model_fields.items():
        yield from _known_paths(name, field.annotation, (*at, key))


def invalid_key(text: str, loc: KeyPath, document: Document) -> tuple[str, str]:
    """A name that stands as a key, and the same line with a better one."""
    name = str(loc[-1])
    if loc[-2:-1] == ("settings",):
        if meant := closest_name(name, SETTING_NAMES):
            return f"{text} (did you mean {meant}?)", _corrected_line(
                (*loc[:-1], meant), loc, document
            )
        return text, ""
    composed = unicodedata.normalize("NFC", name)
    better = composed if composed != name else example_key(loc[:-1])
    return text, example_line((*loc[:-1], better)) if better else ""
