"""For tests alone: this process dies by SIGKILL at a chosen change of the world.

`PGP_TEST_KILL=7:before` is right before the seventh change is sent, `7:after` right after its
answer came. A change is an action on a host or a write to the cloud's API. Looks do not count:
dying after one leaves what dying before it leaves.
"""

import os
import signal
from itertools import count

_CHOSEN = os.environ.get("PGP_TEST_KILL", "")
_numbers = count(1)


def begin() -> int:
    """A change is about to be sent; its number."""
    number = next(_numbers)
    _die_at(f"{number}:before")
    return number


def end(number: int) -> None:
    """Its answer came; nobody has been told yet."""
    _die_at(f"{number}:after")


def _die_at(point: str) -> None:
    if point == _CHOSEN:
        os.kill(os.getpid(), signal.SIGKILL)
