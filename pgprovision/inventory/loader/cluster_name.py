"""The cluster's name alone, from an inventory that may lack everything else: for what is asked
about the past, when secrets, environment and nodes no longer matter."""

from pathlib import Path

from pydantic import ConfigDict, ValidationError

from pgprovision.inventory.loader.loader import CLUSTER_FILE, read_cluster_document
from pgprovision.inventory.loader.validation_errors import validation_problems
from pgprovision.inventory.problems import BadInventory, KeyPath, Problem
from pgprovision.inventory.reference import Reference
from pgprovision.inventory.schema import types as n
from pgprovision.inventory.schema.base import Model

CLUSTER_KEY: KeyPath = ("cluster",)


class _Named(Model):
    model_config = ConfigDict(extra="ignore")

    cluster: n.HostLabel


def cluster_name(folder: Path) -> str:
    """What cluster.yml calls the cluster. Raises BadInventory where it does not say."""
    document = read_cluster_document(folder)
    about = [c for c in document.problems if c.path in ((), CLUSTER_KEY)]
    document.problems = [c for c in about if c.path == CLUSTER_KEY]
    value = document.value
    if not isinstance(value, dict) or "cluster" not in value:
        missing = "missing; expected the cluster's name, for instance `cluster: hcb-lab`"
        raise BadInventory(about or [Problem(document.positions[()], CLUSTER_KEY, missing)])
    if isinstance(name := value["cluster"], Reference):
        text = f"not looked up here; expected the name itself in {CLUSTER_FILE}"
        raise BadInventory([*document.problems, Problem(name.position, CLUSTER_KEY, text)])
    try:
        named = _Named.model_validate(value)
    except ValidationError as wrong:
        raise BadInventory([*document.problems, *validation_problems(wrong, document)]) from wrong
    if document.problems:
        raise BadInventory(document.problems)
    return named.cluster
