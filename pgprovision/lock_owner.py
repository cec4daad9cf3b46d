"""Who holds a machine: what the lock's files on it say."""

import hashlib
import json
from dataclasses import asdict, dataclass
from typing import Self

LOCK_FOLDER = "/var/lib/pgprovision/hold"  # lock, busy, holder, fence, pid: see transport/lock.py


@dataclass(frozen=True)
class LockOwner:
    """Who it is, from where, since when (UTC), doing what, in which run."""

    who: str
    host: str
    since: str
    doing: str
    run: str
    version: int = 1

    @classmethod
    def parse(cls, text: str | None) -> Self | None:
        """None: not to be understood (damaged, or of another release)."""
        try:
            found = cls(**json.loads(text or ""))
        except (ValueError, TypeError):
            return None
        return found if found.version == 1 else None

    def text(self) -> str:
        return json.dumps(asdict(self), ensure_ascii=False)

    def __str__(self) -> str:
        return f"{self.who} on {self.host} since {self.since}: {self.doing} (run {self.run})"


def parse_fence(fence: str | None) -> int | None:
    """The last holder's number; 0 where nobody ever was, None where it cannot be told."""
    if fence is None:
        return 0
    word = fence.strip().removesuffix(" stopped")
    return int(word) if word.isascii() and word.isdigit() else None


def is_parsable(owner: str | None, fence: str | None) -> bool:
    """Whether one can tell that nobody holds it once its lock is free."""
    return parse_fence(fence) is not None and (owner is None or LockOwner.parse(owner) is not None)


def unlock_token(owner: str | None, fence: str | None) -> str:
    """What has to be typed to take a hold away: the run's id; of a damaged record its digest."""
    parsed = LockOwner.parse(owner)
    if parsed and is_parsable(owner, fence):
        return parsed.run
    return hashlib.sha256(f"{owner}\n{fence}".encode()).hexdigest()[:12]
