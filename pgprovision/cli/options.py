"""Options that every verb shares."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer


@dataclass(frozen=True)
class Options:
    """What stands before the verb."""

    inventory: Path
    wait: float = 0.0


Json = Annotated[bool, typer.Option("--json", help="One JSON document on stdout, version 1.")]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask; do what the plan says.")]
