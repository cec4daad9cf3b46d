"""A machine as a target of the loop: one wire, one exec a batch."""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence

from pgprovision.engine.model import Answer, Ask, Do, Waiting
from pgprovision.errors import (
    Interrupted,
    InventoryError,
    Locked,
    OutcomeUnknown,
    PgprovisionError,
    StepFailed,
    Unreachable,
)
from pgprovision.transport import disk_full, fault_points, framing
from pgprovision.transport.connection import Wire
from pgprovision.transport.lock import FENCED
from pgprovision.transport.lock_keeper import Keeper

LOOK_SECONDS = 60.0  # a look is short; longer means the machine hangs
DIAL_SECONDS = 1.0
RELOAD_SECONDS = 10.0  # nobody listens while sshd starts itself anew
AWAY_SECONDS = 60.0  # an emulated machine that finds 300 MB in one piece was away for 36 s


class Host:
    """One machine. `connect` gives its wire, Waiting while it boots, None while there is none.

    `needed` false: it is only glanced at, and where it does not answer it is as good as absent.
    """

    def __init__(self, name: str, connect: Callable[[], Wire | Waiting | None]) -> None:
        self.name = name
        self.needed = True
        self.trips = 0
        self._given_up = False
        self._connect = connect
        self._wire: Wire | None = None
        self._stopping = False
        self._awaited = 0.0
        self.keeper = Keeper(name, connect)

    def look(self, asks: Sequence[Ask]) -> Mapping[Ask, Answer] | Waiting | None:
        """Answers to all asks in one trip. Raises Unreachable."""
        try:
            return None if self._given_up else self._look(asks)
        except PgprovisionError:
            if self.needed:
                raise
            self._given_up = True
            return None

    def _look(self, asks: Sequence[Ask]) -> Mapping[Ask, Answer] | Waiting | None:
        """A line that was lost since it was last used is no machine that is gone, and a look moves
        nothing: it is dialled again, and asked once more."""
        again = self._wire is not None and self.needed
        while True:
            try:
                return self._asked(asks)
            except OSError as error:
                self.close()
                if not again or self._stopping or isinstance(error, TimeoutError):
                    what = f"the look was cut off: {error}"
                    raise Unreachable(what, where=self.name) from error
            again, self._awaited = False, time.monotonic() + AWAY_SECONDS

    def _asked(self, asks: Sequence[Ask]) -> Mapping[Ask, Answer] | Waiting | None:
        wire = self._open()
        if wire is None or isinstance(wire, Waiting):
            return wire
        steps = [framing.Step(ask.text) for ask in asks]
        answers: dict[Ask, Answer] = {}
        for frame in self._frames(wire, steps, lambda _: LOOK_SECONDS):
            answers[asks[frame.index]] = Answer(frame.code, frame.out, frame.err)
        return answers

    def act(self, actions: Sequence[Do], done: Callable[[Do], None]) -> None:
        """Runs actions in order up to the first that fails. Raises StepFailed, OutcomeUnknown."""
        if not actions:
            return
        wire = self._open()
        if wire is None or isinstance(wire, Waiting):
            raise Unreachable("the machine went away after it was looked at", where=self.name)
        steps = [
            framing.Step(
                a.text, a.stdin if isinstance(a.stdin, bytes) else a.stdin.reveal(), a.session
            )
            for a in actions
        ]
        guard = self.keeper.ready()
        if self._stopping:  # it was asked to end before there was a hold that could tell
            raise self._fenced(actions[0])
        ended, change = 0, fault_points.begin()
        try:
            frames_ = self._frames(wire, steps, lambda i: actions[i].timeout, guard, stop=True)
            for frame in frames_:
                ended = frame.index + 1
                if frame.code == FENCED and frame.err.startswith(b"fenced: "):
                    raise self._fenced(actions[frame.index])
                if frame.code:
                    said = (frame.err or frame.out).decode(errors="replace").strip()
                    if frame.code == actions[frame.index].unmet:
                        raise InventoryError(said, where=self.name)
                    what = f"{actions[frame.index].why} failed (exit {frame.code})"
                    raise StepFailed(
                        f"{what}\n{_indent(said)}",
                        where=self.name,
                        next="mend the cause and run the same command again: it goes on from here",
                    )
                fault_points.end(change)
                done(actions[frame.index])
                if ended < len(actions):
                    change = fault_points.begin()
        except StepFailed as error:
            disk_full.explain(error, self._words)
            raise
        except (ConnectionError, TimeoutError, OSError) as error:
            self.close()
            self._awaited = time.monotonic() + AWAY_SECONDS
            raise OutcomeUnknown(
                f"connection lost during: {actions[min(ended, len(actions) - 1)].why} ({error})",
                where=self.name,
                next="run the same command again when it answers: it looks first, and waits for "
                "what still runs there",
            ) from error
        if any(action.reconnects for action in actions):
            self.close()
            self._awaited = time.monotonic() + RELOAD_SECONDS

    def close(self) -> None:
        if self._wire is not None:
            self._wire.close()
            self._wire = None

    def stop(self) -> None:
        """The step that runs is the last one of this run."""
        self._stopping = True
        self.keeper.stop()

    def end(self) -> None:
        """The run is over: let go of the machine."""
        self.close()
        self.keeper.end()

    def _words(self, text: str) -> str:
        """What a short look says; nothing where that fails, too."""
        wire = self._open()
        if wire is None or isinstance(wire, Waiting):
            return ""
        try:
            frame = next(self._frames(wire, [framing.Step(text)], lambda _: LOOK_SECONDS))
        except OSError:
            return ""
        return frame.out.decode(errors="replace")

    def _fenced(self, action: Do) -> PgprovisionError:
        if self._stopping:
            return Interrupted(f"stopped before: {action.why}", where=self.name)
        return Locked(
            f"another run has taken over; refused: {action.why}",
            where=self.name,
            done="nothing more is done there",
            next="pgprovision plan shows how things are now",
        )

    def _open(self) -> Wire | Waiting | None:
        """A machine whose line was lost in mid-step may be busy, or its network away: it is dialled
        for a while before it counts as gone."""
        while self._wire is None:
            try:
                wire = self._connect()
            except Unreachable:
                if self._stopping or time.monotonic() > self._awaited:
                    raise
                time.sleep(DIAL_SECONDS)
                continue
            if wire is None or isinstance(wire, Waiting):
                return wire
            self._wire = wire
        return self._wire

    def _frames(
        self,
        wire: Wire,
        steps: Sequence[framing.Step],
        limit: Callable[[int], float],
        guard: tuple[str, str] = ("", ""),
        *,
        stop: bool = False,
    ) -> Iterator[framing.Frame]:
        mark = framing.new_mark()
        decoder = framing.Decoder(mark)
        index, since, failed = 0, time.monotonic(), False

        def patience() -> float:
            current = limit(min(index, len(steps) - 1))
            return max(0.0, since + current - time.monotonic())

        self.trips += 1
        for out, err in wire.run(framing.encode(steps, mark, stop=stop, guard=guard), patience):
            for frame in decoder.feed(out, err):
                index, since, failed = frame.index + 1, time.monotonic(), frame.code != 0
                yield frame
        if index < len(steps) and not (stop and failed):
            said = decoder.rest.decode(errors="replace").strip()
            raise ConnectionError(f"the shell ended early: {said[-160:] or 'no output'}")


def _indent(text: str, lines: int = 15) -> str:
    """The last lines of what a step said, set apart."""
    return "\n".join(f"    | {line}" for line in text.splitlines()[-lines:])
