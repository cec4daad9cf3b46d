"""For tests alone: this process gets a signal at a chosen change of the world.

`PGP_TEST_KILL=7:before` is SIGKILL right before the seventh change is sent, `7:after` right after
its answer came, `7:before:STOP` SIGSTOP instead. A change is an action on a host or a write to the
cloud's API. Looks do not count: dying after one leaves what dying before it leaves.
"""

import os
import signal
from itertools import count

_POINT, _, _SIGNAL = os.environ.get("PGP_TEST_KILL", "").replace(":", "@", 1).partition(":")
_numbers = count(1)


def before_change() -> int:
    """A change is about to be sent; its number."""
    number = next(_numbers)
    _strike_at(f"{number}@before")
    return number


def after_change(number: int) -> None:
    """Its answer came; nothing was reported yet."""
    _strike_at(f"{number}@after")


def _strike_at(point: str) -> None:
    if point == _POINT:
        os.kill(os.getpid(), signal.SIGSTOP if _SIGNAL == "STOP" else signal.SIGKILL)
