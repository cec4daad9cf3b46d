"""The errors a person may meet, by whose turn it is. `cli` turns each into an exit code."""


class PgprovisionError(Exception):
    """What failed, where, what is already done, and the next command to type."""

    exit_code = 5
    default_next = ""  # the next command, where whoever raises it knows none that is better

    def __init__(self, what: str, *, where: str = "", done: str = "", next: str = "") -> None:
        super().__init__(what)
        self.what = what
        self.where = where
        self.done = done
        self.next = next or self.default_next

    def __str__(self) -> str:
        where = f"{self.where}: " if self.where else ""
        lines = [f"{where}{self.what}"]
        if self.done:
            lines.append(f"  already done: {self.done}")
        if self.next:
            lines.append(f"  next: {self.next}")
        return "\n".join(lines)


class InventoryError(PgprovisionError):
    """Bad input: nothing was touched."""

    exit_code = 2


class Refused(PgprovisionError):
    """Going on would not be safe: nothing more was touched."""

    exit_code = 3


class Locked(PgprovisionError):
    """Another run holds the host."""

    exit_code = 4


class Unreachable(PgprovisionError):
    """A host did not answer, or is not the host it should be."""

    default_next = "run the same command again when it answers: it looks first"


class StepFailed(PgprovisionError):
    """One action failed; the ones after it on that host were not run."""


class NotConverged(PgprovisionError):
    """Everything was done and something still differs."""


class DrillFailed(PgprovisionError):
    """A drill that ended and proved nothing."""

    exit_code = 1


class CloudError(PgprovisionError):
    """Hetzner's API refused, failed or did not answer."""

    exit_code = 6


class CloudUnreachable(CloudError):
    """Hetzner's API does not answer at all. What does not need it still works."""


class ObjectStoreError(PgprovisionError):
    """The store of the backups refused, failed or did not answer: nothing can be told of them."""

    exit_code = 6


class NotificationError(PgprovisionError):
    """What was to be told to somebody could not be sent."""


class OutcomeUnknown(PgprovisionError):
    """The connection ended in mid-act. Look again before anything else."""

    exit_code = 7


class Interrupted(PgprovisionError):
    """A person or the system asked this run to end; the step that ran was ended first."""

    exit_code = 130
