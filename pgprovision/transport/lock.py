"""One run at a time on a host: a lock the kernel frees, a record people read, a fencing number.

The lock is a `flock` of a shell on the host that lives as long as its SSH channel and as
long as it hears from the run: `LEASE_SECONDS` seconds of silence and it lets go. So a run that died
is gone at once, and one that was stopped (a closed laptop) is gone after the lease. Every lock
owner writes a number higher than the one before; each step of a batch first compares it
(`fence_guard`), so a run that wakes up late can do no more. A step that still runs when its run is
gone keeps `busy`, and whoever comes next waits for its end."""

import base64
import binascii
import threading
from collections.abc import Callable
from dataclasses import dataclass

from pgprovision.errors import Locked
from pgprovision.lock_owner import LockOwner, is_parsable, parse_fence, unlock_token
from pgprovision.quote import sh
from pgprovision.transport.connection import Channel

LEASE_SECONDS = 20  # seconds; a beat every five
HEARTBEAT_SECONDS = 5.0
REPLY_SECONDS = 30.0  # seconds; the line itself ends sooner when nobody is there
ORPHAN_SECONDS = (
    900.0  # seconds a step of a dead run may still take before we give up waiting for it
)
FENCED_EXIT_CODE = 76

_SCRIPT = """
echo; echo hold
umask 022; mkdir -p "${1%/*}"; umask 077
why() { echo "cannot write $1: $(df --output=pcent,ipcent,target "$2" | awk 'NR > 1 {
  printf "of the disk at %s %s are used, of its inodes %s", $3, $1, $2 }')"; exit 1; }
mkdir -p "$1" "${1%/*}/runs" && cd "$1" && exec 9>>lock 8>>busy ||
  why "$1" "${1%/*/*}"
show() { if text=$(base64 -w0 "$1" 2>/dev/null); then printf %s "$text"
  elif [ -e "$1" ]; then printf %s unreadable; else printf -- -; fi; echo; }
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
class LockRequest:
    """The owner, how many seconds to wait for another run to end, and what to call meanwhile."""

    owner: LockOwner
    wait_seconds: float = 0.0
    on_wait: Callable[[str], None] = lambda reason: None


def lock_command(folder: str, wait: float, lease: float = LEASE_SECONDS) -> tuple[str, ...]:
    """What runs on the host while it is locked."""
    return ("bash", "-c", _SCRIPT, "pgprovision-hold", folder, f"{wait:.0f}", f"{lease:.1f}")


def fence_guard(fencing_token: int, folder: str) -> tuple[str, str]:
    """Shell text before a batch, and before each of its steps: only while the number is ours."""
    busy, fence = sh(f"{folder}/busy"), sh(f"{folder}/fence")
    refused = f'{{ echo "fenced: $f" >&2; exit {FENCED_EXIT_CODE}; }}'
    return (
        f"exec 8>>{busy}; flock -w 30 8 || {{ echo 'an earlier action still runs'; exit 1; }}",
        f'read -r f <{fence} 2>&-; [ "$f" = {fencing_token} ] || {refused}',
    )


class HostLock:
    """A host locked by this run. `alive`: as far as was heard last."""

    def __init__(self, channel: Channel, fencing_token: int) -> None:
        self.fencing_token = fencing_token
        self.alive = True
        self._channel = channel
        self._channel_lock = threading.Lock()
        self._released = threading.Event()
        threading.Thread(target=self._heartbeat, daemon=True).start()

    def append_record(self, text: str) -> None:
        """Add to the run's record on the machine. `sync_record` says that it is there."""
        self._send(f"note {base64.b64encode(text.encode()).decode()}")

    def sync_record(self) -> bool:
        """Whether everything noted is on disk there, and the host is still locked."""
        return self._send("sync", expect_reply=True)

    def stop(self) -> None:
        """The current action is the last."""
        self._send("stop", expect_reply=True)

    def release(self) -> None:
        """Release it, in order."""
        self._released.set()
        self._send("end", expect_reply=True)
        self._channel.close()

    def _send(self, text: str, *, expect_reply: bool = False) -> bool:
        with self._channel_lock:
            try:
                self._channel.send_line(text)
                if expect_reply and (reply := self._channel.receive_line(REPLY_SECONDS)) != "ok":
                    raise ConnectionError(reply)
            except (OSError, EOFError, ValueError):  # ValueError: closed on this side
                self.alive = False
        return self.alive

    def _heartbeat(self) -> None:
        while not self._released.wait(HEARTBEAT_SECONDS) and self._send("beat"):
            pass


def acquire(
    channel: Channel, where: str, request: LockRequest, previous_token: int | None = None
) -> HostLock:
    """Lock a host. `previous_token`: the fencing number this run had before; no other run may have
    locked it since. Raises Locked, ConnectionError, TimeoutError."""
    _await_greeting(channel)
    reply = channel.receive_line(REPLY_SECONDS)
    if reply == "held":
        owner_text, fence = _receive_file(channel), _receive_file(channel)
        if not request.wait_seconds:
            raise _locked_error(where, owner_text, fence)
        request.on_wait(f"locked by {LockOwner.parse(owner_text) or 'an unknown run'}")
        try:
            reply = channel.receive_line(request.wait_seconds + 10)
        except (ConnectionError, TimeoutError) as error:
            raise _locked_error(where, owner_text, fence) from error
    if reply != "free":
        raise ConnectionError(reply)
    owner_text, fence, ownership = (
        _receive_file(channel),
        _receive_file(channel),
        channel.receive_line(10.0),
    )
    last_token = parse_fence(fence)
    if last_token is None or ownership != "own" or not is_parsable(owner_text, fence):
        raise _locked_error(where, owner_text, fence)
    if previous_token is not None and last_token != previous_token:
        raise Locked(
            "this run lost its lock, and another run has locked the host since: "
            f"{LockOwner.parse(owner_text) or 'it has ended'}",
            where=where,
            state="this run does nothing more there: actions refuse its fencing number",
            next="pgprovision plan shows how things are now",
        )
    encoded_owner = base64.b64encode(request.owner.text().encode()).decode()
    channel.send_line(f"take {last_token + 1} {request.owner.run} {encoded_owner}")
    seconds_left = ORPHAN_SECONDS
    while (reply := channel.receive_line(REPLY_SECONDS)).startswith("busy"):
        request.on_wait(f"an action of a run that has ended is still running: {reply[5:].strip()}")
        seconds_left -= 0.5
        if seconds_left < 0:
            raise Locked(f"an action of an earlier run does not end: {reply[5:]}", where=where)
    if reply != "taken":
        raise ConnectionError(reply)
    return HostLock(channel, last_token + 1)


def _await_greeting(channel: Channel) -> None:
    """Skip what a login prints before our first word, whole lines or half ones; it is the error
    where no word of ours comes."""
    banner = ""
    try:
        while (text := channel.receive_line(REPLY_SECONDS)) != "hold":
            banner = text
    except ConnectionError as error:
        raise ConnectionError(banner or str(error)) from error


def _receive_file(channel: Channel) -> str | None:
    """A file's content; None where there is none."""
    encoded = channel.receive_line(10.0)
    if encoded == "-":
        return None
    try:
        return base64.b64decode(encoded, validate=True).decode(errors="replace").strip()
    except binascii.Error:
        return encoded  # no record: it counts as locked


def _locked_error(where: str, owner_text: str | None, fence: str | None) -> Locked:
    owner = LockOwner.parse(owner_text) if is_parsable(owner_text, fence) else None
    what = (
        f"locked by {owner}"
        if owner
        else "its lock record cannot be read, so the host counts as locked"
    )
    wait_hint = "wait for that run with: pgprovision --wait 600 ...; " if owner else ""
    return Locked(
        what,
        where=where,
        next=f"{wait_hint}to break the lock, when you know that run has ended: "
        f"pgprovision unlock {where} {unlock_token(owner_text, fence)}",
    )
