"""What a verb is that changes nothing. `run_query` is its only caller: JSON and exit code are
written once, here.

It is a frozen dataclass: its fields are what a person gave with it. What it found is a value: a
JSON document where that is all, a type of its own where people read more than programs.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, Generic, TypeVar

from pgprovision import report
from pgprovision.inventory.loader.loader import load
from pgprovision.inventory.schema.cluster import Inventory
from pgprovision.run.options import Options
from pgprovision.run.targets import Targets

Document = Mapping[str, Any]
Found = TypeVar("Found")


class Query(ABC, Generic[Found]):
    """A verb that only looks: no lock, no record, no approval."""

    @abstractmethod
    def look(self, options: Options) -> Found:
        """What there is. Raises PgprovisionError."""

    def document(self, found: Found) -> Document:
        """Its JSON: what was found, where that is a document already."""
        assert isinstance(found, Mapping)
        return found

    @abstractmethod
    def show(self, found: Found) -> None:
        """The same for people."""

    def exit_code(self, found: Found) -> int:
        """0 unless what was found is itself an alarm."""
        return 0


class ClusterQuery(Query[Found]):
    """One that asks a cluster's hosts and cloud."""

    def look(self, options: Options) -> Found:
        inventory = load(options.inventory)
        self.check(inventory)
        with Targets(inventory) as targets:
            targets.check_cloud()
            return self.look_at(inventory, targets)

    def check(self, inventory: Inventory) -> None:
        """Raises InventoryError or Refused before anything is connected to."""

    @abstractmethod
    def look_at(self, inventory: Inventory, targets: Targets) -> Found:
        """What they say. The API may be silent: then `targets.cloud_error` says why."""


def run_query(query: Query[Found], options: Options) -> int:
    """Look, say what there is; the exit code. Raises PgprovisionError."""
    found = query.look(options)
    if options.json:
        report.print_json(query.document(found))
    else:
        query.show(found)
    return query.exit_code(found)
