"""Puts the servers on different physical machines."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import ClassVar

from pgprovision.engine.model import Action, Answer, Diff, State
from pgprovision.errors import Refused
from pgprovision.resources.hetzner.hetzner_resource import HetznerResource

SPREAD_LIMIT = 10  # servers in one spread group; docs.hetzner.com, placement groups FAQ


@dataclass(frozen=True, kw_only=True)
class PlacementGroup(HetznerResource):
    """A placement group of type `spread` for `size` servers of this cluster."""

    kind: ClassVar[str] = "placement group"
    collection: ClassVar[str] = "placement_groups"
    size: int

    def read(self, answer: Answer) -> State | None:
        if self.size > SPREAD_LIMIT:
            raise Refused(
                f"a spread group takes {SPREAD_LIMIT} servers, the inventory has {self.size}",
                next="remove nodes from the inventory, or create a second cluster",
            )
        item = self.find(answer)
        return None if item is None else {"type": item["type"]}

    def desired(self) -> State:
        return {"type": "spread"}

    def change(self, diff: Diff) -> Iterable[Action]:
        if diff.before is None:
            yield self.create({"type": "spread"})
