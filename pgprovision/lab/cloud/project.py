"""One project's view of the store: its objects, and the actions that change them."""

from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from typing import Any

from pgprovision.lab.cloud.errors import ApiError, not_found, uniqueness_error
from pgprovision.lab.cloud.settings import SimulatorSettings
from pgprovision.lab.cloud.store import Doc, DocumentStore
from pgprovision.lab.hypervisor import Hypervisor

ObjectRef = tuple[str, int]


def now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


class CloudProject:
    """Objects are plain documents; the modules named after the nouns know their fields.

    `injected_error` is a fault in force: every action begun by this request ends in that error.
    """

    def __init__(
        self, store: DocumentStore, name: str, settings: SimulatorSettings, hypervisor: Hypervisor
    ) -> None:
        self.store = store
        self.name = name
        self.settings = settings
        self.hypervisor = hypervisor
        self.injected_error: Doc | None = None

    # Objects

    def list_all(self, kind: str) -> list[Doc]:
        return self.store.list_all(kind, self.name)

    def get(self, kind: str, ident: int) -> Doc | None:
        doc = self.store.get(kind, ident)
        return doc if doc and doc["project"] == self.name else None

    def find(self, kind: str, ident: int) -> Doc:
        """Raises not_found, also for another project's object."""
        doc = self.get(kind, ident)
        if doc is None:
            raise not_found(kind, ident)
        return doc

    def add(self, kind: str, **fields: Any) -> Doc:
        """A new object; `fields` may bring an id. Raises uniqueness_error for a taken name."""
        self.check_unique(kind, "name", fields.get("name"))
        ident = fields.pop("id", 0) or self.store.new_id()
        doc = {"id": ident, "project": self.name, "created": now(), **fields}
        self.store.put(kind, doc)
        return doc

    def save(self, kind: str, doc: Doc) -> None:
        self.store.put(kind, doc)

    def remove(self, kind: str, doc: Doc) -> None:
        self.store.delete(kind, doc["id"])

    def check_unique(self, kind: str, field: str, value: object, except_id: int = 0) -> None:
        others = (doc for doc in self.list_all(kind) if doc["id"] != except_id)
        if value is not None and any(doc.get(field) == value for doc in others):
            raise uniqueness_error(field)

    # Actions

    def running_actions(self, kind: str, ident: int) -> list[Doc]:
        """The unfinished actions that speak of this object, oldest first."""
        ref = {"id": ident, "type": kind}
        return [a for a in self.store.running_actions() if ref in a["resources"]]

    def is_locked(self, kind: str, ident: int) -> bool:
        """Whether an unfinished action keeps others away from this object."""
        return any([kind, ident] in action["holds"] for action in self.running_actions(kind, ident))

    def check_unlocked(self, *refs: ObjectRef) -> None:
        """Raises locked for a busy server, conflict for anything else that is being changed."""
        for kind, ident in refs:
            if self.is_locked(kind, ident):
                code = "locked" if kind == "server" else "conflict"
                raise ApiError(code, f"{kind} {ident} is busy with another action; try again")

    def begin_action(
        self,
        command: str,
        *resources: ObjectRef,
        locks: Iterable[ObjectRef] = (),
        after: Doc | None = None,
        **data: Any,
    ) -> Doc:
        """An action that takes time. Those of one queue (its first resource) run in turn.

        `after` is an action: this one fails where that one failed.
        """
        action = self._action(command, resources)
        action |= {
            "holds": [list(ref) for ref in locks],
            "queue": "/".join(map(str, resources[0])),
            "after": after["id"] if after else None,
            "data": data,
            "fail": self.injected_error,
            "ready_at": None,
        }
        self.store.put("action", action)
        return action

    def finished_action(self, command: str, *resources: ObjectRef) -> Doc:
        """An action that is over when it is first seen."""
        action = self._action(command, resources)
        action |= {"status": "success", "progress": 100, "finished": action["started"]}
        self.store.put("action", action)
        return action

    def _action(self, command: str, resources: tuple[ObjectRef, ...]) -> Doc:
        return {
            "id": self.store.new_id(),
            "project": self.name,
            "command": command,
            "status": "running",
            "progress": 0,
            "started": now(),
            "finished": None,
            "resources": [{"id": ident, "type": kind} for kind, ident in resources],
            "error": None,
        }


ProjectFactory = Callable[[str], CloudProject]
