"""How a restore went, as the node itself has it in writing."""

from collections.abc import Mapping
from typing import Any

from pgprovision.inventory.schema.cluster import Inventory, Node
from pgprovision.resources.data_directory import recovery
from pgprovision.run.targets import Targets
from pgprovision.tasks.paths import instance


def restore_result(inventory: Inventory, node: Node, targets: Targets) -> dict[str, Any]:
    """`restored` of the JSON of restore and rebuild."""
    probe = recovery.result_probe(instance(inventory))
    answers = targets[node.name].observe((probe,))
    found = (
        recovery.parse_result(answers[probe])
        if isinstance(answers, Mapping)
        else recovery.NO_RESULT
    )
    return {"node": node.name, **vars(found)}
