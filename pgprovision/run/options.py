"""What a person gave with a verb."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, kw_only=True)
class Options:
    """The options that every verb shares. A verb's own are fields of its `Operation`."""

    inventory: Path
    """The folder that describes the cluster."""
    wait: float = 0.0
    """Seconds to wait for another run to end."""
    json: bool = False
    """One JSON document on stdout instead of text."""
    yes: bool = False
    """Nobody is asked: what the plan says is done."""
