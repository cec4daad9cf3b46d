"""The rate limit: a bucket per project that refills evenly and may be emptied in a burst."""

import time
from dataclasses import dataclass, field


@dataclass
class RequestRateLimit:
    """`limit` requests per hour. Not thread-safe: the event loop owns it."""

    limit: int
    remaining: float = field(init=False)
    updated_at: float = field(init=False)

    def __post_init__(self) -> None:
        self.remaining = self.limit
        self.updated_at = time.monotonic()

    def take(self) -> bool:
        """Whether one more request is allowed now."""
        now = time.monotonic()
        self.remaining = min(
            self.limit, self.remaining + (now - self.updated_at) * self.limit / 3600
        )
        self.updated_at = now
        if self.remaining < 1:
            return False
        self.remaining -= 1
        return True

    def headers(self) -> dict[str, str]:
        """Reset is the UNIX time at which the bucket will be full again."""
        full = time.time() + (self.limit - self.remaining) * 3600 / self.limit
        return {
            "RateLimit-Limit": str(self.limit),
            "RateLimit-Remaining": str(int(self.remaining)),
            "RateLimit-Reset": str(int(full)),
        }
