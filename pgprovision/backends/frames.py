"""Many steps in one shell: two pure functions.

`encode` makes a script for one `sh` that reads it from stdin; `Decoder` takes what comes back, in
pieces of any size, and gives each step's answer the moment its frame is complete. At first the
shell prints a mark on both streams: what a login said before it is dropped. After each step it
prints the mark, the step's number and its exit code on both streams. The mark is random, so no
step's output can pass for it. Payloads travel as base64 inside the script: any bytes, no temporary
file, no argument list.
"""

import base64
import secrets
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from pgprovision.quote import sh


@dataclass(frozen=True)
class Step:
    """A shell snippet, its stdin, and the exit code it ended with once it is known."""

    text: str
    stdin: bytes = b""


@dataclass(frozen=True)
class Frame:
    """One step's end."""

    index: int
    code: int
    out: bytes
    err: bytes


def new_mark() -> str:
    """A mark nobody can guess."""
    return f"-=pgp-{secrets.token_hex(12)}=-"


def encode(
    steps: Sequence[Step], mark: str, *, stop: bool = False, guard: tuple[str, str] = ("", "")
) -> bytes:
    """The script. With `stop`, the first step that fails ends it. `guard`: shell text before all
    steps, and in each before anything else."""
    lines = [f"echo {mark}; echo {mark} >&2"]
    lines += ["export LC_ALL=C.UTF-8 DEBIAN_FRONTEND=noninteractive", "umask 022", "cd /"]
    before, each = guard
    lines += [before] if before else []
    for index, step in enumerate(steps):
        body = f"( {each}; eval {sh(step.text)} )" if each else f"( eval {sh(step.text)} )"
        if step.stdin:
            payload = base64.b64encode(step.stdin).decode()
            lines.append(f"printf %s {payload} | base64 -d | {body}")
        else:
            lines.append(f"{body} </dev/null")
        lines.append(f"c=$?; printf '%s %s %s\\n' {mark} {index} $c; printf '%s\\n' {mark} >&2")
        if stop:
            lines.append('[ "$c" = 0 ] || exit 0')
    return ("\n".join(lines) + "\nexit 0\n").encode("utf-8", "surrogateescape")


class Decoder:
    """Takes both streams in pieces; yields frames in order."""

    def __init__(self, mark: str) -> None:
        self._mark = mark.encode()
        self._begun_out = self._begun_err = False
        self._out = b""
        self._err = b""
        self._ended: list[tuple[int, int, bytes]] = []

    def feed(self, out: bytes = b"", err: bytes = b"") -> Iterator[Frame]:
        """Frames that are complete now."""
        self._out += out
        self._err += err
        stop = self._mark + b"\n"
        if not self._begun_out and (at := self._out.find(stop)) >= 0:
            self._begun_out, self._out = True, self._out[at + len(stop) :]
        if not self._begun_err and (at := self._err.find(stop)) >= 0:
            self._begun_err, self._err = True, self._err[at + len(stop) :]
        if not (self._begun_out and self._begun_err):
            return
        while (at := self._out.find(self._mark + b" ")) >= 0:
            end = self._out.find(b"\n", at)
            if end < 0:
                break
            _, index, code = self._out[at:end].split(b" ")
            self._ended.append((int(index), int(code), self._out[:at]))
            self._out = self._out[end + 1 :]
        while self._ended and (at := self._err.find(stop)) >= 0:
            number, status, text = self._ended.pop(0)
            yield Frame(number, status, text, self._err[:at])
            self._err = self._err[at + len(stop) :]

    @property
    def rest(self) -> bytes:
        """What came after the last frame: an interrupted step's words."""
        return self._out + self._err
