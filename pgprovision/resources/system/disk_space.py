"""Free disk space and inodes, reported before they run out."""

from dataclasses import dataclass
from typing import ClassVar

from pgprovision.engine.model import Answer, Check, Probe, State, WithNotes
from pgprovision.quote import sh

FULL_PERCENT = 90  # per cent of bytes or inodes; PostgreSQL stops at 100


def existing_parent(directory: str) -> str:
    """Shell text that sets $d to a directory, or to its nearest parent that exists: its file
    system."""
    return f'd={sh(directory)}; until [ -d "${{d:-/}}" ]; do d=${{d%/*}}; done; d=${{d:-/}}'


@dataclass(frozen=True, kw_only=True)
class DiskSpaceCheck(Check, WithNotes):
    """Free space and inodes of every local, writable file system. Reports only."""

    kind: ClassVar[str] = "disk space"

    @property
    def name(self) -> str:
        return "file systems"

    def probe(self) -> Probe:
        return Probe(
            "df -l -x devtmpfs -x squashfs -x iso9660 --output=pcent,ipcent,target 2>&- | sed 1d"
        )

    def read(self, answer: Answer) -> State:
        nearly_full = []
        for line in answer.text.splitlines():
            used, inodes, mount = line.split(maxsplit=2)
            if max(_percent(used), _percent(inodes)) >= FULL_PERCENT:
                nearly_full.append(f"disk: {mount} is {used} full, its inodes {inodes}")
        return {"nearly_full": tuple(nearly_full)}

    def desired(self) -> State:
        return {}

    def notes(self, state: State) -> tuple[str, ...]:
        nearly_full = state["nearly_full"]
        return tuple(map(str, nearly_full)) if isinstance(nearly_full, tuple) else ()


def _percent(word: str) -> int:
    """0 for a file system that does not count (-)."""
    return int(word.rstrip("%")) if word.rstrip("%").isdigit() else 0
