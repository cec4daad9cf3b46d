"""Names of WAL segments, and the gaps between them.

A name is 24 hexadecimal digits: the timeline, and the segment's number in two halves. Segments are
16 MB, as pg_createcluster makes them: 256 for each value of the upper half.
"""

import re
from collections.abc import Iterable
from itertools import pairwise

SEGMENT_BYTES = 16 << 20
_PER_LOG = 0x100
_NAME = re.compile(r"[0-9A-F]{24}")


def is_segment(name: str) -> bool:
    """Whether a name is a segment's, and not a timeline history's or a backup label's."""
    return _NAME.fullmatch(name) is not None


def segment_timeline(name: str) -> int:
    return int(name[:8], 16)


def segment_number(name: str) -> int:
    """The number of a segment, whatever its timeline."""
    return int(name[8:16], 16) * _PER_LOG + int(name[16:], 16)


def segment_name(timeline_number: int, position: int) -> str:
    """The name of the segment at a place on a timeline.

    >>> segment_name(2, 0x2FF)
    '0000000200000002000000FF'
    """
    upper, lower = divmod(position, _PER_LOG)
    return f"{timeline_number:08X}{upper:08X}{lower:08X}"


def gaps(names: Iterable[str], since: str) -> tuple[tuple[str, str], ...]:
    """The first and last segment of each gap after the segment `since`.

    A timeline begins in the segment in which the one before it ended, so a segment of a later
    timeline fills no gap in an earlier one.
    """
    existing = sorted(set(filter(is_segment, names)) | {since})
    places = [
        (segment_timeline(segment), segment_number(segment))
        for segment in existing
        if segment >= since
    ]
    missing: list[tuple[str, str]] = []
    for (_, before), (timeline_number, position) in pairwise(places):
        if position > before + 1:
            missing.append(
                (
                    segment_name(timeline_number, before + 1),
                    segment_name(timeline_number, position - 1),
                )
            )
    return tuple(missing)
