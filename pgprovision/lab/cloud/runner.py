"""Carries actions out: one thread per queue, the queue's actions in turn, time by the clock."""

import logging
import threading
import time

from pgprovision.lab.cloud.errors import ApiError
from pgprovision.lab.cloud.machines import ACTION_HANDLERS, NO_OP
from pgprovision.lab.cloud.project import ProjectFactory, now
from pgprovision.lab.cloud.settings import SimulatorSettings
from pgprovision.lab.cloud.store import Doc, DocumentStore
from pgprovision.lab.hypervisor import HypervisorError

_LOG = logging.getLogger(__name__)


class ActionRunner:
    """`wake` after every change; all that it needs to go on after a restart is in the store."""

    def __init__(
        self, store: DocumentStore, project_of: ProjectFactory, settings: SimulatorSettings
    ) -> None:
        self._store = store
        self._project_of = project_of
        self._settings = settings
        self._threads: dict[str, threading.Thread] = {}
        self._stopped = threading.Event()

    def wake(self) -> None:
        """See that every queue with unfinished actions has a thread."""
        with self._store.transaction():
            for queue in {action["queue"] for action in self._store.running_actions()}:
                current = self._threads.get(queue)
                if self._stopped.is_set() or (current and current.is_alive()):
                    continue
                thread = threading.Thread(target=self._drain, args=(queue,), daemon=True)
                self._threads[queue] = thread
                thread.start()

    def stop(self, timeout: float = 10) -> None:
        """Leave unfinished actions for the next start; wait `timeout` seconds for machines."""
        self._stopped.set()
        deadline = time.monotonic() + timeout
        for thread in list(self._threads.values()):
            thread.join(max(0.0, deadline - time.monotonic()))

    def _drain(self, queue: str) -> None:
        while action := self._next(queue):
            if action["ready_at"] is None:
                self._run_handler(action)
            elif self._stopped.wait(max(0.0, action["ready_at"] - time.time())):
                return
            else:
                self._finish(action, None)

    def _next(self, queue: str) -> Doc | None:
        with self._store.transaction():
            waiting = [a for a in self._store.running_actions() if a["queue"] == queue]
            if waiting and not self._stopped.is_set():
                return waiting[0]
            del self._threads[queue]
            return None

    def _run_handler(self, action: Doc) -> None:
        project = self._project_of(action["project"])
        try:
            self._check(action)
            ACTION_HANDLERS.get(action["command"], NO_OP).run(project, action)
        except HypervisorError as error:
            self._finish(action, {"code": "action_failed", "message": str(error)})
        except ApiError as error:  # what it was about is gone, or a fault says so
            self._finish(action, {"code": error.code, "message": error.message})
        except Exception:
            _LOG.exception("%s %s failed", action["command"], action["id"])
            self._finish(action, {"code": "server_error", "message": "see the simulator's log"})
        else:
            action["ready_at"] = time.time() + self._settings.action_seconds
            self._store.put("action", action)

    def _check(self, action: Doc) -> None:
        if action["fail"]:
            raise ApiError(action["fail"]["code"], action["fail"]["message"])
        first = self._store.get("action", action["after"]) if action["after"] else None
        if first and first["status"] == "error":
            raise ApiError("action_failed", f"{first['command']} failed before")

    def _finish(self, action: Doc, error: Doc | None) -> None:
        project = self._project_of(action["project"])
        command = ACTION_HANDLERS.get(action["command"], NO_OP)
        with self._store.transaction():
            try:
                (command.on_failure if error else command.on_success)(project, action)
            except ApiError as error_raised:
                _LOG.info("%s %s: %s", action["command"], action["id"], error_raised)
            action |= {
                "status": "error" if error else "success",
                "progress": 100,
                "finished": now(),
                "error": error,
            }
            self._store.put("action", action)
