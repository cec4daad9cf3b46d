"""The approval of what cannot be undone: a name, typed in full."""

from collections.abc import Callable, Sequence

from pgprovision.engine.loop import Approve
from pgprovision.engine.model import Change, Impact
from pgprovision.errors import Refused

Typed = Callable[[Sequence[str]], str]
"""Shows what will be done and returns what a person typed."""


def confirmed(name: str, typed: Typed, whose: str = "the cluster's") -> Approve:
    """Allows everything. Raises Refused unless exactly this name was typed."""

    def approve(changes: Sequence[Change]) -> Impact:
        if typed([str(change.resource) for change in changes]) != name:
            raise Refused(
                f"the name typed is not {whose}",
                done="nothing was touched",
                next=f"if it is meant, type its name in full: {name}",
            )
        return Impact.DESTROY

    return approve
