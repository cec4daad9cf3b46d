"""A machine kept held through a run, whatever becomes of the line."""

from collections.abc import Callable

from pgprovision.engine.model import Waiting
from pgprovision.errors import OutcomeUnknown, Unreachable
from pgprovision.lock_owner import FOLDER
from pgprovision.transport.connection import Wire
from pgprovision.transport.lock import Claim, Hold, command, guard, take


class Keeper:
    """Keeps one machine held through a run: from when it can first be reached, over a connection
    of its own, and taken again where the line was lost and nobody came in between."""

    def __init__(
        self, where: str, connect: Callable[[], Wire | Waiting | None], folder: str = FOLDER
    ) -> None:
        self._where = where
        self._folder = folder
        self._connect = connect
        self._claim: Claim | None = None
        self._wire: Wire | None = None
        self._hold: Hold | None = None
        self._number: int | None = None
        self._notes: list[str] = []
        self._noted = 0

    def claim(self, claim: Claim) -> None:
        """From now on nothing is done on the machine unless it is held."""
        self._claim = claim

    def note(self, text: str) -> None:
        """For the run's record on the machine, once it can be reached."""
        self._notes.append(text)

    def reach(self) -> None:
        """Connect, where there is a machine. Raises Unreachable."""
        if self._hold is not None and not self._hold.alive:
            self.drop()
        if self._wire is None:
            wire = self._connect()
            self._wire = None if isinstance(wire, Waiting) else wire

    def take(self) -> bool:
        """Hold it; False where there is no machine yet. Raises Locked, Unreachable."""
        self.reach()
        if self._claim is None or self._wire is None:
            return False
        if self._hold is not None:
            return True
        try:
            line = self._wire.line(*command(self._folder, self._claim.wait))
            self._hold = take(line, self._where, self._claim, self._number)
        except (OSError, EOFError) as error:
            raise Unreachable(
                f"its lock cannot be taken: {error}",
                where=self._where,
                next="mend that on the machine, then run the same command again: it looks first",
            ) from error
        self._number = self._hold.number
        return True

    def ready(self) -> tuple[str, str]:
        """The guard of a batch: held, and what is to be done is in the record there. Raises
        Locked, Unreachable; OutcomeUnknown where the machine came up during this run and another
        run was there before it was held: what was seen of it may be old."""
        if self._claim is None:
            return ("", "")
        first = self._number is None
        for _ in range(2):  # a hold that was lost is found out by talking, and taken once more
            self.take()
            if self._hold is None or self._number is None:
                raise Unreachable("it went away before its lock was taken", where=self._where)
            if first and self._number > 1:
                raise OutcomeUnknown("another run was here before it was held", where=self._where)
            if self._tell():
                return guard(self._number, self._folder)
        raise Unreachable("its lock is lost again and again", where=self._where)

    def stop(self) -> None:
        """The step that runs is the last."""
        if self._hold is not None:
            self._hold.stop()

    def end(self) -> None:
        """Let go; what is still to be noted is noted first."""
        if self._hold is not None and self._hold.alive and self._tell():
            self._hold.end()
        self.drop()

    def drop(self) -> None:
        """Let go without a word: the machine goes down."""
        if self._wire is not None:
            self._wire.close()
        self._hold = self._wire = None

    def _tell(self) -> bool:
        """Everything noted is on disk there, and the machine still held."""
        assert self._hold
        end = len(self._notes)
        for text in self._notes[self._noted : end]:
            self._hold.note(text)
        if self._hold.sync():
            self._noted = end
            return True
        return False
