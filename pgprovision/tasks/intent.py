"""What a run is to do with a node in addition to converging it. It is an input of the plan: the
resources are built for it, and no finished plan is changed."""

from dataclasses import dataclass

from pgprovision.recovery_target import END_OF_WAL, RecoveryTarget


@dataclass(frozen=True)
class Keep:
    """As declared; the data stay."""


@dataclass(frozen=True)
class Reclone:
    """A standby: its data directory is set aside and cloned again from its source."""

    existing_inode: str
    """Of the data directory that counts as absent; empty where there is none."""


@dataclass(frozen=True)
class Restore:
    """A finished node: its data directory is replaced by a restore from the backups."""

    target: RecoveryTarget
    existing_inode: str
    """Of the data directory that counts as absent; empty where there is none."""


@dataclass(frozen=True)
class Rebuild:
    """A lost node: its server is created again, its data come from the backups."""

    target: RecoveryTarget = END_OF_WAL


@dataclass(frozen=True)
class Resize:
    """The node's server takes the declared type; it is shut down for that."""


Intent = Keep | Reclone | Restore | Rebuild | Resize
KEEP = Keep()
