"""One run at a time on a machine: a lock the kernel frees, a record people read, a rising number.

The lock is a `flock` held by a shell on the machine that lives as long as its SSH channel and as
long as it hears from the run: `LEASE` seconds of silence and it lets go. So a run that died is
gone at once, and one that was stopped (a closed laptop) is gone after the lease. Every holder
writes a number higher than the one before; each step of a batch first compares it (`guard`), so a
run that wakes up late can do no more. A step that still runs when its run is gone keeps `busy`,
and whoever comes next waits for its end.
"""

import base64
import threading
from collections.abc import Callable
from dataclasses import dataclass

from pgprovision.errors import Locked
from pgprovision.lock_owner import Holder, number, readable, token
from pgprovision.quote import sh
from pgprovision.transport.connection import Line

LEASE = 20  # seconds; a beat every five
BEAT = 5.0
ANSWER = 30.0  # seconds; the line itself ends sooner when nobody is there
ORPHAN = 900.0  # seconds a step of a dead run may still take before we give up waiting for it
FENCED = 76

_SCRIPT = """
echo; echo hold
umask 022; mkdir -p "${1%/*}"; umask 077
why() { echo "cannot write $1: $(df --output=pcent,ipcent,target "$2" | awk 'NR > 1 {
  printf "of the disk at %s %s are used, of its inodes %s", $3, $1, $2 }')"; exit 1; }
mkdir -p "$1" "${1%/*}/runs" && cd "$1" && exec 9>>lock 8>>busy ||
  why "$1" "${1%/*/*}"
show() { if [ -e "$1" ]; then base64 -w0 "$1"; else printf -- -; fi; echo; }
put() { printf '%s\\n' "$2" >"$1.new" && sync "$1.new" && mv "$1.new" "$1" && sync .; } 2>&-
if ! flock -n 9; then
  echo held; show holder; show fence
  flock -w "$2" 9 || exit 0
fi
echo free; show holder; show fence
if [ ! -e holder ] || [ -O holder ]; then echo own; else echo foreign; fi
IFS=' ' read -r -t 60 word number run record && [ "$word" = take ] || exit 0
put fence "$number" && put holder "$(printf %s "$record" | base64 -d)" ||
  why "$1" .
echo $$ >pid
until flock -n 8; do
  ( exec 8>&- 2>&-; for p in /proc/[0-9]*; do
    [ "$(readlink "$p/fd/8")" = "$PWD/busy" ] && [ "${p#/proc/}" != $$ ] &&
      echo "busy $(tr '\\0\\n' '  ' <"$p/cmdline" | cut -c 1-100)"
  done ) | tail -n 1 8>&-
  IFS= read -r -t 0.5 word; [ $? != 1 ] || exit 0  # 1: the run is gone, more: it is silent
done
flock -u 8
echo taken
while IFS=' ' read -r -t "$3" word rest; do case $word in
  note) { printf %s "$rest" | base64 -d && echo; } >>"../runs/$run.jsonl" 2>&- || why "../runs" .;;
  sync) [ ! -e "../runs/$run.jsonl" ] || sync "../runs/$run.jsonl"; echo ok;;
  stop) put fence "$number stopped"; echo ok;;
  end) rm -f holder pid; echo ok; exit 0;;
esac; done
"""


@dataclass(frozen=True)
class Claim:
    """Who takes it, how many seconds it waits for another to end, and who is told meanwhile."""

    holder: Holder
    wait: float = 0.0
    waiting: Callable[[str], None] = lambda reason: None


def command(folder: str, wait: float, lease: float = LEASE) -> tuple[str, ...]:
    """What runs on the machine while it is held."""
    return ("bash", "-c", _SCRIPT, "pgprovision-hold", folder, f"{wait:.0f}", f"{lease:.1f}")


def guard(number: int, folder: str) -> tuple[str, str]:
    """Shell text before a batch, and before each of its steps: only while the number is ours."""
    busy, fence = sh(f"{folder}/busy"), sh(f"{folder}/fence")
    refused = f'{{ echo "fenced: $f" >&2; exit {FENCED}; }}'
    return (
        f"exec 8>>{busy}; flock -w 30 8 || {{ echo 'an earlier step still runs'; exit 1; }}",
        f'read -r f <{fence} 2>&-; [ "$f" = {number} ] || {refused}',
    )


class Hold:
    """A machine held by this run. `alive`: as far as was heard last."""

    def __init__(self, line: Line, number: int) -> None:
        self.number = number
        self.alive = True
        self._line = line
        self._talking = threading.Lock()
        self._over = threading.Event()
        threading.Thread(target=self._beat, daemon=True).start()

    def note(self, text: str) -> None:
        """Add to the run's record on the machine. `sync` says that it is there."""
        self._say(f"note {base64.b64encode(text.encode()).decode()}")

    def sync(self) -> bool:
        """Whether everything noted is on disk there, and the machine still held."""
        return self._say("sync", answer=True)

    def stop(self) -> None:
        """The step that runs is the last."""
        self._say("stop", answer=True)

    def end(self) -> None:
        """Let go, in order."""
        self._over.set()
        self._say("end", answer=True)
        self._line.close()

    def _say(self, text: str, *, answer: bool = False) -> bool:
        with self._talking:
            try:
                self._line.send(text)
                if answer and (said := self._line.receive(ANSWER)) != "ok":
                    raise ConnectionError(said)
            except (OSError, EOFError, ValueError):  # ValueError: closed on this side
                self.alive = False
        return self.alive

    def _beat(self) -> None:
        while not self._over.wait(BEAT) and self._say("beat"):
            pass


def take(line: Line, where: str, claim: Claim, mine: int | None = None) -> Hold:
    """Take a machine. `mine`: the number it was held with before, and nobody may have come in
    between. Raises Locked, ConnectionError, TimeoutError."""
    _greeted(line)
    word = line.receive(ANSWER)
    if word == "held":
        other, fence = _decoded(line), _decoded(line)
        if not claim.wait:
            raise _held(where, other, fence)
        claim.waiting(f"held by {Holder.parse(other) or 'a run that cannot be named'}")
        try:
            word = line.receive(claim.wait + 10)
        except (ConnectionError, TimeoutError) as error:
            raise _held(where, other, fence) from error
    if word != "free":
        raise ConnectionError(word)
    other, fence, owner = _decoded(line), _decoded(line), line.receive(10.0)
    last = number(fence)
    if last is None or owner != "own" or not readable(other, fence):
        raise _held(where, other, fence)
    if mine is not None and last != mine:
        raise Locked(
            "this run lost its hold, and another has been here since: "
            f"{Holder.parse(other) or 'it has ended'}",
            where=where,
            done="nothing more is done there: its steps refuse the old number",
            next="pgprovision plan shows how things are now",
        )
    record = base64.b64encode(claim.holder.text().encode()).decode()
    line.send(f"take {last + 1} {claim.holder.run} {record}")
    left = ORPHAN
    while (word := line.receive(ANSWER)).startswith("busy"):
        claim.waiting(f"a step of a run that is gone still runs: {word[5:].strip()}")
        left -= 0.5
        if left < 0:
            raise Locked(f"a step of an earlier run does not end: {word[5:]}", where=where)
    if word != "taken":
        raise ConnectionError(word)
    return Hold(line, last + 1)


def _greeted(line: Line) -> None:
    """What a login says before our first word, whole lines or half ones, is nothing of ours, unless
    no word of ours comes."""
    said = ""
    try:
        while (word := line.receive(ANSWER)) != "hold":
            said = word
    except ConnectionError as error:
        raise ConnectionError(said or str(error)) from error


def _decoded(line: Line) -> str | None:
    """A file's content; None where there is none."""
    word = line.receive(10.0)
    return None if word == "-" else base64.b64decode(word).decode(errors="replace").strip()


def _held(where: str, holder: str | None, fence: str | None) -> Locked:
    known = Holder.parse(holder) if readable(holder, fence) else None
    what = f"held by {known}" if known else "its lock's record cannot be read, so it counts as held"
    wait = "wait for its end with: pgprovision --wait 600 ...; " if known else ""
    return Locked(
        what,
        where=where,
        done="nothing was touched",
        next=f"{wait}to take it away, when you know that run is no more: "
        f"pgprovision unlock {where} {token(holder, fence)}",
    )
