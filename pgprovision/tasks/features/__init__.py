"""The capabilities of a cluster, each in a file of its own."""

from collections.abc import Iterator

from pgprovision.inventory.schema.cluster import Inventory, RoleSpec
from pgprovision.tasks.context import PlanContext
from pgprovision.tasks.features.backup import Backup
from pgprovision.tasks.features.extensions import Extensions
from pgprovision.tasks.features.feature import Feature, Position
from pgprovision.tasks.features.watch import Watch
from pgprovision.tasks.scope import NodeGroup, Step

FEATURES: tuple[type[Feature], ...] = (Backup, Watch, Extensions)


def features(inventory: Inventory) -> tuple[Feature, ...]:
    """The enabled features, in the order of FEATURES."""
    every = (feature(inventory) for feature in FEATURES)
    return tuple(feature for feature in every if feature.enabled)


def packages(inventory: Inventory) -> tuple[str, ...]:
    """The packages of all enabled features, each once."""
    names = (name for feature in features(inventory) for name in feature.packages())
    return tuple(dict.fromkeys(names))


def roles(inventory: Inventory) -> tuple[RoleSpec, ...]:
    """The roles of all enabled features."""
    return tuple(role for feature in features(inventory) for role in feature.roles())


def preload_libraries(context: PlanContext) -> tuple[str, ...]:
    """The entries of shared_preload_libraries of all enabled features."""
    enabled = features(context.inventory)
    return tuple(name for feature in enabled for name in feature.preload_libraries(context))


def tiers_at(
    position: Position, inventory: Inventory
) -> Iterator[tuple[str, NodeGroup, tuple[Step, ...]]]:
    """Title, nodes and steps of the features' own tiers at one position; one title is one tier."""
    merged: dict[tuple[str, NodeGroup], tuple[Step, ...]] = {}
    for feature in features(inventory):
        for tier in feature.tiers():
            if tier.position is position:
                key = (tier.title, tier.on)
                merged[key] = (*merged.get(key, ()), *tier.steps)
    for (title, on), steps in merged.items():
        yield title, on, steps
