"""What every JSON document begins with."""

from typing import Any

JSON_VERSION = 2
"""Of all documents: a key that is renamed or removed is a new version. See docs/json.md."""


def envelope(*, command: str | None = None, cluster: str | None = None) -> dict[str, Any]:
    """The first keys of a document: its version, and of which command and cluster it is."""
    about = {"command": command, "cluster": cluster}
    return {"version": JSON_VERSION, **{key: name for key, name in about.items() if name}}
