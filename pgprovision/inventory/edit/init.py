"""A new inventory: a copy of one that comes with pgprovision, with a name of its own."""

import os
import re
import secrets
import shlex
import shutil
from collections.abc import Iterator
from enum import Enum
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from pgprovision.errors import InventoryError, Refused
from pgprovision.inventory.edit.secrets import protect_secrets_folder
from pgprovision.inventory.loader.loader import CLUSTER_FILE, NODES_FOLDER
from pgprovision.inventory.schema import json_schema
from pgprovision.inventory.schema.types import HostLabel
from pgprovision.package_data import packaged_folder

_FOLDER_PLACEHOLDER = (
    "my-cluster"  # what the inventories that come with pgprovision call their own folder
)
_SCHEMA_COMMENT = "# yaml-language-server: $schema="
_COMMAND_PREFIX = "#   "  # how a line of the head begins that is a command to type


class InventoryKind(Enum):
    """What machines it is for."""

    hetzner = "hetzner"
    static = "static"
    vagrant = "vagrant"
    lab = "lab"


_EXAMPLES = {
    InventoryKind.hetzner: "hetzner-example",
    InventoryKind.static: "static-example",
}  # else of that name


def create_inventory(folder: Path, kind: InventoryKind) -> tuple[str, ...]:
    """Writes a new inventory, whole or not at all, for a cluster called as the folder is. The
    commands to type next. Raises Refused where something is in the way, InventoryError."""
    name = folder.resolve().name
    try:
        TypeAdapter(HostLabel).validate_python(name)
    except ValidationError as wrong:
        reason = wrong.errors()[0]["ctx"]["error"]
        raise InventoryError(
            f"the folder's name {name!r} is not a valid cluster name: {reason}",
            next="run the same command with another NAME",
        ) from None
    if folder.exists() and not (folder.is_dir() and not any(folder.iterdir())):
        raise Refused(
            "exists already, and is not an empty folder",
            where=str(folder),
            done="nothing was changed",
            next="run the same command with another NAME",
        )
    texts = dict(_texts(kind, name, folder))
    new = folder.with_name(f".{folder.name}.{secrets.token_hex(4)}")
    try:
        for path, text in texts.items():
            file = new / path
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text)
        protect_secrets_folder(new)
        new.rename(folder)  # onto an empty folder, or none
    except OSError as wrong:
        shutil.rmtree(new, ignore_errors=True)
        raise InventoryError(f"cannot be written: {wrong.strerror}", where=str(folder)) from None
    return tuple(_commands(texts[Path(CLUSTER_FILE)]))


def _texts(kind: InventoryKind, name: str, folder: Path) -> Iterator[tuple[Path, str]]:
    """The files of a new inventory."""
    source = packaged_folder("inventories") / _EXAMPLES.get(kind, kind.value)
    cluster = (source / CLUSTER_FILE).read_text()
    found = re.search(r"^cluster: (\S+)", cluster, re.MULTILINE)
    assert found, source
    old = re.compile(rf"(?<![\w.-]){re.escape(found[1])}(?![\w])")
    quoted_folder = shlex.quote(os.fspath(folder))
    for path in (source / CLUSTER_FILE, *sorted((source / NODES_FOLDER).glob("*.yml"))):
        relative = path.relative_to(source)
        points = (
            json_schema.SCHEMA_FILE
            if relative.parent == Path()
            else f"../{json_schema.SCHEMA_FILE}#/$defs/Node"
        )
        text = path.read_text().replace(_FOLDER_PLACEHOLDER, quoted_folder)
        yield relative, f"{_SCHEMA_COMMENT}{points}\n{old.sub(name, text)}"
    yield Path(json_schema.SCHEMA_FILE), json_schema.schema_text()


def _commands(text: str) -> Iterator[str]:
    """What the head of an inventory says to type, once it is there."""
    for line in text.splitlines():
        if not line.startswith("#"):
            return
        if line.startswith(_COMMAND_PREFIX) and "pgprovision init " not in line:
            yield line.removeprefix(_COMMAND_PREFIX)
