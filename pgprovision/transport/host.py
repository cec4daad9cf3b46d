"""A machine as a target of the loop: one wire, one exec a batch."""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence

from pgprovision.engine.model import Action, Answer, Probe, Waiting
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
from pgprovision.transport.connection import Connection
from pgprovision.transport.lock import FENCED_EXIT_CODE
from pgprovision.transport.lock_keeper import LockKeeper

PROBE_SECONDS = 60.0  # a look is short; longer means the machine hangs
RECONNECT_PAUSE_SECONDS = 1.0
SSHD_RELOAD_SECONDS = 10.0  # nobody listens while sshd restarts
RECONNECT_SECONDS = 60.0  # an emulated machine that finds 300 MB in one piece was away for 36 s


class Host:
    """One machine. `connect` gives its wire, Waiting while it boots, None while there is none.

    `required` false: it is only glanced at, and where it does not answer it is as good as absent.
    """

    def __init__(self, name: str, connect: Callable[[], Connection | Waiting | None]) -> None:
        self.name = name
        self.required = True
        self.round_trips = 0
        self._given_up = False
        self._connect = connect
        self._connection: Connection | None = None
        self._stopping = False
        self._reconnect_until = 0.0
        self.lock_keeper = LockKeeper(name, connect)

    def observe(self, probes: Sequence[Probe]) -> Mapping[Probe, Answer] | Waiting | None:
        """Answers to all probes in one round trip. Raises Unreachable."""
        try:
            return None if self._given_up else self._observe(probes)
        except PgprovisionError:
            if self.required:
                raise
            self._given_up = True
            return None

    def _observe(self, probes: Sequence[Probe]) -> Mapping[Probe, Answer] | Waiting | None:
        """A connection lost since its last use does not mean that the host is unreachable; probes
        change nothing: it connects again, and probes once more."""
        may_retry = self._connection is not None and self.required
        while True:
            try:
                return self._run_probes(probes)
            except OSError as error:
                self.close()
                if not may_retry or self._stopping or isinstance(error, TimeoutError):
                    what = f"the connection was lost while probing: {error}"
                    raise Unreachable(what, where=self.name) from error
            may_retry, self._reconnect_until = False, time.monotonic() + RECONNECT_SECONDS

    def _run_probes(self, probes: Sequence[Probe]) -> Mapping[Probe, Answer] | Waiting | None:
        connection = self._connected()
        if connection is None or isinstance(connection, Waiting):
            return connection
        steps = [framing.ShellStep(probe.text) for probe in probes]
        answers: dict[Probe, Answer] = {}
        for frame in self._frames(connection, steps, lambda _: PROBE_SECONDS):
            answers[probes[frame.index]] = Answer(frame.code, frame.out, frame.err)
        return answers

    def act(self, actions: Sequence[Action], on_done: Callable[[Action], None]) -> None:
        """Runs actions in order up to the first that fails. Raises StepFailed, OutcomeUnknown."""
        if not actions:
            return
        connection = self._connected()
        if connection is None or isinstance(connection, Waiting):
            raise Unreachable("the host became unreachable after it was probed", where=self.name)
        steps = [
            framing.ShellStep(
                a.text, a.stdin if isinstance(a.stdin, bytes) else a.stdin.reveal(), a.psql_session
            )
            for a in actions
        ]
        guard = self.lock_keeper.batch_guard()
        if self._stopping:  # stopped before there was a lock that could tell
            raise self._fenced_error(actions[0])
        completed, fault_point = 0, fault_points.before_change()
        try:
            frames_ = self._frames(
                connection, steps, lambda i: actions[i].timeout, guard, stop_on_failure=True
            )
            for frame in frames_:
                completed = frame.index + 1
                if frame.code == FENCED_EXIT_CODE and frame.err.startswith(b"fenced: "):
                    raise self._fenced_error(actions[frame.index])
                if frame.code:
                    message = (frame.err or frame.out).decode(errors="replace").strip()
                    if frame.code == actions[frame.index].unmet_exit_code:
                        raise InventoryError(message, where=self.name)
                    what = f"{actions[frame.index].why} failed (exit {frame.code})"
                    raise StepFailed(
                        f"{what}\n{_indent(message)}",
                        where=self.name,
                        next="fix the cause and run the same command again: it continues from here",
                    )
                fault_points.after_change(fault_point)
                on_done(actions[frame.index])
                if completed < len(actions):
                    fault_point = fault_points.before_change()
        except StepFailed as error:
            disk_full.add_disk_usage(error, self._output_of)
            raise
        except (ConnectionError, TimeoutError, OSError) as error:
            self.close()
            self._reconnect_until = time.monotonic() + RECONNECT_SECONDS
            raise OutcomeUnknown(
                f"connection lost during: {actions[min(completed, len(actions) - 1)].why}"
                f" ({error})",
                where=self.name,
                next="run the same command again when it answers: it probes first, and waits for "
                "what is still running there",
            ) from error
        if any(action.reconnects for action in actions):
            self.close()
            self._reconnect_until = time.monotonic() + SSHD_RELOAD_SECONDS

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def stop(self) -> None:
        """The current action is the last one of this run."""
        self._stopping = True
        self.lock_keeper.stop()

    def release(self) -> None:
        """The run is over: release the host."""
        self.close()
        self.lock_keeper.release()

    def _output_of(self, text: str) -> str:
        """The output of a short probe; empty where that fails, too."""
        connection = self._connected()
        if connection is None or isinstance(connection, Waiting):
            return ""
        try:
            frame = next(
                self._frames(connection, [framing.ShellStep(text)], lambda _: PROBE_SECONDS)
            )
        except OSError:
            return ""
        return frame.out.decode(errors="replace")

    def _fenced_error(self, action: Action) -> PgprovisionError:
        if self._stopping:
            return Interrupted(f"stopped before: {action.why}", where=self.name)
        return Locked(
            f"another run has locked this host; refused: {action.why}",
            where=self.name,
            state="this run does nothing more there",
            next="pgprovision plan shows how things are now",
        )

    def _connected(self) -> Connection | Waiting | None:
        """After a lost connection the host may be busy, or its network away: connecting is retried
        for a while before the host counts as unreachable."""
        while self._connection is None:
            try:
                connection = self._connect()
            except Unreachable:
                if self._stopping or time.monotonic() > self._reconnect_until:
                    raise
                time.sleep(RECONNECT_PAUSE_SECONDS)
                continue
            if connection is None or isinstance(connection, Waiting):
                return connection
            self._connection = connection
        return self._connection

    def _frames(
        self,
        connection: Connection,
        steps: Sequence[framing.ShellStep],
        timeout_of: Callable[[int], float],
        guard: tuple[str, str] = ("", ""),
        *,
        stop_on_failure: bool = False,
    ) -> Iterator[framing.Frame]:
        mark = framing.new_mark()
        decoder = framing.Decoder(mark)
        index, since, failed = 0, time.monotonic(), False

        def remaining_seconds() -> float:
            current = timeout_of(min(index, len(steps) - 1))
            return max(0.0, since + current - time.monotonic())

        self.round_trips += 1
        for out, err in connection.run(
            framing.encode(steps, mark, stop_on_failure=stop_on_failure, guard=guard),
            remaining_seconds,
        ):
            for frame in decoder.feed(out, err):
                index, since, failed = frame.index + 1, time.monotonic(), frame.code != 0
                yield frame
        if index < len(steps) and not (stop_on_failure and failed):
            output = decoder.remainder.decode(errors="replace").strip()
            raise ConnectionError(f"the shell ended early: {output[-160:] or 'no output'}")


def _indent(text: str, lines: int = 15) -> str:
    """The last lines of an action's output, indented."""
    return "\n".join(f"    | {line}" for line in text.splitlines()[-lines:])
