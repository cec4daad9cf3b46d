"""What a machine is reached by: a wire that runs scripts, and lines to talk over."""

import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from typing import Protocol


class Line(ABC):
    """A conversation with a program on a machine, line by line. Raises ConnectionError at its end,
    TimeoutError (an OSError, both)."""

    _heard = b""

    @abstractmethod
    def send(self, text: str) -> None:
        """One line."""

    @abstractmethod
    def _piece(self, seconds: float) -> bytes:
        """What comes next, empty at the end."""

    @abstractmethod
    def close(self) -> None: ...

    def receive(self, seconds: float) -> str:
        """One line."""
        until = time.monotonic() + seconds
        while b"\n" not in self._heard:
            piece = self._piece(max(0.01, until - time.monotonic()))
            if not piece:
                said = self._heard.decode(errors="replace").strip()
                raise ConnectionError(f"it ended: {said or 'no word'}")
            self._heard += piece
        line, _, self._heard = self._heard.partition(b"\n")
        return line.decode(errors="replace")


class Wire(Protocol):
    """Runs one script in one `sh` on the far side."""

    def run(self, script: bytes, patience: Callable[[], float]) -> Iterator[tuple[bytes, bytes]]:
        """Pieces of stdout and stderr as they come. `patience` is how many seconds the next
        piece may take; raises TimeoutError past it, ConnectionError when the line is gone."""
        ...

    def line(self, *command: str) -> Line:
        """A program of its own, as root, to talk with. Raises ConnectionError."""
        ...

    def close(self) -> None: ...
