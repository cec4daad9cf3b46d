"""What a machine is reached by: a wire that runs scripts, and lines to talk over."""

import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from typing import Protocol


class Channel(ABC):
    """A conversation with a program on a machine, line by line. Raises ConnectionError at its end,
    TimeoutError (an OSError, both)."""

    _buffer = b""

    @abstractmethod
    def send_line(self, text: str) -> None:
        """One line."""

    @abstractmethod
    def _receive_bytes(self, seconds: float) -> bytes:
        """What comes next, empty at the end."""

    @abstractmethod
    def close(self) -> None: ...

    def receive_line(self, seconds: float) -> str:
        """One line."""
        deadline = time.monotonic() + seconds
        while b"\n" not in self._buffer:
            piece = self._receive_bytes(max(0.01, deadline - time.monotonic()))
            if not piece:
                output = self._buffer.decode(errors="replace").strip()
                raise ConnectionError(f"it ended: {output or 'no output'}")
            self._buffer += piece
        line, _, self._buffer = self._buffer.partition(b"\n")
        return line.decode(errors="replace")


class Connection(Protocol):
    """Runs one script in one `sh` on the far side."""

    def run(
        self, script: bytes, remaining_seconds: Callable[[], float]
    ) -> Iterator[tuple[bytes, bytes]]:
        """Pieces of stdout and stderr as they come. `remaining_seconds` is how many seconds the
        next piece may take; raises TimeoutError past it, ConnectionError when the line is gone."""
        ...

    def open_channel(self, *command: str) -> Channel:
        """A program of its own, as root, to talk with. Raises ConnectionError."""
        ...

    def close(self) -> None: ...
