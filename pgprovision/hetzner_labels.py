"""What is ours in a cloud project: it carries the cluster's labels."""

from collections.abc import Iterable, Mapping
from typing import Any

ApiObject = Mapping[str, Any]


def find_object(items: Iterable[ApiObject], name: str) -> ApiObject | None:
    """The one of this name; else the key of this fingerprint, or what has this id."""
    candidates = tuple(items)
    for key in ("name", "fingerprint", "id"):
        for item in candidates:
            if str(item.get(key)) == name:
                return item
    return None


def cluster_labels(cluster: str, node: str | None = None) -> dict[str, str]:
    """What everything of ours carries; servers name their node too."""
    common = {"managed-by": "pgprovision", "cluster": cluster}
    return common if node is None else {**common, "node": node}


def has_cluster_labels(api_object: ApiObject, cluster: str) -> bool:
    """Whether it carries the cluster's labels."""
    return cluster_labels(cluster).items() <= (api_object.get("labels") or {}).items()
