"""The lock of a run on a host, as something that can be removed."""

import base64
from collections.abc import Iterable
from dataclasses import dataclass
from typing import ClassVar

from pgprovision.engine.model import Action, Answer, Diff, Probe, Resource, State
from pgprovision.errors import Refused
from pgprovision.lock_owner import LOCK_FOLDER, LockOwner, is_parsable, parse_fence, unlock_token
from pgprovision.quote import sh


@dataclass(frozen=True, kw_only=True)
class RemovedHostLock(Resource):
    """Declared absent: the run that has it can do nothing more."""

    kind: ClassVar[str] = "host lock"
    confirmed_token: str
    """The run's id, or what was printed for a record that cannot be read."""

    @property
    def name(self) -> str:
        return LOCK_FOLDER

    def probe(self) -> Probe:
        return Probe(
            f"cd {LOCK_FOLDER} 2>&- || exit 4\n"
            'for f in holder fence; do if [ -e "$f" ]; then base64 -w0 "$f"; else printf -- -; fi;'
            " echo; done\n[ ! -e holder ] || stat -c %u holder"
        )

    def read(self, answer: Answer) -> State | None:
        if answer.code:
            return None
        owner_record, fence = (_decoded(word) for word in answer.text.splitlines()[:2])
        foreign = answer.text.splitlines()[2:] not in ([], ["0"])
        if owner_record is None and parse_fence(fence) is not None:
            return None
        owner = LockOwner.parse(owner_record) if is_parsable(owner_record, fence) else None
        if self.confirmed_token != unlock_token(owner_record, fence):
            raise Refused(
                f"{self.confirmed_token} is not the lock owner:"
                f" {owner or 'a record that cannot be read'}",
                next=f"once you know that this run has ended: pgprovision unlock {self.on}"
                f" {unlock_token(owner_record, fence)}",
            )
        return {"owner": str(owner) if owner and not foreign else "cannot be read"}

    def desired(self) -> None:
        return None

    def change(self, diff: Diff) -> Iterable[Action]:
        """The shell that has the lock is ended, and steps of that run are refused from now on. The
        clock's seconds are a higher fencing number than any count of runs."""
        put = "date +%s >fence.new; sync fence.new; mv fence.new fence"
        aside = 'mv holder "holder.taken-away-$(date -u +%Y%m%dT%H%M%SZ)"'
        yield Action(
            "remove the lock",
            f"set -e; cd {sh(LOCK_FOLDER)}; {put}\n"
            'if [ -e pid ] && ! flock -n lock true; then kill "$(cat pid)"; fi\n'
            f"[ ! -e holder ] || {aside}",
        )


def _decoded(word: str) -> str | None:
    return None if word == "-" else base64.b64decode(word).decode(errors="replace").strip()
