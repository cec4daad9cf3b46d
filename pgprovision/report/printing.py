"""Where text leaves the program."""

import json
import os
import sys
from collections.abc import Mapping
from functools import cache
from typing import IO, TYPE_CHECKING, Any, TextIO

if TYPE_CHECKING:
    from rich.console import Console


def console(stream: TextIO | None = None) -> "Console":
    """Colours and width as the terminal has them; none in a pipe or with NO_COLOR."""
    stream = stream or sys.stdout
    width = None if stream.isatty() else 10_000
    return _console_type()(file=stream, highlight=False, emoji=False, soft_wrap=True, width=width)


@cache
def _console_type() -> "type[Console]":
    """A console that goes on where nobody reads any more: a run is never ended by its output."""
    from rich.console import Console

    class PipeSafeConsole(Console):
        def on_broken_pipe(self) -> None:
            _redirect_to_devnull(self.file)

    return PipeSafeConsole


def _redirect_to_devnull(stream: IO[str]) -> None:
    void = os.open(os.devnull, os.O_WRONLY)
    os.dup2(void, stream.fileno())
    os.close(void)


def print_line(text: str) -> None:
    """One plain line for people."""
    console().print(text, markup=False)


def print_note(text: str) -> None:
    """A line for people that is not the answer."""
    console(sys.stderr).print(text, markup=False, style="dim")


def print_error(text: str) -> None:
    console(sys.stderr).print(text, markup=False, style="red")


def print_verbatim(text: str) -> None:
    """Text for a shell or an editor, alone on stdout and byte for byte."""
    try:
        sys.stdout.write(text)
        sys.stdout.flush()
    except BrokenPipeError:
        _redirect_to_devnull(sys.stdout)


def print_json(document: Mapping[str, Any]) -> None:
    """A JSON document, alone on stdout."""
    print_verbatim(json.dumps(document, indent=2, ensure_ascii=False) + "\n")


def format_duration(seconds: float) -> str:
    """12.3s, 4m05s."""
    return f"{seconds:.1f}s" if seconds < 60 else f"{int(seconds) // 60}m{int(seconds) % 60:02d}s"
