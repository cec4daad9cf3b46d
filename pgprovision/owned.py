"""What is ours in a cloud project: it carries the cluster's labels."""

from collections.abc import Mapping
from typing import Any

Item = Mapping[str, Any]


def labels(cluster: str, node: str | None = None) -> dict[str, str]:
    """What everything of ours carries; servers name their node too."""
    mine = {"managed-by": "pgprovision", "cluster": cluster}
    return mine if node is None else {**mine, "node": node}


def is_ours(item: Item, cluster: str) -> bool:
    """Whether it carries the cluster's labels."""
    return labels(cluster).items() <= (item.get("labels") or {}).items()
