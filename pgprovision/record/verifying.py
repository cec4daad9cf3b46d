"""Whether the records are what was written: every line, every file, every run."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pgprovision.record.chain import FORMAT, HEAD, Link, read_head
from pgprovision.record.reading import NOT_ENDED, Run, read

SOUND = ("ok", NOT_ENDED, "older")


@dataclass(frozen=True)
class Verdict:
    """On one run, by its ID, or on the head. Lines count from 1."""

    id: str
    state: str
    text: str = ""

    @property
    def sound(self) -> bool:
        return self.state in SOUND


def verify(runs: Path) -> list[Verdict]:
    """One verdict per run that is there or should be, the newest last."""
    found = read(runs)
    chained = [run for run in found if _chained(run)]
    named = [(f"run {run.id}", _after(run)) for run in chained]
    verdicts: list[Verdict] = []
    try:
        head = read_head(runs)
        named.append((f"the {HEAD}", head))
        if head is None and chained:
            verdicts.append(Verdict(HEAD, "missing", "the file that names the newest run"))
    except ValueError as error:
        verdicts.append(Verdict(HEAD, "unreadable", str(error)))
    expected: dict[str, list[str]] = {}
    there = {run.id for run in found}
    for who, link in named:
        if link is None:
            continue
        expected.setdefault(link.run, []).append(link.digest)
        if link.run not in there:
            verdicts.append(Verdict(link.run, "missing", f"{who} names it"))
    first = found.index(chained[0]) if chained else len(found)
    judged = [_judge(run, expected.get(run.id, ()), n < first) for n, run in enumerate(found)]
    return sorted(judged + verdicts, key=lambda verdict: verdict.id)


def _judge(run: Run, expected: Sequence[str], before_the_chain: bool) -> Verdict:
    if run.trouble:
        return Verdict(run.id, "unreadable", run.trouble)
    state, text = (
        _newer(run) or _inside(run, before_the_chain) or _outside(run, expected) or (_complete(run))
    )
    return Verdict(run.id, state, text)


def _newer(run: Run) -> tuple[str, str] | None:
    """What its lines promise is not known here."""
    number = run.begin.get("format")
    if not isinstance(number, int) or number <= FORMAT:
        return None
    said = f"written by a newer release (format {number}; this release reads {FORMAT} and older)"
    return "newer", f"{said}: verify it with that release"


def _inside(run: Run, before_the_chain: bool) -> tuple[str, str] | None:
    """What is wrong from line to line."""
    if not run.lines:
        return None
    for number, event in enumerate(run.events, 1):
        if event is None:
            return "edited", f"line {number} is none of ours"
    if not _chained(run):
        if before_the_chain:
            return None
        return "edited", "it has no digests, and runs before it have"
    events = [event or {} for event in run.events]
    if run.begin.get("run") != run.id:
        return "swapped", f"it is the record of run {run.begin.get('run')}"
    numbers = [event.get("n") for event in events]
    right = list(range(1, len(events) + 1))
    wrong = [n for n, number in zip(right, numbers, strict=True) if n != number]
    if wrong and set(numbers) == set(right):
        return "reordered", f"from line {wrong[0]} on"
    if wrong:
        return "cut", f"lines are missing or strange from line {wrong[0]} on"
    loose = [n for n in right[1:] if events[n - 1].get("prev") != run.digests[n - 2]]
    if loose:  # two in a row: the line between was edited, or its digest of the one before
        between = f" or {loose[0]}" if loose[0] + 1 in loose else ""
        return "edited", f"line {loose[0] - 1}{between}"
    ends = [n for n in right if events[n - 1].get("event") == "end"]
    if ends and ends[0] != len(events):
        return "edited", f"line {ends[0] + 1} comes after the end"
    return None


def _outside(run: Run, expected: Sequence[str]) -> tuple[str, str] | None:
    """What others know of it and it does not."""
    if all(digest in run.digests for digest in expected):
        return None
    if run.ended:
        return "edited", f"line {len(run.lines)}"
    return "cut", f"after line {len(run.lines)}, or that line is edited"


def _complete(run: Run) -> tuple[str, str]:
    end = run.ended
    if end is None:
        return NOT_ENDED, "killed, or still under way"
    if not _chained(run):
        return "older", "written before there were digests"
    if run.rest:
        return "edited", f"line {len(run.lines) + 1} comes after the end"
    readable = run.path.with_suffix(".txt")
    try:
        same = hashlib.sha256(readable.read_bytes()).hexdigest() == end.get("readable")
    except OSError as error:
        return "cut", f"{readable.name} cannot be read: {error.strerror}"
    return ("ok", "") if same else ("edited", readable.name)


def _chained(run: Run) -> bool:
    return any(event is not None and "prev" in event for event in run.events)


def _after(run: Run) -> Link | None:
    after = run.begin.get("after")
    return Link(str(after), str(run.begin.get("prev"))) if after else None
