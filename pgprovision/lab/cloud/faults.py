"""Faults switched on by rule: which calls go wrong, and how."""

import threading
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Any

from pgprovision.lab.cloud.body import RequestBody


@dataclass
class ApiFault:
    """From the `nth` matching call on, `count` of them (0: all) go wrong.

    `path` is a shell pattern on the path after /v1. What happens: `code` is answered in the error
    envelope (with `status`, else the code's own), or `status` alone in plain text as a proxy
    would, and nothing is done; or the connection is cut, `drop` being `before` or `after` the call
    is carried out; or the call works and its actions end in error `action`. `delay` is in
    seconds, before any of it.
    """

    method: str = "*"
    path: str = "*"
    nth: int = 1
    count: int = 1
    status: int = 0
    code: str = ""
    message: str = "injected fault"
    delay: float = 0.0
    drop: str = ""
    action: str = ""
    seen: int = field(default=0)

    def matches(self, method: str, path: str) -> bool:
        """Counts the call if it matches."""
        if not (fnmatchcase(method, self.method) and fnmatchcase(path, self.path)):
            return False
        self.seen += 1
        return self.seen >= self.nth and (self.count == 0 or self.seen < self.nth + self.count)


def parse_fault(body: RequestBody) -> ApiFault:
    """From JSON, as PUT /_lab/faults takes a list of. Raises invalid_input."""
    fault = ApiFault()
    for name in ("nth", "count", "status"):
        setattr(fault, name, body.number(name, getattr(fault, name)))
    for name in ("method", "path", "code", "message", "action"):
        setattr(fault, name, body.text(name, getattr(fault, name)))
    fault.drop = body.choice("drop", ("", "before", "after"), "")
    fault.delay = body.seconds("delay")
    return fault


class FaultRules:
    def __init__(self) -> None:
        self._faults: list[ApiFault] = []
        self._lock = threading.Lock()

    def replace(self, faults: list[ApiFault]) -> None:
        with self._lock:
            self._faults = faults

    def as_json(self) -> list[dict[str, Any]]:
        with self._lock:
            return [dict(vars(fault)) for fault in self._faults]

    def match(self, method: str, path: str) -> ApiFault:
        """The first fault that hits this call; a harmless one where none does."""
        with self._lock:
            matching = [fault for fault in self._faults if fault.matches(method, path)]
            return matching[0] if matching else ApiFault()
