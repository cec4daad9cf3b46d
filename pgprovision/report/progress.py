"""Live steps: one line per finished action, and on a terminal one moving line per target."""

import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from pgprovision.engine.model import Action, Change, Resource, Tier, Waiting
from pgprovision.report.printing import console, format_duration


class Progress:
    """Live steps: one line per finished action, and on a terminal one moving line per target."""

    def __init__(self, *, quiet: bool = False) -> None:
        self._out = console(sys.stderr)
        self._quiet = quiet
        self._started = time.monotonic()
        self._lock = threading.Lock()
        self._current: dict[str, str] = {}
        self._last_shown: dict[str, str] = {}
        self._live: Any = None
        self._start()

    def _start(self) -> None:
        if self._out.is_terminal and not self._quiet:
            from rich.live import Live

            self._live = Live("", console=self._out, transient=True, get_renderable=self._live_text)
            self._live.start()

    def close(self) -> None:
        if self._live is not None:
            self._live.stop()
            self._live = None

    @contextmanager
    def paused(self) -> Iterator[None]:
        """The terminal is somebody else's for a moment: a question is asked."""
        self.close()
        try:
            yield
        finally:
            self._start()

    def tier_started(self, tier: Tier) -> None:
        self._line("", tier.title, "bold")

    def acting(self, changes: Sequence[Change]) -> None:
        with self._lock:
            for change in reversed(changes):
                if change.actions:
                    self._current[change.resource.on] = change.actions[0].why

    def action_done(self, change: Change, action: Action) -> None:
        with self._lock:
            self._current.pop(change.resource.on, None)
        self._line(change.resource.on, action.why, "green")

    def target_failed(self, target: str, error: Exception) -> None:
        with self._lock:
            self._current.pop(target, None)
        self._line(target, f"FAILED: {str(error).partition(chr(10))[0]}", "red")

    def waiting(self, resource: Resource, waiting: Waiting, seconds: float) -> None:
        with self._lock:
            self._current[resource.on] = f"waiting: {waiting.reason} ({format_duration(seconds)})"
            new = self._last_shown.get(resource.on) != waiting.reason
            self._last_shown[resource.on] = waiting.reason
        if new and self._live is None:
            self._line(resource.on, f"waiting: {waiting.reason}", "")

    def show_notice(self, text: str) -> None:
        """What the run waits for; reported once."""
        with self._lock:
            new = self._last_shown.get("") != text
            self._last_shown[""] = text
        if new:
            self._line("", text, "yellow")

    def _line(self, target: str, text: str, style: str) -> None:
        if self._quiet:
            return
        since = format_duration(time.monotonic() - self._started)
        self._out.print(f"{since:>7}  {target:<20} {text}", markup=False, style=style)

    def _live_text(self) -> str:
        since = format_duration(time.monotonic() - self._started)
        with self._lock:
            return "\n".join(f"{since:>7}  {on:<20} {why} ..." for on, why in self._current.items())
