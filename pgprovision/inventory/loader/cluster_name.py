"""The cluster's name alone, from an inventory that may lack everything else: for what is asked
about the past, when secrets, environment and nodes no longer matter."""

from pathlib import Path

from pydantic import ConfigDict, ValidationError

from pgprovision.inventory.loader.loader import CLUSTER_FILE, cluster_document
from pgprovision.inventory.loader.validation_errors import explained
from pgprovision.inventory.problems import BadInventory, Complaint, Loc
from pgprovision.inventory.schema import types as n
from pgprovision.inventory.schema.base import Model
from pgprovision.inventory.tagged_text import Sourced

KEY: Loc = ("cluster",)


class _Named(Model):
    model_config = ConfigDict(extra="ignore")

    cluster: n.HostLabel


def cluster_name(folder: Path) -> str:
    """What cluster.yml calls the cluster. Raises BadInventory where it does not say."""
    document = cluster_document(folder, _unread)
    about = [c for c in document.complaints if c.key in ((), KEY)]
    document.complaints = [c for c in about if c.key == KEY]
    value = document.value
    if not isinstance(value, dict) or "cluster" not in value:
        missing = "missing; expected the cluster's name, for instance `cluster: hcb-lab`"
        raise BadInventory(about or [Complaint(document.places[()], KEY, missing)])
    try:
        name = _Named.model_validate(value).cluster
    except ValidationError as wrong:
        raise BadInventory([*document.complaints, *explained(wrong, document)]) from wrong
    if document.complaints:
        raise BadInventory(document.complaints)
    return name


def _unread(tag: str, argument: object, loc: Loc) -> Sourced:
    """In place of what is not looked up."""
    raise ValueError(f"not looked up here; expected the name itself in {CLUSTER_FILE}")
