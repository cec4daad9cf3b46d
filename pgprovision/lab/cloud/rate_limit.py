"""The rate limit: a bucket per project that refills evenly and may be emptied in a burst."""

import time
from dataclasses import dataclass, field


@dataclass
class Bucket:
    """`limit` requests per hour. Not thread-safe: the event loop owns it."""

    limit: int
    left: float = field(init=False)
    last: float = field(init=False)

    def __post_init__(self) -> None:
        self.left = self.limit
        self.last = time.monotonic()

    def take(self) -> bool:
        """Whether one more request is allowed now."""
        now = time.monotonic()
        self.left = min(self.limit, self.left + (now - self.last) * self.limit / 3600)
        self.last = now
        if self.left < 1:
            return False
        self.left -= 1
        return True

    def headers(self) -> dict[str, str]:
        """Reset is the UNIX time at which the bucket will be full again."""
        full = time.time() + (self.limit - self.left) * 3600 / self.limit
        return {
            "RateLimit-Limit": str(self.limit),
            "RateLimit-Remaining": str(int(self.left)),
            "RateLimit-Reset": str(int(full)),
        }
