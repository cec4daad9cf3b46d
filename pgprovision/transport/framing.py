"""Many steps in one shell: two pure functions.

`encode` makes a script for one `sh` that reads it from stdin; `Decoder` takes what comes back, in
pieces of any size, and gives each step's answer the moment its frame is complete. At first the
shell prints a mark on both streams: what a login printed before it is dropped. After each step it
prints the mark, the step's number and its exit code on both streams. The mark is random, so no
step's output can pass for it. Payloads travel as base64 inside the script: any bytes, no temporary
file, no argument list.

Neighbouring steps for the same psql session share one process: starting one takes longer than most
of its input. Each is a step of its own all the same, with its guard, frame and exit code.
"""

import base64
import secrets
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby

from pgprovision.quote import sh


@dataclass(frozen=True)
class ShellStep:
    """A shell snippet and its stdin. `psql_session`: it is a psql that may hear its neighbours'
    stdin, too, where their snippet is the same."""

    text: str
    stdin: bytes = b""
    psql_session: bool = False


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
    steps: Sequence[ShellStep],
    mark: str,
    *,
    stop_on_failure: bool = False,
    guard: tuple[str, str] = ("", ""),
) -> bytes:
    """The script. With `stop_on_failure`, the first step that fails ends it. `guard`: shell text
    before all steps, and in each before anything else."""
    lines = [f"echo {mark}; echo {mark} >&2"]
    lines += ["export LC_ALL=C.UTF-8 DEBIAN_FRONTEND=noninteractive", "umask 022", "cd /"]
    batch_guard, step_guard = guard
    lines += [batch_guard] if batch_guard else []
    numbered = list(enumerate(steps))
    for text, group in groupby(
        numbered, lambda pair: pair[1].text if pair[1].psql_session else None
    ):
        members = list(group)
        shared = stop_on_failure and text is not None and len(members) > 1
        lines += [_START_PSQL.format(text=sh(members[0][1].text))] if shared else []
        for index, step in members:
            lines.append(
                _psql_step(step, step_guard, mark) if shared else _shell_step(step, step_guard)
            )
            end_of_frame = f"printf '%s %s %s\\n' {mark} {index} $c; printf '%s\\n' {mark} >&2"
            lines.append(end_of_frame if shared else f"c=$?; {end_of_frame}")
            if stop_on_failure:
                lines.append('[ "$c" = 0 ] || exit 0')
        lines += [_STOP_PSQL] if shared else []
    return ("\n".join(lines) + "\nexit 0\n").encode("utf-8", "surrogateescape")


# Two pipes that have names until they are open: 6 is what psql hears, 5 what it says.
_START_PSQL = """\
c=0; s=$(mktemp -d /run/pgprovision-session.XXXXXX) && mkfifo "$s/in" "$s/out" || c=1
[ "$c" != 0 ] || {{ ( eval {text} ) <"$s/in" >"$s/out" & p=$!; exec 6>"$s/in" 5<"$s/out"; }}
rm -r "$s"
"""
_STOP_PSQL = "exec 6>&- 5<&-; wait $p"


def _shell_step(step: ShellStep, step_guard: str) -> str:
    body = f"( {step_guard}; eval {sh(step.text)} )" if step_guard else f"( eval {sh(step.text)} )"
    if step.stdin:
        payload = base64.b64encode(step.stdin).decode()
        return f"printf %s {payload} | base64 -d | {body}"
    return f"{body} </dev/null"


def _psql_step(step: ShellStep, step_guard: str, mark: str) -> str:
    """To the psql that runs. It ends at its first error; else it says the mark afterwards."""
    payload = base64.b64encode(step.stdin).decode()
    return f"""\
[ "$c" = 0 ] && ( {step_guard or ":"} ) </dev/null; c=$?
[ "$c" != 0 ] || ( printf %s {payload} | base64 -d; printf '\\n%s\\n' '\\echo {mark}' ) >&6 2>&-
while [ "$c" = 0 ]; do
  IFS= read -r l <&5 || {{ wait $p; c=$?; [ "$c" != 0 ] || c=1; }}
  case $c$l in "0{mark}") break ;; 0*) printf '%s\\n' "$l" ;; esac
done"""


class Decoder:
    """Takes both streams in pieces; yields frames in order."""

    def __init__(self, mark: str) -> None:
        self._mark = mark.encode()
        self._begun_out = self._begun_err = False
        self._out = b""
        self._err = b""
        self._finished: list[tuple[int, int, bytes]] = []

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
            self._finished.append((int(index), int(code), self._out[:at]))
            self._out = self._out[end + 1 :]
        while self._finished and (at := self._err.find(stop)) >= 0:
            number, status, text = self._finished.pop(0)
            yield Frame(number, status, text, self._err[:at])
            self._err = self._err[at + len(stop) :]

    @property
    def remainder(self) -> bytes:
        """What came after the last frame: an interrupted step's words."""
        return self._out + self._err
