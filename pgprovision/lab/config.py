"""What distinguishes one lab from another, kept in its folder as `lab.json`."""

import json
import os
import re
import secrets
from collections.abc import Iterator
from dataclasses import asdict, dataclass, fields
from pathlib import Path

from pgprovision.lab.command import LabNotFound, write_atomically
from pgprovision.lab.network import LabNetwork

_NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,30}")


@dataclass(frozen=True)
class LabConfig:
    """The lab's number (see `network`), its API tokens, and its ports once it has been up."""

    number: int
    token: str
    control_token: str  # opens the simulator's /_lab: faults and the request log
    api_port: int = 0
    s3_port: int = 0
    s3_read_port: int = 0

    @classmethod
    def new(cls, number: int) -> "LabConfig":
        # 64 characters, as Hetzner's tokens are.
        return cls(number, token=secrets.token_hex(32), control_token=secrets.token_hex(32))

    @classmethod
    def load(cls, home: Path) -> "LabConfig":
        """Keys that a newer release added are left alone: other labs stand beside this one."""
        document, known_keys = (
            json.loads((home / "lab.json").read_text()),
            {f.name for f in fields(cls)},
        )
        return cls(**{key: value for key, value in document.items() if key in known_keys})

    def save(self, home: Path) -> None:
        write_atomically(home / "lab.json", json.dumps(asdict(self), indent=1), mode=0o600)

    @property
    def network(self) -> LabNetwork:
        return LabNetwork(self.number)


def labs_home() -> Path:
    """The folder of all labs."""
    if chosen := os.environ.get("PGPROVISION_LAB_HOME"):
        return Path(chosen).absolute()
    base = os.environ.get("XDG_DATA_HOME") or str(Path.home() / ".local/share")
    return Path(base) / "pgprovision" / "labs"


def lab_home(name: str) -> Path:
    """One lab's folder; raises LabNotFound for what cannot be a name."""
    if not _NAME.fullmatch(name):
        raise LabNotFound(f"{name!r} cannot be a lab's name: use a-z, 0-9 and hyphens, at most 31")
    return labs_home() / name


def known_labs() -> Iterator[str]:
    """Names of all labs that have a folder."""
    for path in sorted(labs_home().glob("*")):
        if path.is_dir() and _NAME.fullmatch(path.name):
            yield path.name
