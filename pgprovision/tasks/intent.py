"""What a run wants of a node beyond what is declared. It is an input of the plan: the resources
are built for it, and no finished plan is changed."""

from dataclasses import dataclass

from pgprovision.recovery_target import END_OF_WAL, RecoveryTarget


@dataclass(frozen=True)
class Keep:
    """As declared; the data stay."""


@dataclass(frozen=True)
class Reclone:
    """A standby whose data directory is made again: renamed aside, then copied from its source."""

    existing_inode: str
    """Of the data directory that counts as absent; empty where there is none."""


@dataclass(frozen=True)
class Restore:
    """A finished node whose data directory is replaced by what the backups hold."""

    target: RecoveryTarget
    existing_inode: str
    """Of the data directory that counts as absent; empty where there is none."""


@dataclass(frozen=True)
class Rebuild:
    """A node that is gone, server and all: made again, its data from the backups."""

    target: RecoveryTarget = END_OF_WAL


@dataclass(frozen=True)
class Resize:
    """The node's server takes the declared type; it is shut down for that."""


Intent = Keep | Reclone | Restore | Rebuild | Resize
KEEP = Keep()
