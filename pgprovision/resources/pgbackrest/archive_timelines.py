"""The WAL in a pgBackRest repository by timeline: where each ends, and where it branched off."""

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from pgprovision.engine.model import Answer, Probe
from pgprovision.quote import sh
from pgprovision.resources.pgbackrest import info
from pgprovision.resources.postgres.replication.lsn import lsn_to_bytes

_SEGMENT = re.compile(r"([0-9A-F]{24})-[0-9a-f]{40}(\.\w+)?")
_BRANCH = re.compile(r"\s*(\d+)\s+([0-9A-F]+/[0-9A-F]+)", re.MULTILINE)


@dataclass(frozen=True)
class ArchivedTimeline:
    """The WAL of one timeline."""

    number: int
    branches: tuple[tuple[int, int], ...] = ()
    """(ancestor, LSN in bytes where it was left), from the oldest to the parent."""
    last_segment: str = ""
    """Its newest segment in the archive; empty: none yet."""
    last_arrived_at: int = 0
    """When that one arrived, in seconds since 1970."""

    def history_end_of(self, other: int) -> int | None:
        """Up to where `other` belongs to this timeline's history, in bytes; None: not at all. Its
        own history has no end."""
        if other == self.number:
            return 1 << 64
        return dict(self.branches).get(other)


def archive_probe(stanza: str, repository: int = 1) -> Probe:
    """The probe for `parse`: one list call per timeline, whatever the number of segments."""
    at, where = f"--repo={repository}", f"archive/{stanza}"

    def call(*words: str) -> str:
        return info.probe_command(stanza, at, *words)

    ls, get = call("repo-ls"), call("repo-get")
    return Probe(
        f"command -v pgbackrest >/dev/null || exit {info.NOT_INSTALLED_CODE}\n"
        f"id=$({ls} {sh(where)} | grep -x '[0-9]*-[0-9]*' | sort -t - -k 2n | tail -n 1)\n"
        f'[ -n "$id" ] || exit 4\n'
        f'names=$({ls} {sh(where)}/"$id") || exit\n'
        "for n in $names; do case $n in *.history)\n"
        f'  echo "history $n"; {get} {sh(where)}/"$id/$n"; echo;; esac; done\n'
        "for d in $(printf '%s\\n' \"$names\" | grep -E '^[0-9A-F]{16}$' | LC_ALL=C sort |"
        " awk '{d[substr($0, 1, 8)] = $0} END {for (t in d) print d[t]}'); do\n"
        f'  echo "segments $d"; {call("--output=json", "repo-ls")} {sh(where)}/"$id/$d"; echo; done'
    )


def parse(answer: Answer | None) -> tuple[ArchivedTimeline, ...]:
    """The timelines by number; empty where the archive could not be listed."""
    if answer is None or answer.code:
        return ()
    branches: dict[int, tuple[tuple[int, int], ...]] = {}
    newest: dict[int, tuple[str, int]] = {}
    for word, name, body in _parts(answer.text):
        if word == "history":
            found = _BRANCH.findall(body)
            branches[int(name[:8], 16)] = tuple((int(t), lsn_to_bytes(lsn)) for t, lsn in found)
        elif segments := list(_segments(body)):
            newest[int(name[:8], 16)] = max(segments)
    numbers = sorted({*branches, *newest})
    return tuple(
        ArchivedTimeline(number, branches.get(number, ()), *newest.get(number, ("", 0)))
        for number in numbers
    )


def _parts(text: str) -> Iterator[tuple[str, str, str]]:
    pieces = re.split(r"(?m)^(history|segments) ([0-9A-F]+)(?:\.history)?\n", text)
    for at in range(1, len(pieces), 3):
        yield pieces[at], pieces[at + 1], pieces[at + 2]


def _segments(body: str) -> Iterator[tuple[str, int]]:
    try:
        listed = json.loads(body, strict=False)
    except ValueError:
        return
    for name, item in listed.items():
        if found := _SEGMENT.fullmatch(name):
            yield found[1], int(item.get("time", 0))


def newest_segment(timelines: Sequence[ArchivedTimeline], number: int) -> tuple[str, int]:
    """The newest segment of a timeline, and when it arrived; those of its nearest ancestor while it
    has none of its own."""
    by_number = {timeline.number: timeline for timeline in timelines}
    current = by_number.get(number)
    if current is None:
        return "", 0
    if current.last_segment:
        return current.last_segment, current.last_arrived_at
    for parent, _ in reversed(current.branches):
        if parent in by_number and by_number[parent].last_segment:
            return by_number[parent].last_segment, by_number[parent].last_arrived_at
    return "", 0
