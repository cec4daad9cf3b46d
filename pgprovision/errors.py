"""The errors that people see, by cause. `cli` turns each into an exit code."""

NOTHING_CHANGED = "nothing was changed"


class PgprovisionError(Exception):
    """Base of all errors with a message for people. Whoever raises one writes `what`, `where`,
    `state` and `next`; the engine writes `done`, whatever was in it before."""

    exit_code = 5
    """The exit code of the command that this error ends."""
    default_next = ""
    """The next command, where whoever raises it knows none that is better."""

    what: str
    """What failed: the observed and the expected value."""
    where: str
    """The host, the file and line, or the API endpoint."""
    done: str
    """What the run changed before. Only the engine knows; a verb that refuses before anything runs
    may say NOTHING_CHANGED."""
    state: str
    """How the failed step left its own file, host or request. Says nothing of the run."""
    next: str
    """The next command to type, or the file and key to edit."""

    def __init__(
        self, what: str, *, where: str = "", done: str = "", state: str = "", next: str = ""
    ) -> None:
        super().__init__(what)
        self.what = what
        self.where = where
        self.done = done
        self.state = state
        self.next = next or self.default_next

    def __str__(self) -> str:
        where = f"{self.where}: " if self.where else ""
        lines = [f"{where}{self.what}"]
        if self.done:
            lines.append(f"  already done: {self.done}")
        if self.state:
            lines.append(f"  state: {self.state}")
        if self.next:
            lines.append(f"  next: {self.next}")
        return "\n".join(lines)


class InventoryError(PgprovisionError):
    """Bad input."""

    exit_code = 2


class Refused(PgprovisionError):
    """It would not be safe to go on, so the run ends here."""

    exit_code = 3


class Locked(PgprovisionError):
    """Another run has the lock of the host."""

    exit_code = 4


class Unreachable(PgprovisionError):
    """A host did not answer, or is not the host it should be."""

    default_next = "run the same command again when it answers: it probes first"


class StepFailed(PgprovisionError):
    """One action failed; the actions after it on that host were not run."""


class NotConverged(PgprovisionError):
    """All actions were run, and something still differs."""


class DrillFailed(PgprovisionError):
    """A drill ended without a proven restore."""

    exit_code = 1


class CloudError(PgprovisionError):
    """Hetzner's API refused, failed or did not answer."""

    exit_code = 6


class CloudUnreachable(CloudError):
    """Hetzner's API does not answer. What does not need it still works."""


class ObjectStoreError(PgprovisionError):
    """The object store of the backups refused, failed or did not answer."""

    exit_code = 6


class NotificationError(PgprovisionError):
    """A notification could not be sent."""


class OutcomeUnknown(PgprovisionError):
    """The connection was lost while an action ran: whether it was done shows at the next look."""

    exit_code = 7


class Interrupted(PgprovisionError):
    """A person or the system asked this run to end; the action that ran was finished first."""

    exit_code = 130
