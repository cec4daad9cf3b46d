"""Where the nodes were last seen, for the hour in which Hetzner's API does not say.

A convenience and no truth: whoever answers there has to show the node's pinned host key and its
marker. Without the file everything works as long as the API does.
"""

import json
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from pgprovision.inventory.edit.atomic_write import replace_file
from pgprovision.record import records_folder


def cached_addresses(cluster: str) -> dict[str, str]:
    """Addresses by node; empty where none were kept, or not by this release."""
    try:
        found = json.loads(_file(cluster).read_text())
        return {str(node): str(address) for node, address in found.items()}
    except (OSError, ValueError, AttributeError):
        return {}


def cache_addresses(cluster: str, addresses: Mapping[str, str]) -> None:
    """Keep them; a disk that is full is no reason to fail."""
    if addresses and addresses != cached_addresses(cluster):
        with suppress(OSError):
            text = json.dumps(dict(addresses), indent=2) + "\n"
            replace_file(_file(cluster), text.encode(), 0o600)


def _file(cluster: str) -> Path:
    return records_folder(cluster).parent / "addresses.json"
