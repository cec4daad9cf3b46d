"""A listing of an object store, as values: objects by their key, and the store's clock."""

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True)
class StoredObject:
    """One object. `modified`: when the store took it, by its own clock."""

    key: str
    modified: datetime


@dataclass(frozen=True)
class ObjectListing:
    """Objects below a prefix. `folders`: the next part of longer keys, where only one level was
    asked for. `complete` false: there are more objects than were asked for."""

    objects: tuple[StoredObject, ...] = ()
    folders: tuple[str, ...] = ()
    complete: bool = True
