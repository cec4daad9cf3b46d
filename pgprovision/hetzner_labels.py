"""What is ours in a cloud project: it carries the cluster's labels."""

from collections.abc import Iterable, Mapping
from typing import Any

Item = Mapping[str, Any]


def named(items: Iterable[Item], name: str) -> Item | None:
    """The one of this name; else the key of this fingerprint, or what has this id."""
    listed = tuple(items)
    for mark in ("name", "fingerprint", "id"):
        for item in listed:
            if str(item.get(mark)) == name:
                return item
    return None


def labels(cluster: str, node: str | None = None) -> dict[str, str]:
    """What everything of ours carries; servers name their node too."""
    mine = {"managed-by": "pgprovision", "cluster": cluster}
    return mine if node is None else {**mine, "node": node}


def is_ours(item: Item, cluster: str) -> bool:
    """Whether it carries the cluster's labels."""
    return labels(cluster).items() <= (item.get("labels") or {}).items()
