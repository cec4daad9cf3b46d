"""The mount option noatime: without access times, reading the data writes nothing to the disk.

/etc/fstab is left alone, because with a mistake in it a host does not boot; a systemd unit sets the
option at every boot.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import ClassVar, Self

from pgprovision.engine.model import (
    Action,
    Answer,
    Diff,
    Facts,
    Need,
    Probe,
    Resource,
    State,
    WithNeeds,
    WithNotes,
)

# Before PostgreSQL is installed, the folder around it is on the same file system.
_WHERE = "d=/var/lib/postgresql; [ -d $d ] || d=/var/lib"


@dataclass(frozen=True, kw_only=True)
class NoatimeMount(Resource, WithNeeds, WithNotes):
    """The file system of the data is mounted with noatime; all of it, whatever else is on it."""

    kind: ClassVar[str] = "noatime mount"
    immutable: bool = False

    @property
    def name(self) -> str:
        return "of the data"

    def probe(self) -> Probe:
        return Probe(
            "systemd-detect-virt -q -c && echo fixed || echo settable\n"
            f"{_WHERE}; findmnt -no OPTIONS -T $d"
        )

    def needs(self) -> tuple[Need, ...]:
        return (Need(self.on, self.probe()),)

    def resolved(self, facts: Facts) -> Self:
        answer = facts.get(self.on, self.probe())
        return replace(self, immutable=answer is not None and answer.text.startswith("fixed"))

    def read(self, answer: Answer) -> State:
        _, _, options = answer.text.partition("\n")
        return {"noatime": "noatime" in options.strip().split(",")}

    def desired(self) -> State:
        return {} if self.immutable else {"noatime": True}

    def notes(self, state: State) -> tuple[str, ...]:
        if not self.immutable or state["noatime"]:
            return ()
        return ("cannot be set in here (a container): noatime",)

    def change(self, diff: Diff) -> Iterable[Action]:
        yield Action(
            "mount the data's filesystem without access times",
            f'{_WHERE}; mount -o remount,noatime "$(findmnt -no TARGET -T $d)"',
        )
