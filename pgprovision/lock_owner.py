"""The owner of a host's lock, from the lock's files on it."""

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
    """The last lock owner's number; 0 before the first one, None where it is unreadable."""
    if fence is None:
        return 0
    word = fence.strip().removesuffix(" stopped")
    return int(word) if word.isascii() and word.isdigit() else None


def is_parsable(owner: str | None, fence: str | None) -> bool:
    """Whether a free lock is known to have no owner."""
    return parse_fence(fence) is not None and (owner is None or LockOwner.parse(owner) is not None)


def unlock_token(owner: str | None, fence: str | None) -> str:
    """What confirms that a lock is to be broken: the run's id; of a damaged record its digest."""
    parsed = LockOwner.parse(owner)
    if parsed and is_parsable(owner, fence):
        return parsed.run
    return hashlib.sha256(f"{owner}\n{fence}".encode()).hexdigest()[:12]
