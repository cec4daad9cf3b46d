"""Figures of a run that are kept: one JSON file a kind, with the commit they belong to.

`PGP_RESULTS` names the folder; without it nothing is kept.
"""

import json
import os
import subprocess
from collections.abc import Mapping
from pathlib import Path

ROOT = Path(__file__).parents[2]


def current_commit() -> str:
    """The checkout's commit, with `-dirty` where it was changed."""
    words = ["git", "describe", "--always", "--dirty"]
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=False)
    return done.stdout.strip() or "unknown"


def write_result(name: str, result: Mapping[str, object]) -> None:
    if folder := os.environ.get("PGP_RESULTS"):
        text = json.dumps({**result, "commit": current_commit()}, indent=1)
        Path(folder, f"{name}.json").write_text(text + "\n")
