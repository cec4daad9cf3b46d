"""How far apart the moments of a schedule are: systemd's OnCalendar, as far as schedules use it.

Weekdays, dates and times with lists, ranges (`1..7`) and steps (`0/2`). What goes beyond it
(`*-*~01`, years) is not read, and nobody guesses.
"""

import re
from collections.abc import Iterable
from datetime import datetime, timedelta
from itertools import pairwise

_DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_SHORTHANDS = {
    "hourly": "*-*-* *:00:00",
    "daily": "*-*-* 00:00:00",
    "weekly": "Mon *-*-* 00:00:00",
    "monthly": "*-*-01 00:00:00",
}
_FIRST_DAY = datetime(2024, 1, 1)  # a Monday; a leap year or not is no matter
_SPAN = 92  # days: three months, so that a monthly moment is met three times


def longest_gap(calendars: Iterable[str]) -> timedelta | None:
    """The longest time between two moments at which any of these is due; None where one cannot be
    read or there are fewer than two in three months.

    >>> longest_gap(["Sun *-*-* 03:00:00", "Mon..Sat *-*-* 03:00:00"])
    datetime.timedelta(days=1)
    """
    moments: set[datetime] = set()
    for calendar in calendars:
        try:
            moments |= set(_moments(calendar))
        except ValueError:
            return None
    gaps = [later - earlier for earlier, later in pairwise(sorted(moments))]
    return max(gaps, default=None)


def _moments(calendar: str) -> Iterable[datetime]:
    words = _SHORTHANDS.get(calendar.lower(), calendar).split()
    if len(words) > 1 and re.fullmatch(r"[A-Za-z_]+(/[A-Za-z_]+)*", words[-1]) and ":" in words[-2]:
        words.pop()  # a time zone
    weekdays, date, time = set(range(7)), "*-*-*", "00:00:00"
    if words and words[0][0].isalpha():
        weekdays = _weekdays(words.pop(0))
    if words and "-" in words[0]:
        date = words.pop(0)
    if words and ":" in words[0]:
        time = words.pop(0)
    if words:
        raise ValueError(calendar)
    *year, month, day = date.split("-")
    if year not in ([], ["*"]):
        raise ValueError(calendar)
    hour, minute, *_ = time.split(":")
    months, days = _numbers(month, 1, 12), _numbers(day, 1, 31)
    times = [(h, m) for h in _numbers(hour, 0, 23) for m in _numbers(minute, 0, 59)]
    for at in (_FIRST_DAY + timedelta(days=n) for n in range(_SPAN)):
        if at.weekday() in weekdays and at.month in months and at.day in days:
            yield from (at.replace(hour=h, minute=m) for h, m in times)


def _weekdays(text: str) -> set[int]:
    """`Mon..Sat`, `Mon,Thu`; raises ValueError."""
    found: set[int] = set()
    for part in text.split(","):
        first, _, last = part.partition("..")
        begin = _DAYS.index(first[:3].lower())
        end = _DAYS.index(last[:3].lower()) if last else begin
        found |= {(begin + n) % 7 for n in range((end - begin) % 7 + 1)}
    return found


def _numbers(text: str, minimum: int, maximum: int) -> set[int]:
    """`*`, `1,15`, `1..7`, `0/2`; raises ValueError."""
    found: set[int] = set()
    for part in text.split(","):
        start, _, step = part.partition("/")
        first, _, last = start.partition("..")
        begin = minimum if first == "*" else int(first)
        end = maximum if first == "*" or (step and not last) else int(last or first)
        found |= set(range(begin, end + 1, int(step or 1)))
    return found
